/** Two pages that never met, and nobody between them but a third peer: the edge that served the page is gone. */
import { expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

let third: Peer;
const stage = Stage.set(async () => {
  third = await stage.openPeer({ edge: null, network: "pages", listen: "127.0.0.1:0" });
});

browserTest("they link by WebRTC, signalled through the third alone", async () => {
  const pages = [await stage.openPage(), await stage.openPage()];
  for (const page of pages) await page.evaluate('import("/peer.js").then(({ preload }) => preload())');
  await stage.edge.stop();
  const address = third.listenAddresses[0]?.replace("tcp://", "ws://") ?? "";
  const bootstrap = [`${address}/${third.id}`];
  const ids: string[] = [];
  for (const page of pages) {
    ids.push(
      await page.evaluate(
        async (options) => {
          const opened = await PagePeer.open(options);
          opened.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
          Object.assign(globalThis, { peer: opened });
          return opened.id;
        },
        { edge: null, network: "pages", identity: "fresh", iceServers: [], bootstrap } as const,
      ),
    );
  }
  const seen = await pages[0]?.evaluate(async (id) => {
    const session = await peer.connect(id);
    const stream = await session.open("echo/1");
    const writer = stream.writable.getWriter();
    await writer.write(new TextEncoder().encode("through a third"));
    const { value } = await stream.readable.getReader().read();
    // It may begin on a forwarded path; the direct one follows.
    while (session.path.transport !== "webrtc")
      await new Promise((resolve) => session.addEventListener("path", resolve, { once: true }));
    return { transport: session.path.transport, text: new TextDecoder().decode(value) };
  }, ids[1] ?? "");
  expect(seen).toEqual({ transport: "webrtc", text: "through a third" });
});

/** The runtime and the peer that the page's own code holds. */
declare const PagePeer: typeof Peer;
declare const peer: Peer;
