/** The window on a pipe with a rate and a round trip: it opens until the pipe is full and closes when the pipe narrows. */
import { describe, expect, test } from "vitest";
import { type DeliveryMark, SendWindow } from "../../../peer/session/send-window.ts";

const KIB = 1024;
const LIMITS = { bytesMax: 4 * KIB * KIB, frameBytesMax: 256 * KIB };

interface Pipe {
  bytesPerMs: number;
  rttMs: number;
}

/** A sender that always has something to send, and acknowledges each frame a round trip after the pipe has passed it. */
class Sender {
  readonly window: SendWindow;
  readonly pipe: Pipe;
  nowMs = 0;
  deliveredBytes = 0;
  readonly #underWay: { readonly bytes: number; readonly mark: DeliveryMark; readonly ackAtMs: number }[] =
    [];
  #pipeFreeAtMs = 0;

  constructor(pipe: Pipe, limits = LIMITS) {
    this.pipe = pipe;
    this.window = new SendWindow(limits);
  }

  run(durationMs: number): void {
    const untilMs = this.nowMs + durationMs;
    while (this.nowMs < untilMs) {
      while (this.window.inFlightBytes < this.windowBytes) this.send(this.window.frameBytes());
      this.acknowledge();
    }
  }

  get windowBytes(): number {
    return this.window.bytes(this.pipe.rttMs);
  }

  send(bytes: number): void {
    const { bytesPerMs, rttMs } = this.pipe;
    this.#pipeFreeAtMs = Math.max(this.#pipeFreeAtMs, this.nowMs) + bytes / bytesPerMs;
    const mark = this.window.sent(bytes, rttMs, this.nowMs);
    this.#underWay.push({ bytes, mark, ackAtMs: this.#pipeFreeAtMs + rttMs });
  }

  acknowledge(): void {
    const frame = this.#underWay.shift();
    if (frame === undefined) throw new Error("Nothing is under way.");
    this.nowMs = frame.ackAtMs;
    this.deliveredBytes += frame.bytes;
    this.window.acknowledged(frame.bytes, frame.mark, this.nowMs);
  }
}

describe.each([
  { bytesPerMs: 100, rttMs: 20 },
  { bytesPerMs: 1_000, rttMs: 150 },
  { bytesPerMs: 10_000, rttMs: 2 },
])("a pipe of $bytesPerMs bytes a millisecond and $rttMs ms", (pipe) => {
  test("is filled, and little more waits than bulk may make wait", () => {
    const sender = new Sender({ ...pipe });
    sender.run(3_000);
    const product = pipe.bytesPerMs * pipe.rttMs;
    expect(sender.windowBytes).toBeGreaterThan(product);
    expect(sender.windowBytes).toBeLessThan(1.25 * pipe.bytesPerMs * (1.5 * pipe.rttMs + 25) + 16 * KIB);
    sender.deliveredBytes = 0;
    sender.run(1_000);
    expect(sender.deliveredBytes).toBeGreaterThan(0.95 * 1_000 * pipe.bytesPerMs);
  });

  test("that becomes four times as slow makes the window fall with it", () => {
    const sender = new Sender({ ...pipe });
    sender.run(3_000);
    const before = sender.windowBytes;
    sender.pipe.bytesPerMs /= 4;
    sender.run(10_000);
    expect(sender.windowBytes).toBeLessThan(Math.max(before / 2, 16 * KIB + 1));
  });
});

test("before anything was measured the window is modest", () => {
  const window = new SendWindow(LIMITS);
  expect(window.bytes(undefined)).toBe(64 * KIB);
  expect(window.bytes(1_000)).toBe(64 * KIB);
  expect(window.frameBytes()).toBe(16 * KIB);
});

test("the slowest pipe leaves room for some frames, the fastest for no more than the link allows", () => {
  const slow = new Sender({ bytesPerMs: 1, rttMs: 10 });
  slow.run(200_000);
  expect(slow.windowBytes).toBe(16 * KIB);
  expect(slow.window.frameBytes()).toBe(4 * KIB);
  const fast = new Sender({ bytesPerMs: 1_000_000, rttMs: 50 });
  fast.run(1_000);
  expect(fast.windowBytes).toBe(LIMITS.bytesMax);
  expect(fast.window.frameBytes()).toBe(LIMITS.frameBytesMax);
});

test("a relay's low limits hold before and after measuring", () => {
  const sender = new Sender({ bytesPerMs: 10_000, rttMs: 50 }, { bytesMax: 20_000, frameBytesMax: 3_000 });
  expect(sender.windowBytes).toBe(20_000);
  expect(sender.window.frameBytes()).toBe(3_000);
  sender.run(1_000);
  expect(sender.windowBytes).toBe(20_000);
  expect(sender.window.frameBytes()).toBe(3_000);
});

test("an application that sends little does not close the window that a full pipe has opened", () => {
  const sender = new Sender({ bytesPerMs: 1_000, rttMs: 50 });
  sender.run(2_000);
  while (sender.window.inFlightBytes > 0) sender.acknowledge();
  const before = sender.windowBytes;
  for (let i = 0; i < 100; i++) {
    sender.send(100);
    sender.acknowledge();
  }
  expect(sender.windowBytes).toBe(before);
});

test("frames that go again elsewhere are no longer in flight, and say nothing of the rate", () => {
  const sender = new Sender({ bytesPerMs: 1_000, rttMs: 50 });
  sender.run(2_000);
  const before = sender.windowBytes;
  sender.window.forgotten(sender.window.inFlightBytes - 1_000);
  expect(sender.window.inFlightBytes).toBe(1_000);
  sender.window.forgotten(5_000);
  expect(sender.window.inFlightBytes).toBe(0);
  expect(sender.windowBytes).toBe(before);
});

test("a frame that took far longer than the rate had promised closes the window, full or not", () => {
  const sender = new Sender({ bytesPerMs: 1_000, rttMs: 50 });
  sender.run(2_000);
  while (sender.window.inFlightBytes > 0) sender.acknowledge();
  const before = sender.windowBytes;
  sender.pipe.bytesPerMs = 1;
  sender.send(100);
  sender.acknowledge();
  expect(sender.windowBytes).toBeLessThan(0.71 * before);
  sender.pipe.bytesPerMs = 1_000;
  for (let i = 0; i < 10; i++) {
    sender.send(100);
    sender.acknowledge();
  }
  expect(sender.windowBytes).toBeGreaterThan(0.69 * before);
});
