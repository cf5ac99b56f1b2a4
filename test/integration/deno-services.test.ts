/** Calls and a feed between Node and Deno, both ways. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Command, ROOT } from "./command.ts";
import { feedUntil } from "./feed-state.ts";
import { codeOf, openPeer } from "./peers.ts";

interface Calc {
  add(a: number, b: number): number;
  upTo(count: number): AsyncIterable<number>;
  total(numbers: AsyncIterable<number>): number;
  fail(): never;
}

test("calls with streams both ways and errors by code, and a feed that both write, with a peer on Deno", async () => {
  const peer = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const entry = join(ROOT, "test", "integration", "deno-peer.ts");
  const deno = new Command([peer.id], { runtime: "deno", entry });
  const { id, listen, address } = await deno.wait("ready");
  await peer.connect(String(id), { addresses: listen as string[] });
  const calc = peer.rpc<Calc>(String(id), "calc/1");
  expect(await calc.add(2, 3)).toBe(5);
  const counted: number[] = [];
  for await (const number of calc.upTo(1_000)) counted.push(number);
  expect(counted).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
  expect(
    await calc.total(
      (async function* () {
        yield* counted;
      })(),
    ),
  ).toBe(500_500);
  expect(await codeOf(Promise.resolve(calc.fail()))).toBe("calc/failed");

  const feed = await peer.feeds.open(String(address));
  await feedUntil(feed, ({ length }) => length === 1);
  await feed.append("from Node");
  expect(await deno.wait("entry", ({ by }) => by === peer.id)).toMatchObject({ value: "from Node" });
  expect((await feed.get(String(id), 0))?.value).toBe("from Deno");
});
