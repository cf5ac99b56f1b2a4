/** A real Chromium for the browser tests, with a profile of its own that goes with it. */
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Chromium {
  open(url: string): Promise<Page>;
  /** Bytes that a page holds, JavaScript's and buffers', after everything unreachable was collected. */
  liveBytes(page: Page): Promise<number>;
  close(): Promise<void>;
}

/** The browser's path, or undefined when there is none. */
export async function findChromium(): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      if (
        await access(path).then(
          () => true,
          () => false,
        )
      ) {
        return path;
      }
    }
  }
  return undefined;
}

export async function startChromium(executablePath: string): Promise<Chromium> {
  const profile = await mkdtemp(join(tmpdir(), "peerloom-chromium-"));
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    // Pages are kept for the way back, as for people.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
    args: FLAGS,
  });
  return {
    async open(url) {
      const page = await context.newPage();
      await page.goto(url);
      return page;
    },
    async liveBytes(page) {
      const debug = await context.newCDPSession(page);
      try {
        await debug.send("HeapProfiler.collectGarbage");
        const usage: Record<string, number> = await debug.send("Runtime.getHeapUsage");
        return (
          (usage["usedSize"] ?? 0) + (usage["embedderHeapUsedSize"] ?? 0) + (usage["backingStorageSize"] ?? 0)
        );
      } finally {
        await debug.detach();
      }
    },
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
