/** A peer that proved its key and then misbehaves: its session may end; our memory and other peers' sessions do not. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { encodeControl } from "../../../peer/session/control.ts";
import { STREAM_WINDOW_BYTES } from "../../../peer/session/mux-stream.ts";
import { nonceOf } from "../../../peer/session/seal.ts";
import { bytesHead, encodeStreamFrame } from "../../../peer/session/stream-frames.ts";
import { LINK_BUFFER_HIGH_BYTES } from "../../../peer/links/link.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { FRAME, frameHeader } from "../../../shared/frame.ts";
import { inWorld, type Wire, type World } from "./world.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Speaks to Bob with Alice's keys. Her own session hears no more, or it would wonder at his answers. */
async function impostor(world: World, wire: Wire = {}) {
  let deaf = false;
  const { link, alice, bob } = await world.connect({
    ...wire,
    meddler: (frame, direction) => (deaf && direction === "to-first" ? [] : [frame]),
  });
  deaf = true;
  world.bob.handlers.set("hold/1", (stream) => stream.closed);
  let seq = 0;
  let counter = 1_000_000;
  const send = async (type: number, number: number, plaintext: Uint8Array): Promise<void> => {
    const header = frameHeader(type, number);
    const key = type === FRAME.data ? alice.keys.sendData : alice.keys.sendControl;
    link.inject(concatBytes(header, ...(await key.seal(nonceOf(number), header, [plaintext]))), "to-second");
  };
  return {
    bob,
    bobsLink: link.second,
    data: (...parts: Uint8Array[]) => send(FRAME.data, seq++, concatBytes(...parts)),
    control: (plaintext: Uint8Array) => send(FRAME.control, counter++, plaintext),
  };
}

const open = (id: number): Uint8Array =>
  encodeStreamFrame({ kind: "open", id, protocol: "hold/1", priority: "normal" });

function bytesOf(length: number): Uint8Array {
  return concatBytes(bytesHead(1, length), new Uint8Array(length));
}

/** What ends the session of a peer that says this, one data frame each. */
function endedBy(name: string, ...plaintexts: readonly Uint8Array[]): void {
  test(`${name} ends the session, and only that`, () =>
    inWorld({ seed: 2 }, async (world) => {
      const hostile = await impostor(world);
      for (const plaintext of plaintexts) await hostile.data(plaintext);
      await world.clock.advance(1_000);
      expect(hostile.bob.closed).toBe(true);
    }));
}

endedBy("more than was granted", open(1), bytesOf(200_000), bytesOf(STREAM_WINDOW_BYTES - 199_999));
endedBy("a stream that was never opened", concatBytes(bytesHead(7, 1), new Uint8Array(1)));
endedBy("our own stream ids", open(2));
endedBy("a stream opened twice", open(1), open(1));
endedBy("an unknown stream frame", Uint8Array.of(99, 0, 0, 0, 1));
endedBy("half a stream frame", Uint8Array.of(1, 0, 0));
endedBy("a protocol of invalid UTF-8", Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0, 3, 1, 0xff, 0xfe));

test("an acknowledgement of what was never sent ends the session", () =>
  inWorld({ seed: 1 }, async (world) => {
    const hostile = await impostor(world);
    await hostile.control(encodeControl([{ kind: "ack", next: 5_000 }]));
    await world.clock.advance(1_000);
    expect(hostile.bob.closed).toBe(true);
  }));

test("frames that somebody between has repeated do not end the session", () =>
  inWorld({ seed: 2 }, async (world) => {
    const hostile = await impostor(world);
    await hostile.control(encodeControl([{ kind: "taken", frames: 5_000 }]));
    await world.clock.advance(1_000);
    expect(hostile.bob.closed).toBe(false);
  }));

test("empty frames of bytes do not pile up", () =>
  inWorld({ seed: 3 }, async (world) => {
    const hostile = await impostor(world);
    await hostile.data(open(1));
    const empty = concatBytes(...Array.from({ length: 20_000 }, () => bytesHead(1, 0)));
    const before = heapBytes();
    for (let i = 0; i < 20; i++) await hostile.data(empty);
    await world.clock.advance(1_000);
    expect(heapBytes() - before).toBeLessThan(8 * STREAM_WINDOW_BYTES);
  }));

test("a byte does not pin the whole frame that it came in", () =>
  inWorld({ seed: 4 }, async (world) => {
    const hostile = await impostor(world);
    await hostile.data(open(1));
    const filler = concatBytes(
      ...Array.from({ length: 20_000 }, () => encodeStreamFrame({ kind: "credit", id: 1, bytes: 0 })),
    );
    const before = await bufferBytes();
    for (let i = 0; i < 400; i++) {
      await hostile.data(filler, bytesHead(1, 1), new Uint8Array(1));
      if (i % 20 === 19) await world.clock.advance(100); // So that little is on its way at once.
    }
    expect((await bufferBytes()) - before).toBeLessThan(16 * 1024 * 1024);
  }));

test("bytes that come one in a frame take little more memory than they are", () =>
  inWorld({ seed: 6 }, async (world) => {
    const hostile = await impostor(world);
    await hostile.data(open(1));
    const [frames, each] = [16, STREAM_WINDOW_BYTES / 16];
    const one = concatBytes(bytesHead(1, 1), Uint8Array.of(7));
    const many = concatBytes(...Array.from({ length: each }, () => one));
    const before = heapBytes() + (await bufferBytes());
    for (let i = 0; i < frames; i++) await hostile.data(many);
    await world.clock.advance(1_000);
    expect(hostile.bob.heldBytes).toBe(STREAM_WINDOW_BYTES);
    expect(heapBytes() + (await bufferBytes()) - before).toBeLessThan(8 * STREAM_WINDOW_BYTES);
  }));

test("pings without end are not answered without end", () =>
  inWorld({ seed: 5 }, async (world) => {
    const hostile = await impostor(world, { bytesPerSecond: 10_000 });
    const pings = encodeControl(Array.from({ length: 16 }, (_, id) => ({ kind: "ping" as const, id })));
    for (let i = 0; i < 8_000; i++) await hostile.control(pings);
    await world.clock.advance(500);
    expect(hostile.bobsLink.bufferedBytes).toBeLessThan(2 * LINK_BUFFER_HIGH_BYTES);
  }));

/** As `heapBytes`, of array buffers; these are swept beside the program, so the second collection waits for the first. */
async function bufferBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().arrayBuffers;
}

/** What is still reachable. */
function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
