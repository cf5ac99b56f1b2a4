/** Pages with the stock `peerjs` client, as its package ships it. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import type { Chromium } from "./chromium.ts";

/** A page of an application that is about to ask for a peer: it has `Peer`, its options for that edge, and `wait`. */
export async function openPeerjsPage(browser: Chromium, edgeUrl: string): Promise<Page> {
  const page = await browser.open(`${edgeUrl}/health`);
  const script = createRequire(import.meta.url).resolve("peerjs/dist/peerjs.min.js");
  await page.addScriptTag({ content: await readFile(script, "utf8") });
  await page.evaluate(
    ({ port }) => {
      const wait = (target: Emitter, event: string, other = "error"): Promise<unknown> =>
        new Promise((resolve, reject) => {
          target.on(event, resolve);
          target.on(other, reject);
        });
      const options = { host: "127.0.0.1", port, path: "/peerjs", config: { iceServers: [] } };
      Object.assign(globalThis, { wait, options });
    },
    { port: Number(new URL(edgeUrl).port) },
  );
  return page;
}

interface Emitter {
  on(event: string, listener: (value: unknown) => void): unknown;
}
