/** Strangers at a peer's open port: whatever they send, the peer stays up and small, and honest sessions go on. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { TCP_MAGIC } from "../../peer/links/tcp.ts";
import type { Session } from "../../peer/node.ts";
import { FRAME } from "../../shared/frame.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import { ROOT } from "./command.ts";
import { checkEcho, codeOf, openPeer } from "./peers.ts";

const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
/** A stranger that says nothing is cut by then: the peer gives ten seconds. */
const SILENCE_MS = 14_000;

/** Tells its memory, rubbish taken out, whenever a line comes in. */
const PROGRAM = `
  import { Peer } from ${JSON.stringify(new URL("../../peer/node.ts", import.meta.url).href)};
  const peer = await Peer.open({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const tell = () => { gc(); console.log(JSON.stringify({ id: peer.id, addresses: peer.listenAddresses, liveBytes: process.memoryUsage().heapUsed + process.memoryUsage().external, sessions: peer.sessions().length })); };
  process.stdin.on("data", tell);
  process.stdin.on("end", () => void peer.close());
  tell();
`;

interface Told {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly liveBytes: number;
  readonly sessions: number;
}

const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", PROGRAM], {
  cwd: ROOT,
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const strangers = new Set<{ destroy(): void }>();
let before: Told;
let port = 0;

async function told(): Promise<Told> {
  child.stdin.write("\n");
  return JSON.parse((await lines.next()).value as string) as Told;
}

beforeAll(async () => {
  before = JSON.parse((await lines.next()).value as string) as Told;
  port = Number(new URL(before.addresses[0] ?? "").port);
});
afterEach(() => {
  for (const stranger of strangers) stranger.destroy();
  strangers.clear();
});
afterAll(async () => {
  const exit = once(child, "exit");
  child.stdin.end();
  expect(await exit).toEqual([0, null]);
});

async function honestSession(): Promise<Session> {
  const peer = await openPeer({ edge: null, webrtc: false });
  const session = await peer.connect(before.id, { addresses: before.addresses });
  await checkEcho(session, randomBytes(100_000));
  return session;
}

interface Stranger {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
}

/** Connects, sends, and waits for nothing. */
async function stranger(...parts: readonly (Uint8Array | string)[]): Promise<Stranger> {
  const socket = connect(port, "127.0.0.1");
  strangers.add(socket);
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.resume();
  await Promise.race([once(socket, "connect"), closed]);
  for (const part of parts) socket.write(part);
  return { socket, closed };
}

function framed(frame: Uint8Array, length: number = frame.length): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, frame]);
}

async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const frameOf = (type: number, bytes: number): Buffer => Buffer.concat([Buffer.of(type), randomBytes(bytes)]);

describe("what is no handshake costs the stranger its socket", () => {
  const attacks: { readonly name: string; readonly parts: () => readonly (Uint8Array | string)[] }[] = [
    { name: "random bytes", parts: () => [randomBytes(100_000)] },
    { name: "a byte of something else", parts: () => ["x"] },
    { name: "HTTP without an upgrade", parts: () => ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"] },
    { name: "HTTP garbage", parts: () => ["GET \u0000\u0001\r\n\r\n\r\n", randomBytes(50_000)] },
    { name: "endless HTTP headers", parts: () => ["GET / HTTP/1.1\r\n", "x: y\r\n".repeat(50_000)] },
    {
      name: "a frame with a length of 4 GiB",
      parts: () => [TCP_MAGIC, framed(randomBytes(1000), 0xffff_ffff)],
    },
    {
      name: "a frame one byte too long",
      parts: () => [TCP_MAGIC, framed(randomBytes(10), FRAME_BYTES_MAX + 1)],
    },
    { name: "an empty frame", parts: () => [TCP_MAGIC, framed(new Uint8Array(0))] },
    { name: "a frame of random bytes", parts: () => [TCP_MAGIC, framed(frameOf(200, 1000))] },
    ...Object.entries(FRAME).map(([name, type]) => ({
      name: `a forged ${name} of 96 and one of 200,000 bytes`,
      parts: () => [TCP_MAGIC, framed(frameOf(type, 96)), framed(frameOf(type, 200_000))],
    })),
  ];

  test.each(attacks)("$name", async ({ parts }) => {
    const session = await honestSession();
    const { closed } = await stranger(...parts());
    await within(closed, 5_000, "the stranger is cut");
    await checkEcho(session, randomBytes(100_000));
    await honestSession();
  });

  test("a WebSocket with random messages", async () => {
    const session = await honestSession();
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    strangers.add({ destroy: () => socket.terminate() });
    socket.on("error", () => {});
    await once(socket, "open");
    const closed = once(socket, "close");
    for (let i = 0; i < 10; i++) socket.send(randomBytes(10_000));
    await within(closed, 5_000, "the stranger is cut");
    await checkEcho(session, randomBytes(100_000));
  });
});

test("300 strangers at once, and 1000 with garbage: bounded, and honest sessions go on", async () => {
  const session = await honestSession();
  await checkEcho(session, randomBytes(5_000_000));
  const { liveBytes } = await told();
  for (let round = 0; round < 10; round++) {
    const crowd = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        i % 2 === 0
          ? stranger(randomBytes(10_000))
          : stranger(TCP_MAGIC, framed(frameOf(FRAME.hello, 96)), framed(randomBytes(200_000))),
      ),
    );
    await within(Promise.all(crowd.map(({ closed }) => closed)), 10_000, "all are cut");
  }
  // Each holds the largest frame open that is let in, all but its last byte.
  const half = framed(randomBytes(FRAME_BYTES_MAX - 1), FRAME_BYTES_MAX);
  const holding = await Promise.all(Array.from({ length: 300 }, () => stranger(TCP_MAGIC, half)));
  await checkEcho(session, randomBytes(1_000_000));
  for (const { socket } of holding) socket.destroy();
  await checkEcho(session, randomBytes(1_000_000));
  await expect
    .poll(async () => (await told()).liveBytes - liveBytes, { timeout: 10_000 })
    .toBeLessThan(GROWTH_BYTES_MAX);
});

test(
  "300 that say nothing, or stop half-way: all are cut, and the port serves again",
  { timeout: 60_000 },
  async () => {
    const session = await honestSession();
    const kinds = [
      [],
      [TCP_MAGIC],
      [TCP_MAGIC.subarray(0, 3)],
      [TCP_MAGIC, "\u0000\u0000"],
      ["GET / HT"],
    ] as const;
    const crowd = await Promise.all(
      Array.from({ length: 300 }, (_, i) => stranger(...(kinds[i % kinds.length] ?? []))),
    );
    const upgraded = new WebSocket(`ws://127.0.0.1:${port}/`);
    strangers.add({ destroy: () => upgraded.terminate() });
    upgraded.on("error", () => {});
    const upgradedClosed = new Promise((resolve) => upgraded.once("close", resolve));
    await checkEcho(session, randomBytes(1_000_000));
    const left = new Map<string, number>();
    const all = crowd.map(({ closed }, i) => {
      const kind = JSON.stringify(String(kinds[i % kinds.length]));
      left.set(kind, (left.get(kind) ?? 0) + 1);
      return closed.then(() => left.set(kind, (left.get(kind) ?? 0) - 1));
    });
    const error = await codeOf(within(Promise.all([...all, upgradedClosed]), SILENCE_MS, "all are cut"));
    expect(Object.fromEntries(left), error).toEqual(
      Object.fromEntries([...left.keys()].map((kind) => [kind, 0])),
    );
    expect(error).toBe("none");
    await checkEcho(session, randomBytes(1_000_000));
    await honestSession();
  },
);
