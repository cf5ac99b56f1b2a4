/** Doors of peers on the embedded edge, with each other and with a peer's handlers; what pages see of them is in test/browser. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type PeerJsConnection, PeerJsDoor } from "../../peer/peerjs-node.ts";
import type { PeerJsDoorOptions } from "../../peer/peerjs/options.ts";
import type { StreamHandler } from "../../peer/node.ts";
import { ROOT } from "./command.ts";
import { bootstrapOf, codeOf, openEdge, openPeer } from "./peers.ts";

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

const bytesOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 251);

test("two doors: values, metadata, order, 10 MB and an orderly end", async () => {
  const { url } = await openEdge();
  const [here, there] = await Promise.all([openDoor(url), openDoor(url, { id: "there" })]);
  const [near, far] = await Promise.all([
    here.connect("there", { metadata: { any: ["json", null] }, label: "a label" }),
    first(there),
  ]);
  expect([far.peer, far.label, far.metadata, far.serialization, far.reliable]).toEqual([
    here.id,
    "a label",
    { any: ["json", null] },
    "binary",
    true,
  ]);
  await far.send("ready");
  expect(await next(near)).toBe("ready");
  for (let n = 0; n < 1_000; n++) void near.send({ n, none: undefined, at: new Uint8Array([n & 0xff]) });
  for (let n = 0; n < 1_000; n++)
    expect(await next(far)).toStrictEqual({ n, none: undefined, at: Uint8Array.of(n & 0xff).buffer });
  const big = bytesOf(10_000_000);
  await far.send(big);
  expect(Buffer.from((await next(near)) as ArrayBuffer).equals(big)).toBe(true);
  // What was given to send before close arrives before the end.
  const last = far.send("last");
  await far.close();
  await last;
  const rest: unknown[] = [];
  for await (const value of near) rest.push(value);
  expect(rest).toEqual(["last"]);
  expect(await near.closed).toBeUndefined();
  expect(await codeOf(near.send("late"))).toBe("link/closed");
});

test("ids: taken, unknown keys, unknown servers, nobody there", async () => {
  const { url } = await openEdge();
  const door = await openDoor(url, { id: "mine" });
  const open = (options: PeerJsDoorOptions): Promise<string> => codeOf(PeerJsDoor.open(options));
  const { hostname: host, port } = new URL(url);
  const server = { host, port: Number(port), path: "/peerjs" };
  expect(await open({ ...server, id: "mine" })).toBe("peerjs/id-taken");
  expect(await open({ ...server, key: "another" })).toBe("peerjs/key-invalid");
  expect(await open({ ...server, path: "/nowhere" })).toBe("edge/unreachable");
  expect(await open({ host, port: 9 })).toBe("edge/unreachable");
  expect(await codeOf(door.connect("nobody"))).toBe("peer/not-found");
  // The id is free again at once.
  await door.close();
  const again = await openDoor(url, { ...server, id: "mine" });
  expect(again.isConnected).toBe(true);
});

test("who comes with the same id and token takes the door's place", async () => {
  const { url } = await openEdge();
  const options = { id: "mine", token: "ours" };
  const former = await openDoor(url, options);
  const closed = new Promise((resolve) => former.addEventListener("close", resolve, { once: true }));
  const state = new Promise<CustomEvent>((resolve) =>
    former.addEventListener("server", (event) => resolve(event as CustomEvent), { once: true }),
  );
  await openDoor(url, options);
  expect((await state).detail).toMatchObject({ connected: false, error: { code: "edge/replaced" } });
  await closed;
});

test("one handler answers streams of peers and of PeerJS; it can reach on into the network", async () => {
  const { url } = await openEdge();
  const network = { edge: null, network: "bridge", webrtc: false } as const;
  const store = await openPeer({ ...network, listen: "127.0.0.1:0" });
  const gateway = await openPeer({ ...network, listen: "127.0.0.1:0", bootstrap: bootstrapOf(store) });
  const reverse: StreamHandler = async (stream) => {
    const writer = stream.writable.getWriter();
    for await (const bytes of stream.readable) await writer.write(bytes.toReversed());
    await writer.close();
  };
  store.handle("reverse/1", reverse);
  const door = await openDoor(url, { id: "gateway" });
  door.handle("reverse/1", async (stream) => {
    const session = await gateway.connect(store.id, { addresses: store.listenAddresses });
    const onwards = await session.open("reverse/1");
    await Promise.all([stream.readable.pipeTo(onwards.writable), onwards.readable.pipeTo(stream.writable)]);
  });
  door.handle("reverse/2", (stream) => reverse(stream, {} as never));
  const page = await openDoor(url);
  for (const label of ["reverse/1", "reverse/2"]) {
    for (const serialization of ["raw", "binary"] as const) {
      const connection = await page.connect("gateway", { label, serialization });
      await connection.send(Uint8Array.of(1, 2, 3));
      expect(new Uint8Array((await next(connection)) as ArrayBuffer)).toEqual(Uint8Array.of(3, 2, 1));
      await connection.close();
    }
  }
  const unordered = await page.connect("gateway", { label: "reverse/1", reliable: false });
  expect(await unordered.closed).toBeUndefined();
});

test("a stream of 3 MB is whole, and ends", async () => {
  const { url } = await openEdge();
  const [door, page] = [await openDoor(url, { id: "source" }), await openDoor(url)];
  const big = bytesOf(3_000_000);
  door.handle("source/1", async (stream) => {
    const writer = stream.writable.getWriter();
    await writer.write(big);
    await writer.close();
  });
  const source = await page.connect("source", { label: "source/1", serialization: "raw" });
  const came: Buffer[] = [];
  for await (const value of source) came.push(Buffer.from(value as ArrayBuffer));
  expect(Buffer.concat(came).equals(big)).toBe(true);
  // The other way: it says that it is ready, and how much has come.
  door.handle("sink/1", async (stream) => {
    const writer = stream.writable.getWriter();
    await writer.write(Uint8Array.of(1));
    const hash = createHash("sha256");
    let left = big.length;
    for await (const bytes of stream.readable) {
      hash.update(bytes);
      left -= bytes.length;
      if (left === 0) await writer.write(hash.digest());
    }
  });
  const sink = await page.connect("source", { label: "sink/1" });
  await next(sink);
  for (let offset = 0; offset < big.length; offset += 500_000)
    await sink.send(big.subarray(offset, offset + 500_000));
  expect(Buffer.from((await next(sink)) as ArrayBuffer)).toEqual(createHash("sha256").update(big).digest());
});

test("a door in Deno", async () => {
  const { url } = await openEdge();
  const words = ["run", "-A", join(ROOT, "test", "integration", "peerjs-echo.ts"), url, "deno-door"];
  const child = spawn(join(ROOT, "node_modules", ".bin", "deno"), words, {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: ROOT,
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  const connection = await (await openDoor(url)).connect("deno-door");
  for (const value of ["hello", { big: bytesOf(100_000).buffer }]) {
    await connection.send(value);
    expect(await next(connection)).toStrictEqual(value);
  }
  await connection.send("stop");
  expect(await connection.closed).toBeUndefined();
  expect((await exit)[0]).toBe(0);
});
