/** A real Chromium for the browser tests. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { type BrowserContext, chromium } from "playwright-core";
import { type Browser, newProfile, openIn, removeProfile } from "./browsers.ts";

export const CHROMIUM_NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** One that was told to close and does not is ended. */
const CLOSE_TIMEOUT_MS = 10_000;

export async function startChromium(executablePath: string): Promise<Browser> {
  const profile = await newProfile();
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    // Pages are kept for the way back, as for people.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
    args: FLAGS,
  });
  return inContext(context, async () => {
    await context.close();
    await removeProfile(profile);
  });
}

/** One in which a tab is hidden behind another, and can be frozen then. Playwright's own makes every page believe that it is in front. */
export async function startChromiumWithTabs(executablePath: string): Promise<Browser> {
  const profile = await newProfile();
  const child = spawn(
    executablePath,
    [...FLAGS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const ended = once(child, "close");
  const browser = await chromium.connectOverCDP(await debuggerOf(child), { noDefaults: true });
  const [context] = browser.contexts();
  if (context === undefined) throw new Error("Chromium has no context");
  return inContext(context, async () => {
    const debug = await browser.newBrowserCDPSession();
    // It answers by going.
    await debug.send("Browser.close").catch(() => {});
    const timer = setTimeout(() => child.kill("SIGKILL"), CLOSE_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    await removeProfile(profile);
  });
}

/** Where Chromium takes DevTools connections, which it says on standard error. */
async function debuggerOf({ stderr }: ChildProcessByStdio<null, null, Readable>): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const [, url] = /DevTools listening on (ws:\S+)/.exec(line) ?? [];
    if (url === undefined) continue;
    // What else it says is of no interest, and must not fill the pipe.
    stderr.resume();
    return url;
  }
  throw new Error("Chromium ended before it could be spoken to");
}

function inContext(context: BrowserContext, close: () => Promise<void>): Browser {
  return {
    open: (url, prepare) => openIn(context, url, prepare),
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
    close,
  };
}
