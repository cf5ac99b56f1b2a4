/** What a page needs to reach a peer: the core alone. What goes on around sessions, the overlay first of all, is loaded after the first of them. */
import type { Page, Route } from "playwright-core";
import { expect } from "vitest";
import type { Peer, Session } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

let node: Peer;
const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "first" });
  node.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
});

/** The runtime and what the page's own code holds. */
declare const PagePeer: typeof Peer;
declare let peer: Peer;
declare let session: Session;

const DEADLINE = { timeout: 20_000 };

/** A page with nothing but the core, which gets no script besides until `release`. */
async function openHeld(): Promise<{ page: Page; held: Route[]; release: () => Promise<void> }> {
  // The edge's own page loads every part.
  const page = await stage.browser.open(`${stage.edge.url}/health`);
  await stage.importRuntime(page);
  const held: Route[] = [];
  let isReleased = false;
  await page.route("**/*.js", (route) => {
    if (isReleased) return route.continue();
    held.push(route);
  });
  const release = async (): Promise<void> => {
    isReleased = true;
    for (const route of held) await route.continue();
  };
  return { page, held, release };
}

browserTest("a page connects with the core alone, and is linked when the overlay has come", async () => {
  const { page, held, release } = await openHeld();
  const seen = await page.evaluate(
    async ({ id, options }) => {
      peer = await PagePeer.open(options);
      session = await peer.connect(id);
      const stream = await session.open("echo/1");
      await stream.writable.getWriter().write(new TextEncoder().encode("core alone"));
      const { value } = await stream.readable.getReader().read();
      return {
        text: new TextDecoder().decode(value),
        path: session.path.kind,
        overlay: peer.status().overlay,
      };
    },
    { id: node.id, options: { network: "first", identity: "fresh", iceServers: [] } as const },
  );
  expect(seen).toEqual({ text: "core alone", path: "relay", overlay: null });
  const linked = pathOf(await page.evaluate(() => peer.id), "direct");
  await expect.poll(() => held.length, DEADLINE).toBeGreaterThan(0);
  await release();
  await linked;
  await expect.poll(() => page.evaluate(() => peer.status().overlay?.links), DEADLINE).toBe(1);
  await page.close();
});

browserTest("a page that meets nobody loads the overlay too", async () => {
  const { page, held, release } = await openHeld();
  await page.evaluate(async (options) => void (peer = await PagePeer.open(options)), {
    network: "alone",
    identity: "fresh",
    iceServers: [],
  } as const);
  await expect.poll(() => held.length, DEADLINE).toBeGreaterThan(0);
  await release();
  await expect.poll(() => page.evaluate(() => peer.status().overlay?.links), DEADLINE).toBe(0);
  await page.close();
});

async function pathOf(peerId: string, kind: "relay" | "direct"): Promise<void> {
  const found = node.sessions().find((each) => each.peerId === peerId);
  if (found === undefined) throw new Error("there is no session");
  while (found.path.kind !== kind)
    await new Promise((resolve) => found.addEventListener("path", resolve, { once: true }));
}
