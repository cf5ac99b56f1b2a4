/** Doors of Node peers on the embedded edge, with each other: what pages see of them is in test/browser/peerjs-door.test.ts. */
import { expect, onTestFinished, test } from "vitest";
import { type PeerJsConnection, PeerJsDoor } from "../../peer/peerjs-node.ts";
import type { PeerJsDoorOptions } from "../../peer/peerjs/options.ts";
import { openEdge } from "./peers.ts";

async function openDoor(edge: string, options: PeerJsDoorOptions = {}): Promise<PeerJsDoor> {
  const door = await PeerJsDoor.open({ edge, iceServers: [], ...options });
  onTestFinished(() => door.close());
  return door;
}

async function first(door: PeerJsDoor): Promise<PeerJsConnection> {
  for await (const connection of door.connections()) return connection;
  throw new Error("the door was closed");
}

async function next(connection: PeerJsConnection): Promise<unknown> {
  for await (const value of connection) return value;
  throw new Error("the connection was closed");
}

test("smoke", async () => {
  const { url } = await openEdge();
  const [here, there] = [await openDoor(url), await openDoor(url, { id: "there" })];
  const [near, far] = await Promise.all([here.connect("there", { metadata: { a: 1 } }), first(there)]);
  expect(far.metadata).toEqual({ a: 1 });
  await near.send({ hello: "wörld" });
  expect(await next(far)).toEqual({ hello: "wörld" });
  const big = new Uint8Array(10_000_000).map((_, i) => (i * 31) % 251);
  await far.send(big);
  expect(Buffer.from((await next(near)) as ArrayBuffer).equals(big)).toBe(true);
  await near.close();
  expect(await far.closed).toBeUndefined();
});
