/** Records in a network of real peers: kept by others, found by anybody, with the edge and without, from library and command line. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { Command, finish, startEdge, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer } from "./peers.ts";

/** Peers that hold each other, without an edge. */
async function circle(count: number): Promise<Peer[]> {
  const first = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const options = {
    edge: null,
    listen: "127.0.0.1:0",
    webrtc: false,
    bootstrap: bootstrapOf(first),
  } as const;
  const others = await Promise.all(Array.from({ length: count - 1 }, () => openPeer(options)));
  const peers = [first, ...others];
  await Promise.all(peers.map((peer) => linkedTo(peer, count - 1)));
  return peers;
}

describe("the library", () => {
  test("what one puts all others get, whatever kind of value it is", async () => {
    const peers = await circle(5);
    const [writer, reader] = [peers[1] as Peer, peers[4] as Peer];
    const values = ["text with ü", Uint8Array.from(randomBytes(1_023)), { a: [1, null, true, "x"] }, "", 0];
    for (const value of values) {
      const { key, copies } = await writer.records.store(value);
      expect(key).toMatch(/^[0-9a-f]{64}$/);
      expect(copies).toBe(4);
      expect(await reader.records.get(key)).toEqual(value);
    }
    expect(await reader.records.get("0".repeat(64))).toBeUndefined();
  });

  test("a name has numbered versions, and the newest is read; a writer that expected another is told", async () => {
    const [first, second, third] = (await circle(4)) as [Peer, Peer, Peer];
    expect((await first.records.set("status", "one")).seq).toBe(1);
    expect((await first.records.set("status", "two")).seq).toBe(2);
    expect(await second.records.get(first.id, "status")).toBe("two");
    expect(await codeOf(first.records.set("status", "three", { cas: 1 }))).toBe("records/stale");
    expect((await first.records.set("status", "three", { cas: 2 })).seq).toBe(3);
    expect(await third.records.find(first.id, "status")).toMatchObject({
      value: "three",
      seq: 3,
      publisher: first.id,
    });
    expect(await third.records.get(second.id, "status")).toBeUndefined();
    expect(await codeOf(second.records.set("new", 1, { cas: 0 }))).toBe("none");
    expect(await codeOf(second.records.set("new", 2, { cas: 0 }))).toBe("records/stale");
  });

  test("providers of a key are found, and no longer said once they take it back", async () => {
    const [first, second, third] = (await circle(4)) as [Peer, Peer, Peer];
    const key = "ab".repeat(32);
    await first.records.provide(key);
    await second.records.provide(key);
    expect(new Set(await third.records.providers(key))).toEqual(new Set([first.id, second.id]));
    expect(await third.records.providers("cd".repeat(32))).toEqual([]);
  });

  test("records outlive their writer and the edge, and those who kept them hand them over", async () => {
    const edge = await openEdge();
    const peers: Peer[] = [];
    const open = (): Promise<Peer> => openPeer({ edge: edge.url, listen: "127.0.0.1:0", webrtc: false });
    for (let i = 0; i < 6; i++) peers.push(await open());
    await Promise.all(peers.map((peer) => linkedTo(peer, 5)));
    const writer = peers[0] as Peer;
    const key = await writer.records.put("lasting");
    await writer.records.set("name", "lasting too");
    await writer.close();
    await edge.stop();
    expect(await (peers[1] as Peer).records.get(key)).toBe("lasting");
    const newcomer = await openPeer({
      edge: null,
      listen: "127.0.0.1:0",
      webrtc: false,
      bootstrap: bootstrapOf(peers[1] as Peer),
    });
    await linkedTo(newcomer, 5);
    expect(await newcomer.records.get(key)).toBe("lasting");
    // One after the other leaves, until only the newcomer is left of those who had it.
    for (const peer of peers.slice(1)) await peer.close();
    expect(await newcomer.records.get(key)).toBe("lasting");
    expect(await newcomer.records.get(writer.id, "name")).toBe("lasting too");
  });

  test("alone, a peer keeps its records for those who come", async () => {
    const alone = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
    const { key, copies } = await alone.records.store("mine");
    expect(copies).toBe(0);
    expect(await alone.records.get(key)).toBe("mine");
    const other = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(alone) });
    await linkedTo(other, 1);
    expect(await other.records.get(key)).toBe("mine");
  });

  test("wrong use has a name", async () => {
    const out = await openPeer({ edge: null, overlay: false });
    const peer = await openPeer({ edge: null });
    const code = (work: Promise<unknown>): Promise<string> => codeOf(work);
    expect(await code(out.records.put("x"))).toBe("records/unavailable");
    expect(await code(peer.records.put("x".repeat(1_024)))).toBe("records/too-large");
    expect(await code(peer.records.put(new Map() as never))).toBe("usage/invalid");
    expect(await code(peer.records.get("nonsense"))).toBe("records/key-invalid");
    expect(await code(peer.records.get("nonsense", "name"))).toBe("id/invalid");
    expect(await code(peer.records.set("", "x"))).toBe("usage/invalid");
    expect(await code(peer.records.set("n".repeat(65), "x"))).toBe("usage/invalid");
    expect(await code(peer.records.put("x", { ttlMs: 0 }))).toBe("usage/invalid");
    expect(await code(peer.records.put("x", { signal: AbortSignal.abort() }))).not.toBe("none");
    await peer.close();
    expect(await code(peer.records.put("x"))).toBe("peer/closed");
  });
});

test("put, set and lookup in processes of their own, Node and Deno", async () => {
  const url = await startEdge();
  const keeper = new Command([
    "up",
    "--edge",
    url,
    "--listen",
    "127.0.0.1:0",
    "--data",
    await temporaryFolder(),
  ]);
  await keeper.wait("ready");
  const data = await temporaryFolder();
  const words = ["--edge", url, "--data", data];
  const put = await finish(["put", "hello", ...words]);
  expect(put.events.at(-1)).toMatchObject({ event: "stored", copies: 1 });
  const key = String(put.events.at(-1)?.["key"]);
  const found = await finish(["lookup", key, ...words], { runtime: "deno" });
  expect(found.events.at(-1)).toMatchObject({ event: "found", key, value: "hello" });
  for (const seq of [1, 2]) {
    const set = await finish(["set", "name", `value ${seq}`, ...words]);
    expect(set.events.at(-1)).toMatchObject({ event: "stored", seq });
  }
  const id = String((await finish(["id", "--data", data])).events.at(-1)?.["id"]);
  const named = await finish(["lookup", `${id}/name`, "--edge", url, "--data", await temporaryFolder()]);
  expect(named.events.at(-1)).toMatchObject({ event: "found", value: "value 2", seq: 2 });
  const missing = await finish(["lookup", "0".repeat(64), ...words]);
  expect(missing).toMatchObject({ code: 1 });
  expect(missing.events.at(-1)).toMatchObject({ event: "error", code: "records/not-found" });
  expect((await finish(["lookup", "nothing", ...words])).code).toBe(2);
});
