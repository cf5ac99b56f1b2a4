import { expect, test } from "vitest";
import { LENGTH_BYTES } from "../../../peer/links/frame-assembler.ts";
import type { Link } from "../../../peer/links/link.ts";
import { TCP_MAGIC, tcpLink } from "../../../peer/links/tcp.ts";
import type { ByteSocket } from "../../../peer/runtime.ts";
import { concatBytes, utf8, writeUint32 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";

/** A socket whose other side is the test. */
class FakeSocket implements ByteSocket {
  readonly remoteAddress = "192.0.2.1:4000";
  readonly writes: Uint8Array[] = [];
  readonly calls: string[] = [];
  bufferedBytes = 0;
  onData: (bytes: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};

  write(parts: readonly Uint8Array[]): void {
    this.writes.push(concatBytes(...parts));
  }
  close(): void {
    this.calls.push("close");
  }
  destroy(): void {
    this.calls.push("destroy");
  }
}

function setUp(firstBytes?: Uint8Array) {
  const socket = new FakeSocket();
  const link: Link = tcpLink(socket, firstBytes);
  const seen = { frames: [] as Uint8Array[], closes: [] as (string | undefined)[], drains: 0 };
  link.onFrame = (frame) => seen.frames.push(frame.slice());
  link.onClose = (error) => seen.closes.push(error?.code);
  link.onDrain = () => (seen.drains += 1);
  return { socket, link, seen };
}

function lengthOf(bytes: number): Uint8Array {
  const head = new Uint8Array(LENGTH_BYTES);
  writeUint32(head, 0, bytes);
  return head;
}

const framed = (text: string): Uint8Array => concatBytes(lengthOf(utf8(text).length), utf8(text));

test("the magic goes out first, then every frame behind its length in one write", () => {
  const { socket, link } = setUp();
  expect(socket.writes).toEqual([utf8("ploom/t1")]);
  link.send([utf8("ab"), utf8(""), utf8("c")]);
  link.send([new Uint8Array(300)]);
  expect(socket.writes.slice(1)).toEqual([
    Uint8Array.of(0, 0, 0, 3, 97, 98, 99),
    concatBytes(Uint8Array.of(0, 0, 1, 44), new Uint8Array(300)),
  ]);
});

test("magic and frames are read wherever they are cut", () => {
  const bytes = concatBytes(TCP_MAGIC, framed("one"), framed("two"));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { socket, seen } = setUp();
    socket.onData(bytes.subarray(0, cut));
    socket.onData(bytes.subarray(cut));
    expect(seen, `cut at ${cut}`).toEqual({ frames: [utf8("one"), utf8("two")], closes: [], drains: 0 });
  }
});

test("bytes that were read before the link was made count", () => {
  const { socket, seen } = setUp(concatBytes(TCP_MAGIC, framed("early").subarray(0, 6)));
  socket.onData(framed("early").subarray(6));
  expect(seen.frames).toEqual([utf8("early")]);
});

test.each([
  ["at its first byte", Uint8Array.of(0)],
  ["in the middle", utf8("ploXm/t1")],
  ["in the version", utf8("ploom/t2")],
  ["in the version, with a frame behind it", concatBytes(utf8("ploom/t2"), framed("one"))],
])("another magic ends the link %s", (_, bytes) => {
  const { socket, link, seen } = setUp();
  for (const byte of bytes) socket.onData(Uint8Array.of(byte));
  expect(seen).toEqual({ frames: [], closes: ["wire/malformed"], drains: 0 });
  expect(socket.calls).toContain("destroy");
  link.send([utf8("late")]);
  expect(socket.writes).toEqual([TCP_MAGIC]);
});

test.each([
  ["no bytes", 0, "wire/malformed"],
  ["a byte too many", FRAME_BYTES_MAX + 1, "link/frame-too-large"],
] as const)("a frame of %s ends the link once, and nothing behind it counts", (_, length, code) => {
  const { socket, seen } = setUp();
  socket.onData(concatBytes(TCP_MAGIC, framed("good"), lengthOf(length), framed("bad")));
  socket.onData(framed("later"));
  socket.onClose(new PeerloomError("link/failed", "The connection was reset."));
  expect(seen).toEqual({ frames: [utf8("good")], closes: [code], drains: 0 });
  expect(socket.calls).toContain("destroy");
});

test("what the socket tells is what the link tells", () => {
  const { socket, link, seen } = setUp();
  socket.bufferedBytes = 1_234;
  expect(link.bufferedBytes).toBe(1_234);
  expect(link.description).toContain(socket.remoteAddress);
  socket.onDrain();
  socket.onClose(new PeerloomError("link/failed", "The connection was reset."));
  expect(seen).toEqual({ frames: [], closes: ["link/failed"], drains: 1 });
});

test("closing is the socket's, once; an error that comes of it is no error of the link", () => {
  const { socket, link, seen } = setUp();
  link.close();
  link.close();
  link.send([utf8("late")]);
  expect([socket.calls, socket.writes]).toEqual([["close"], [TCP_MAGIC]]);
  expect(seen.closes).toEqual([]);
  socket.onClose(new PeerloomError("link/failed", "The connection was reset."));
  expect(seen.closes).toEqual([undefined]);
});

test("a link that closes can still be destroyed", () => {
  const { socket, link } = setUp();
  link.close();
  link.destroy();
  expect(socket.calls).toEqual(["close", "destroy"]);
});
