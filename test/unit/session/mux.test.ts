/** What two muxes make of each other's frames, without a session between them. */
import { beforeEach, expect, test } from "vitest";
import { Mux } from "../../../peer/session/mux.ts";
import type { MuxStream } from "../../../peer/session/mux-stream.ts";
import {
  bytesHead,
  encodeStreamFrame,
  SESSION_SIGNAL_BYTES_MAX,
} from "../../../peer/session/stream-frames.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

/** What a quiet path makes of its frames, and what its link would take. */
const SMALL_BYTES = 4_096;
const LINK_BYTES = 65_536;

/** One side, and what it was told. */
class Side {
  readonly signals: number[] = [];
  readonly overlay: number[] = [];
  readonly opened: MuxStream[] = [];
  readonly mux: Mux;

  constructor(role: "dialler" | "acceptor") {
    this.mux = new Mux({
      role,
      wake: () => {},
      onOpen: (stream) => void this.opened.push(stream),
      onSignal: ({ length }) => void this.signals.push(length),
      onOverlay: ({ length }) => void this.overlay.push(length),
      rttMs: () => 0,
      nowMs: () => 0,
    });
  }

  take(bytesMax: number, { urgentOnly = false, linkBytesMax = LINK_BYTES } = {}): Uint8Array | undefined {
    const plaintext = this.mux.take(bytesMax, urgentOnly, linkBytesMax);
    return plaintext === undefined ? undefined : concatBytes(...plaintext.parts);
  }
}

let near: Side;
let far: Side;
beforeEach(() => {
  near = new Side("dialler");
  far = new Side("acceptor");
});

/** Moves everything to the far side. @returns the lengths of the plaintexts */
function deliver(bytesMax: number, how?: { urgentOnly?: boolean; linkBytesMax?: number }): number[] {
  const lengths: number[] = [];
  for (let part = near.take(bytesMax, how); part !== undefined; part = near.take(bytesMax, how)) {
    lengths.push(part.length);
    far.mux.receive(part);
  }
  return lengths;
}

async function write(stream: MuxStream, bytes: Uint8Array): Promise<void> {
  await stream.writable.getWriter().write(bytes);
}

test("a control frame larger than the path's frames goes alone", () => {
  near.mux.sendSignal(new Uint8Array(SESSION_SIGNAL_BYTES_MAX));
  near.mux.sendOverlay(new Uint8Array(10));
  expect(deliver(SMALL_BYTES, { urgentOnly: true })).toHaveLength(2);
  expect(far.signals).toEqual([SESSION_SIGNAL_BYTES_MAX]);
  expect(far.overlay).toEqual([10]);
});

test("one that the link cannot take waits for another, and what is behind it too", async () => {
  near.mux.sendSignal(new Uint8Array(20_000));
  await write(near.mux.open("echo/1", "interactive"), new Uint8Array(5));
  expect(near.take(SMALL_BYTES, { linkBytesMax: 16_000 })).toBeUndefined();
  expect(near.mux.hasOutput).toBe(true);
  deliver(SMALL_BYTES);
  expect(far.signals).toEqual([20_000]);
  expect(far.opened[0]?.heldBytes).toBe(5);
});

test("bytes do not overtake the opening of their stream", async () => {
  for (const length of [2_500, 2_500]) near.mux.sendSignal(new Uint8Array(length));
  await write(near.mux.open("echo/1", "interactive"), new Uint8Array(1_000));
  deliver(SMALL_BYTES);
  expect(far.opened[0]?.heldBytes).toBe(1_000);
});

test("nothing is received once it has failed", () => {
  far.mux.fail(new PeerloomError("session/closed", "Over."));
  far.mux.receive(
    concatBytes(
      encodeStreamFrame({ kind: "open", id: 1, protocol: "echo/1", priority: "normal" }),
      encodeStreamFrame({ kind: "signal", bytes: new Uint8Array(1) }),
      bytesHead(9, 0),
    ),
  );
  expect(far.opened).toEqual([]);
  expect(far.signals).toEqual([]);
});

test("a failure in the middle of a plaintext is the end of it", () => {
  const over = new PeerloomError("session/closed", "Over.");
  const side = new Mux({
    role: "acceptor",
    wake: () => {},
    onOpen: () => side.fail(over),
    onSignal: () => expect.unreachable("after the end"),
    onOverlay: () => {},
    rttMs: () => 0,
    nowMs: () => 0,
  });
  near.mux.open("echo/1", "normal");
  near.mux.sendSignal(new Uint8Array(1));
  side.receive(near.take(SMALL_BYTES) as Uint8Array);
});
