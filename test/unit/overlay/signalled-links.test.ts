/** Two peers whose frames are carried as signals, by a carrier that may turn them round, repeat or lose them. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { LINK_BUFFER_HIGH_BYTES } from "../../../peer/links/link.ts";
import { SIGNALLED_FRAME_BYTES_MAX, SIGNALLED_FRAMES_MAX } from "../../../peer/links/signal-codec.ts";
import { SIGNALLED_MS_MAX, type SignalledLink } from "../../../peer/links/signalled.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import { SignalledLinks } from "../../../peer/overlay/signalled-links.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";

type Frame = Extract<SignalMessage, { readonly kind: "frame" }>;

const [A, B] = ["b", "c"].map((letter) => requirePeerId(`${letter.repeat(51)}a`)) as [PeerId, PeerId];

class Pair {
  readonly clock = new SimClock();
  /** On their way to B. */
  carried: Frame[] = [];
  readonly accepted: SignalledLink[] = [];
  readonly a: SignalledLinks;
  readonly b: SignalledLinks;

  constructor() {
    onTestFinished(() => this.clock.close());
    const runtime = simRuntime({ seed: 1, clock: this.clock });
    const carry = async (_: PeerId, message: SignalMessage): Promise<void> => {
      if (message.kind === "frame") this.carried.push(message);
    };
    this.a = new SignalledLinks(runtime, { edge: "http://edge.test", carry }, () => {});
    this.b = new SignalledLinks(runtime, { edge: "http://edge.test", carry: async () => {} }, (link) =>
      this.accepted.push(link),
    );
  }

  dial(): SignalledLink {
    const link = this.a.dial(B);
    if (link === undefined) throw new Error("too many links");
    return link;
  }

  /** What B's first link is given. */
  async deliver(frames: readonly Frame[] = this.carried): Promise<number[]> {
    const got: number[] = [];
    for (const frame of frames) this.b.receive(A, frame);
    const [link] = this.accepted;
    if (link !== undefined) link.onFrame = ([first = 0]) => got.push(first);
    await this.clock.settle();
    return got;
  }

  async send(link: SignalledLink, count: number): Promise<void> {
    for (let i = 0; i < count; i++) link.send([Uint8Array.of(i), Uint8Array.of(0)]);
    await this.clock.settle();
  }
}

test("frames arrive in order, each once, however they were carried", async () => {
  const pair = new Pair();
  await pair.send(pair.dial(), 4);
  const [zero, one, two, three] = pair.carried as [Frame, Frame, Frame, Frame];
  expect(await pair.deliver([two, zero, zero, three, one, two])).toEqual([0, 1, 2, 3]);
  expect(pair.accepted).toHaveLength(1);
});

test("what is behind a frame that was lost is never given out", async () => {
  const pair = new Pair();
  await pair.send(pair.dial(), 3);
  const [zero, , two] = pair.carried as [Frame, Frame, Frame];
  expect(await pair.deliver([zero, two])).toEqual([0]);
});

test.each([
  ["after its frames", SIGNALLED_FRAMES_MAX + 1, 1],
  ["at a frame that no signal holds", 1, SIGNALLED_FRAME_BYTES_MAX + 1],
])("a link is over %s, in order, and says so once", async (_, count, bytes) => {
  const pair = new Pair();
  const link = pair.dial();
  const ends: unknown[] = [];
  link.onClose = (error) => ends.push(error);
  for (let i = 0; i < count; i++) link.send([new Uint8Array(bytes)]);
  await pair.clock.settle();
  expect(ends).toEqual([undefined]);
  expect(pair.carried).toHaveLength(bytes === 1 ? SIGNALLED_FRAMES_MAX : 0);
  link.send([new Uint8Array(1)]);
  await pair.clock.settle();
  expect(pair.carried).toHaveLength(bytes === 1 ? SIGNALLED_FRAMES_MAX : 0);
});

test("bulk finds it full before its frames are spent", async () => {
  const pair = new Pair();
  const link = pair.dial();
  await pair.send(link, 11);
  expect(link.bufferedBytes).toBe(0);
  await pair.send(link, 1);
  expect(link.bufferedBytes).toBeGreaterThanOrEqual(LINK_BUFFER_HIGH_BYTES);
  await pair.send(link, 1);
  expect(pair.carried).toHaveLength(13);
});

test("a link is over after its time on both sides, and what comes late begins no new one", async () => {
  const pair = new Pair();
  const link = pair.dial();
  let isOver = false;
  link.onClose = () => (isOver = true);
  await pair.send(link, 2);
  await pair.deliver(pair.carried.slice(0, 1));
  await pair.clock.advance(SIGNALLED_MS_MAX);
  expect(isOver).toBe(true);
  expect(await pair.deliver()).toEqual([]);
  expect(pair.accepted).toHaveLength(1);
});

test("there are few at once, dialled and accepted; more of them come with time", async () => {
  const pair = new Pair();
  const links = Array.from({ length: 4 }, () => pair.dial());
  expect(pair.a.dial(B)).toBeUndefined();
  for (const link of links) await pair.send(link, 1);
  const stranger: Frame = { kind: "frame", linkId: new Uint8Array(8), seq: 0, frame: Uint8Array.of(1) };
  await pair.deliver([...pair.carried, stranger]);
  expect(pair.accepted).toHaveLength(4);
  await pair.clock.advance(SIGNALLED_MS_MAX);
  expect(pair.a.dial(B)).toBeDefined();
});

test("who opens and ends them at once is not answered for long", async () => {
  const pair = new Pair();
  for (let i = 0; i < 20; i++) {
    pair.b.receive(A, { kind: "frame", linkId: new Uint8Array(8).fill(i), seq: 0, frame: Uint8Array.of(1) });
    pair.accepted.at(-1)?.destroy();
  }
  expect(pair.accepted).toHaveLength(4);
});

test("closing ends them all", async () => {
  const pair = new Pair();
  const link = pair.dial();
  await pair.send(link, 1);
  await pair.deliver();
  pair.a.close();
  pair.b.close();
  await pair.send(link, 1);
  expect(pair.carried).toHaveLength(1);
});
