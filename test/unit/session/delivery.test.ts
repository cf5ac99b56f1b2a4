/** Reliable delivery over paths that a test makes and breaks; what whole sessions do with it is in test/property/session. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { simAead } from "../../../peer/adapters/sim/aead.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import type { AeadKey } from "../../../peer/runtime.ts";
import type { ControlOperation } from "../../../peer/session/control.ts";
import { Delivery } from "../../../peer/session/delivery.ts";
import type { Plaintext } from "../../../peer/session/mux.ts";
import type { Path } from "../../../peer/session/path.ts";
import { parseFrame, type SealedFrame } from "../../../shared/frame.ts";
import { outcomeOf, pathOf } from "./support.ts";

let clock: SimClock;
let key: AeadKey;
beforeEach(async () => {
  clock = new SimClock();
  key = await simAead().importKey("aes-256-gcm", new Uint8Array(32));
});
afterEach(() => clock.close());

/** One side: what it is to send, what it was given, and what it says of that; mux and paths in one. */
class Side {
  readonly output: number[] = [];
  readonly input: number[] = [];
  readonly said: (readonly [Path, readonly ControlOperation[]])[] = [];
  readonly delivery: Delivery;
  active: Path | undefined;
  /** Those that share the bulk with it. */
  alike: Path[] = [];
  untold: Path[] = [];

  constructor(version = 2) {
    this.delivery = new Delivery({
      clock,
      version,
      keys: { sendData: key, receiveData: key },
      mux: this,
      paths: this,
      control: { send: (path, operations) => void this.said.push([path, operations]) },
      blame: (_path, error) => {
        throw error;
      },
      failed: (error) => {
        throw error;
      },
    });
  }

  /** One byte a frame. */
  async write(...bytes: number[]): Promise<void> {
    this.output.push(...bytes);
    this.delivery.pumpSoon();
    await clock.advance(0);
  }

  get hasOutput(): boolean {
    return this.output.length > 0;
  }

  take(): Plaintext | undefined {
    const byte = this.output.shift();
    return byte === undefined ? undefined : { parts: [Uint8Array.of(byte)], acknowledged: [] };
  }

  receive(plaintext: Uint8Array): void {
    this.input.push(...plaintext);
  }

  get any(): Path | undefined {
    return this.active;
  }

  get carriers(): Path[] {
    return this.active === undefined ? [] : [this.active, ...this.alike];
  }

  watchClosely(): void {}
}

const frameOf = (bytes: Uint8Array): SealedFrame => parseFrame(bytes) as SealedFrame;

test("what was under way on a lost path is sent again, the same bytes, and given on once and in order", async () => {
  const [from, to] = [new Side(), new Side()];
  const [first, second]: Uint8Array[][] = [[], []];
  const lost = pathOf("tcp", "usable", first);
  from.active = lost;
  await from.write(1, 2, 3);
  const arrived = pathOf("tcp");
  to.delivery.receive(arrived, frameOf(first![1]!));
  expect([to.input, to.delivery.receivedBelow]).toEqual([[], 0]);
  from.active = pathOf("tcp", "usable", second);
  from.delivery.release(lost);
  from.delivery.pump();
  expect(second).toEqual(first);
  for (const bytes of second!) to.delivery.receive(arrived, frameOf(bytes));
  expect([to.input, to.delivery.receivedBelow]).toEqual([[1, 2, 3], 3]);
  expect(to.delivery.receivedBytes).toEqual({ direct: 3 * 17, relay: 0, overlay: 0 });
});

test("a living path that says nothing for five seconds is sent to again", async () => {
  const side = new Side();
  const sent: Uint8Array[] = [];
  side.active = pathOf("tcp", "usable", sent);
  await side.write(1);
  const resendAt = async (ms: number): Promise<number> => {
    await clock.advance(ms - clock.monotonicMs());
    side.delivery.resend(ms);
    side.delivery.pump();
    return sent.length;
  };
  expect(await resendAt(4_999)).toBe(1);
  expect(await resendAt(5_000)).toBe(2);
});

test("a link that is held is given no data, new or old, and says itself when it goes on", async () => {
  const side = new Side();
  const sent: Uint8Array[] = [];
  const path = pathOf("relay", "usable", sent);
  const held = { isHeld: true };
  Object.defineProperty(path.link, "isHeld", { get: () => held.isHeld });
  side.active = path;
  await side.write(1, 2);
  side.delivery.release(path);
  side.delivery.pump();
  expect([sent.length, side.hasOutput]).toEqual([0, true]);
  held.isHeld = false;
  side.delivery.pump();
  expect([sent.length, side.hasOutput]).toEqual([2, false]);
});

test("it says how far it has got: in a moment, at once of what came twice, and again on another path", async () => {
  const [from, to] = [new Side(), new Side()];
  const sent: Uint8Array[] = [];
  from.active = pathOf("tcp", "usable", sent);
  await from.write(1);
  to.active = pathOf("tcp");
  const acks = (): unknown[] => to.said.map(([, operations]) => operations[0]);
  to.delivery.acknowledgeAgain();
  expect(acks()).toEqual([]); // There is nothing to tell.
  to.delivery.receive(to.active, frameOf(sent[0]!));
  await clock.advance(10);
  expect(acks()).toEqual([{ kind: "ack", next: 1 }]);
  to.delivery.receive(to.active, frameOf(sent[0]!));
  expect(acks()).toHaveLength(2);
  to.active = pathOf("relay");
  to.delivery.acknowledgeAgain();
  expect(to.said[2]?.[0]).toBe(to.active);
});

test.each([
  [
    2,
    [
      { kind: "ack", next: 0 },
      { kind: "taken", frames: 1 },
    ],
  ],
  [1, [{ kind: "ack", next: 0 }]],
])(
  "in version %i links that are behind keep the others' windows open as far as it knows how",
  async (version, said) => {
    const [from, to] = [new Side(), new Side(version)];
    const sent: Uint8Array[] = [];
    from.active = pathOf("tcp", "usable", sent);
    await from.write(1, 2);
    to.active = pathOf("webrtc");
    to.untold = [to.active];
    to.delivery.receive(to.active, frameOf(sent[1]!)); // The first is still on another link.
    await clock.advance(10);
    expect(to.said).toEqual([[to.active, said]]);
  },
);

test("flushing waits for the last acknowledgement, for its time, or until all is over", async () => {
  const flushed = async (how: (delivery: Delivery) => unknown): Promise<number> => {
    const side = new Side();
    side.active = pathOf("tcp");
    await side.write(1, 2);
    const startedAtMs = clock.monotonicMs();
    const done = side.delivery.flush(2_000).then(() => clock.monotonicMs() - startedAtMs);
    await clock.advance(100);
    how(side.delivery);
    await clock.advance(5_000);
    return done;
  };
  expect(await flushed((delivery) => delivery.acknowledged(2))).toBe(100);
  expect(await flushed((delivery) => delivery.acknowledged(1))).toBe(2_000);
  expect(await flushed((delivery) => delivery.close())).toBe(100);
});

test("what was never sent is not acknowledged, and what nobody sealed is not taken", async () => {
  const side = new Side();
  const sent: Uint8Array[] = [];
  side.active = pathOf("tcp", "usable", sent);
  await side.write(1);
  expect(side.delivery.acknowledged(2)).toBe(false);
  expect(side.delivery.isIdle).toBe(false);
  expect(side.delivery.acknowledged(1)).toBe(true);
  expect(side.delivery.isIdle).toBe(true);
  const forged = sent[0]!.slice();
  forged[forged.length - 1]! ^= 1;
  expect(outcomeOf(() => side.delivery.receive(pathOf("tcp"), frameOf(forged)))).toBe("wire/malformed");
});

test("nothing is sent once it is closed", async () => {
  const side = new Side();
  const sent: Uint8Array[] = [];
  side.active = pathOf("tcp", "usable", sent);
  side.delivery.close();
  await side.write(1);
  expect(sent).toEqual([]);
});

type Sides = { from: Side; to: Side; slow: Path; quick: Path; first: Uint8Array[]; second: Uint8Array[] };

describe("of two connections one is late", () => {
  /** A frame on each, of which the second has arrived. */
  const sides = async (rttMs: number): Promise<Sides> => {
    const [from, to] = [new Side(), new Side()];
    const [first, second]: [Uint8Array[], Uint8Array[]] = [[], []];
    const [slow, quick] = [pathOf("webrtc", "usable", first), pathOf("webrtc", "usable", second)];
    [slow.rttMsMin, quick.rttMsMin] = [rttMs, rttMs];
    [from.active, from.alike] = [slow, [quick]];
    await from.write(1, 2);
    expect([first.length, second.length]).toEqual([1, 1]);
    from.delivery.taken(quick, 1);
    return { from, to, slow, quick, first, second };
  };

  test("what it holds goes by the other after a round trip and a half and 40 ms, and counts once", async () => {
    const { from, to, slow, quick, first, second } = await sides(50);
    await clock.advance(114);
    from.delivery.resend(114);
    expect(second).toHaveLength(1);
    await clock.advance(1);
    from.delivery.resend(115);
    from.delivery.resend(115);
    expect(second.slice(1)).toEqual(first);
    for (const frame of [...second, ...first]) to.delivery.receive(quick, frameOf(frame));
    expect(to.input).toEqual([1, 2]);

    expect(from.delivery.landedBytes).toBe(second[0]!.length);
    expect(from.delivery.acknowledged(2)).toBe(true);
    from.delivery.taken(slow, 1);
    from.delivery.taken(quick, 2);
    expect(from.delivery.landedBytes).toBe(first[0]!.length + second[0]!.length);
    expect([slow.isCarrying, quick.isCarrying]).toEqual([false, false]);
  });

  test.each([
    ["all has arrived", ({ from }: Sides) => void from.delivery.acknowledged(2)],
    ["the other connection is gone", ({ from }: Sides) => ((from.alike = []), from.delivery.pump())],
  ])("what it holds takes up its window until %s", async (_, happens) => {
    const all = await sides(50);
    await clock.advance(115);
    all.from.delivery.resend(115);
    expect(all.slow.isCarrying).toBe(true);
    happens(all);
    expect(all.slow.isCarrying).toBe(false);
  });

  test("a near peer is busy, and is not made busier", async () => {
    const { from, second } = await sides(14);
    await clock.advance(1_000);
    from.delivery.resend(1_000);
    expect(second).toHaveLength(1);
  });
});

test("on one connection nothing goes twice because it is late", async () => {
  const side = new Side();
  const sent: Uint8Array[] = [];
  side.active = pathOf("webrtc", "usable", sent);
  await side.write(1, 2);
  await clock.advance(1_000);
  side.delivery.resend(1_000);
  expect(sent).toHaveLength(2);
});
