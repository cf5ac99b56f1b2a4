/** A page calls a service of a Node peer and is called by it, values and streams, over the relay and over WebRTC. */
import { expect } from "vitest";
import type { CallContext, Peer } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

const service = {
  add: (a: number, b: number) => a + b,
  from(this: CallContext) {
    return this.from;
  },
  reverse: (bytes: Uint8Array) => bytes.toReversed(),
  refuse() {
    throw Object.assign(new Error("Only 3 left."), { code: "shop/out-of-stock" });
  },
  async *doubled(numbers: AsyncIterable<number>) {
    for await (const n of numbers) yield 2 * n;
  },
};
interface PageService {
  title(): string;
  letters(text: string): AsyncIterable<string>;
}

let node: Peer;
const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "calls" });
  node.serve("shop/1", service);
});

declare const PagePeer: typeof Peer;
declare const pagePeer: Peer;

browserTest.for(["relay", "direct"] as const)("a page calls and is called, %s only", async (only) => {
  const page = await stage.openPage();
  const pageId = await page.evaluate(
    async (options) => {
      const opened = await PagePeer.open(options as Parameters<typeof PagePeer.open>[0]);
      Object.assign(globalThis, { pagePeer: opened });
      opened.serve("page/1", {
        title: () => "a page",
        async *letters(text: string) {
          for (const letter of text) yield await Promise.resolve(letter);
        },
      });
      return opened.id as string;
    },
    { network: "calls", identity: "fresh", iceServers: [], only },
  );
  const found = await page.evaluate(async (id) => {
    const shop = pagePeer.rpc<{
      add(a: number, b: number): number;
      from(): string;
      reverse(bytes: Uint8Array): Uint8Array;
      refuse(): void;
      doubled(numbers: AsyncIterable<number>): AsyncIterable<number>;
    }>(id, "shop/1");
    async function* numbers(): AsyncGenerator<number> {
      for (let n = 1; n <= 1_000; n++) yield await Promise.resolve(n);
    }
    let sum = 0;
    for await (const n of shop.doubled(numbers())) sum += n;
    const refused = await shop.refuse().catch((error: unknown) => {
      const { name, code, message } = error as Error & { code: string };
      return { name, code, message };
    });
    return {
      five: await shop.add(2, 3),
      many: (await Promise.all(Array.from({ length: 300 }, (_, n) => shop.add(n, 1)))).length,
      from: await shop.from(),
      reversed: Array.from(await shop.reverse(new Uint8Array([1, 2, 3]))),
      sum,
      refused,
    };
  }, node.id);
  expect(found).toEqual({
    five: 5,
    many: 300,
    from: pageId,
    reversed: [3, 2, 1],
    sum: 1_001_000,
    refused: { name: "RemoteError", code: "shop/out-of-stock", message: "Only 3 left." },
  });
  const remote = node.rpc<PageService>(pageId, "page/1");
  expect(await remote.title()).toBe("a page");
  const letters: string[] = [];
  for await (const letter of remote.letters("hello")) letters.push(letter);
  expect(letters.join("")).toBe("hello");
  const session = node.sessions().find(({ peerId }) => peerId === pageId);
  expect(session?.path.kind).toBe(only);
  // A page that goes ends the calls to it.
  await page.evaluate(() => pagePeer.close());
  await page.close();
});
