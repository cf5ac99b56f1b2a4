/** The browsers of the tests: found on the PATH, and started with a profile of their own that goes with them. */
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";

export interface Browser {
  /** @param prepare is done before the page has anything */
  open(url: string, prepare?: (page: Page) => Promise<unknown>): Promise<Page>;
  /** Bytes that a page holds, JavaScript's and buffers', after everything unreachable was collected; undefined where the browser does not tell. */
  liveBytes(page: Page): Promise<number | undefined>;
  close(): Promise<void>;
}

/** The path of the first of these that there is. */
export async function findOnPath(names: readonly string[]): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of names) {
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

export function newProfile(): Promise<string> {
  return mkdtemp(join(tmpdir(), "peerloom-browser-"));
}

export function removeProfile(profile: string): Promise<void> {
  return rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

/** Opens pages for a browser that has this one context. */
export async function openIn(
  context: BrowserContext,
  url: string,
  prepare?: (page: Page) => Promise<unknown>,
): Promise<Page> {
  const page = await context.newPage();
  await prepare?.(page);
  await page.goto(url);
  return page;
}
