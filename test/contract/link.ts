/**
 * The contract of links, as `peer/links/link.ts` states it, for every kind alike: whoever makes a link hands in how to open
 * a pair of ends, and what passes with the simulator's links is known to mean something with real ones.
 */
import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type Link,
  LINK_BUFFER_HIGH_BYTES,
  LINK_BUFFER_LOW_BYTES,
  LINK_EARLY_FRAMES_MAX,
} from "../../peer/links/link.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";

/** Two ends of one fresh link. */
export interface LinkPair {
  readonly a: Link;
  readonly b: Link;
  /** Where time is simulated: lets everything happen that is under way. */
  settle?(): Promise<void>;
  /** Leaves nothing running. */
  dispose(): void | Promise<void>;
}

export interface LinkContractOptions {
  /** False where the transport tells an orderly end no different from a broken one. @default true */
  readonly tellsOrderlyEnd?: boolean;
  /** False where the system takes all that may be under way before anything waits in the process. @default true */
  readonly fills?: boolean;
  /**
   * False above datagrams: `close` waits a moment only, in which a large load need not leave, and the one packet that says
   * a link was destroyed gets lost where such a load has filled the receiver's buffer; the other end then learns by silence.
   * @default true
   */
  readonly outlastsLoad?: boolean;
}

/** The longest that a test waits for one state of things; below the time that vitest gives a test. */
const STATE_TIMEOUT_MS = 8_000;
/** Turns of the event loop in which a second call of a handler would have come. */
const TURNS = 10;
/** Frames of a load: long enough that a few fill a buffer, short enough to count them. */
const LOAD_FRAME_BYTES = 65_536;

/**
 * Registers the suite.
 * @example
 * linkContract("tcp", async () => ({ a, b, dispose: () => listener.close() }));
 */
export function linkContract(
  name: string,
  open: () => LinkPair | Promise<LinkPair>,
  { tellsOrderlyEnd = true, fills = true, outlastsLoad = true }: LinkContractOptions = {},
): void {
  const claim = (what: string, check: Check, isMade = true): void => {
    test.runIf(isMade)(what, async () => {
      const scene = new Scene(await open());
      try {
        await check(scene);
      } finally {
        await scene.pair.dispose();
      }
    });
  };

  describe(`a ${name} link`, () => {
    claim("says what it is, the same on both ends", ({ pair: { a, b } }) => {
      expect(a.kind).toBe(b.kind);
      for (const link of [a, b]) {
        expect(link.description).not.toBe("");
        expect(link.frameBytesMax).toBeGreaterThan(0);
        expect(link.frameBytesMax).toBeLessThanOrEqual(FRAME_BYTES_MAX);
        expect(link.unackedBytesMax).toBeGreaterThanOrEqual(link.frameBytesMax);
      }
    });

    claim("has one binding for both ends, a digest where there are certificates", ({ pair: { a, b } }) => {
      expect([...a.binding]).toEqual([...b.binding]);
      expect(a.binding).toHaveLength(a.kind === "webrtc" ? 32 : 0);
    });

    claim("carries frames of every length whole and in order", async (scene) => {
      const { a, b } = scene.pair;
      const far = scene.watch(b);
      const frames = lengths(a.frameBytesMax).map((length, seed) => pattern(length, seed));
      for (const frame of frames) a.send([frame]);
      await scene.until("every frame has come", () => far.frames.length >= frames.length);
      expect(far.frames.map(digest)).toEqual(frames.map(digest));
    });

    claim("carries frames both ways at once", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      const there = Array.from({ length: 100 }, (_, i) => pattern(1 + i * 97, i));
      const back = Array.from({ length: 100 }, (_, i) => pattern(1 + i * 89, 1_000 + i));
      for (const [i, frame] of there.entries()) {
        a.send([frame]);
        b.send([back[i] as Uint8Array]);
      }
      await scene.until("both have everything", () => near.frames.length + far.frames.length >= 200);
      expect(far.frames.map(digest)).toEqual(there.map(digest));
      expect(near.frames.map(digest)).toEqual(back.map(digest));
    });

    claim("answers from within a handler", async (scene) => {
      const { a, b } = scene.pair;
      const near = scene.watch(a);
      b.onFrame = (frame) => b.send([frame]);
      const frames = [1, 5_000, 70_000].map((length) => pattern(length, length));
      for (const frame of frames) a.send([frame]);
      await scene.until("every frame is back", () => near.frames.length >= frames.length);
      expect(near.frames.map(digest)).toEqual(frames.map(digest));
    });

    claim("sends pieces as one frame", async (scene) => {
      const { a, b } = scene.pair;
      const far = scene.watch(b);
      const wholes = [10, 5_000, 70_000, a.frameBytesMax].map((length) => pattern(length, length));
      for (const whole of wholes) {
        const third = Math.floor(whole.length / 3);
        a.send([whole.subarray(0, 1), whole.subarray(1, third), new Uint8Array(0), whole.subarray(third)]);
      }
      await scene.until("every frame has come", () => far.frames.length >= wholes.length);
      expect(far.frames.map(digest)).toEqual(wholes.map(digest));
    });

    claim("copies what it sends and leaves that memory alone", async (scene) => {
      const { a, b } = scene.pair;
      const far = scene.watch(b);
      const memory = new Uint8Array(a.frameBytesMax);
      const [sent, left]: [string[], string[]] = [[], []];
      for (const length of [1, 4_095, 4_096, 20_000, 65_536, a.frameBytesMax]) {
        for (const pieces of [1, 2]) {
          const frame = memory.subarray(0, length);
          frame.set(pattern(length, length + pieces));
          const cut = pieces === 1 ? length : length >> 1;
          sent.push(digest(frame));
          a.send(pieces === 1 ? [frame] : [frame.subarray(0, cut), frame.subarray(cut)]);
          left.push(digest(frame));
          frame.fill(0xff);
        }
      }
      expect(left).toEqual(sent);
      await scene.until("every frame has come", () => far.frames.length >= sent.length);
      expect(far.frames.map(digest)).toEqual(sent);
      expect(memory.every((byte) => byte === 0xff)).toBe(true);
    });

    claim("hands on plain bytes, whose slice is a copy that lasts", async (scene) => {
      const { a, b } = scene.pair;
      const kept: Uint8Array[] = [];
      const isPlain: boolean[] = [];
      const isCopy: boolean[] = [];
      b.onFrame = (frame) => {
        const copy = frame.slice();
        kept.push(copy);
        // A Buffer's slice is a view.
        isPlain.push(Object.getPrototypeOf(frame) === Uint8Array.prototype);
        isCopy.push(copy.buffer !== frame.buffer);
        scene.look();
      };
      const frames = [1, 100, 4_096, 5_000, 65_536, a.frameBytesMax, 7, 100_000, 3_000];
      const sent = [...frames, ...frames].map((length, seed) => pattern(length, seed));
      for (const frame of sent) a.send([frame]);
      await scene.until("every frame has come", () => kept.length >= sent.length);
      expect(kept.map(digest)).toEqual(sent.map(digest));
      expect(isPlain).not.toContain(false);
      expect(isCopy).not.toContain(false);
    });

    claim("lets its handler be exchanged between two frames", async (scene) => {
      const { a, b } = scene.pair;
      const seen: string[] = [];
      const take = (who: string, next: string) => (frame: Uint8Array) => {
        seen.push(`${who} ${frame[0]}`);
        b.onFrame = take(next, who);
        scene.look();
      };
      b.onFrame = take("first", "second");
      for (let i = 0; i < 4; i++) a.send([Uint8Array.of(i)]);
      await scene.until("every frame has come", () => seen.length >= 4);
      expect(seen).toEqual(["first 0", "second 1", "first 2", "second 3"]);
    });

    claim("keeps frames that come before a handler, also when the link has ended since", async (scene) => {
      const { a, b } = scene.pair;
      const ended = scene.watch(b, { frames: false });
      const frames = Array.from({ length: LINK_EARLY_FRAMES_MAX }, (_, i) => pattern(1 + i * 500, i));
      for (const frame of frames) a.send([frame]);
      a.close();
      await scene.until("the end is told", () => ended.closes.length > 0);
      expect(scene.watch(b).frames.map(digest)).toEqual(frames.map(digest));
    });

    claim("hands on what it kept before what comes later", async (scene) => {
      const { a, b } = scene.pair;
      for (let i = 0; i < 8; i++) a.send([Uint8Array.of(i)]);
      await scene.turns();
      const far = scene.watch(b);
      for (let i = 8; i < 16; i++) a.send([Uint8Array.of(i)]);
      await scene.until("every frame has come", () => far.frames.length >= 16);
      expect(far.frames.map((frame) => frame[0])).toEqual(Array.from({ length: 16 }, (_, i) => i));
    });

    claim("ends when more frames come than it keeps", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b, { frames: false })];
      for (let i = 0; i <= LINK_EARLY_FRAMES_MAX; i++) a.send([Uint8Array.of(i)]);
      await scene.until("both ends are told", () => near.closes.length > 0 && far.closes.length > 0);
      expect(scene.watch(b).frames.length).toBeLessThanOrEqual(LINK_EARLY_FRAMES_MAX);
    });

    claim(
      "counts what waits, and tells when little is left",
      async (scene) => {
        const { a, b } = scene.pair;
        const [near, far] = [scene.watch(a), scene.watch(b)];
        expect(a.bufferedBytes).toBe(0);
        const sent = load(a);
        expect(a.bufferedBytes).toBeGreaterThan(LINK_BUFFER_LOW_BYTES);
        expect(near.drains).toEqual([]);
        await scene.until("it has drained", () => near.drains.length > 0);
        expect(near.drains[0]).toBeLessThanOrEqual(LINK_BUFFER_LOW_BYTES);
        await scene.until("every frame has come", () => far.frames.length >= sent.length);
        expect(far.frames.map(digest)).toEqual(sent);
        const again = load(a);
        await scene.until("it has drained again", () => near.drains.length > 1);
        await scene.until("the rest has come", () => far.frames.length >= sent.length + again.length);
        expect(far.frames.map(digest)).toEqual([...sent, ...again]);
      },
      fills,
    );

    claim("closes behind what was sent, and tells each end once", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      const sent = load(a, outlastsLoad ? a.unackedBytesMax : LINK_BUFFER_HIGH_BYTES);
      a.close();
      a.close();
      a.send([pattern(10, 1)]);
      await scene.until("both ends are told", () => near.closes.length > 0 && far.closes.length > 0);
      expect(far.frames.map(digest)).toEqual(sent);
      for (const link of [a, b]) {
        link.close();
        link.destroy();
        link.send([pattern(10, 2)]);
      }
      await scene.turns();
      expect(far.frames).toHaveLength(sent.length);
      expect(near.closes).toEqual([undefined]);
      if (tellsOrderlyEnd) expect(far.closes).toEqual([undefined]);
      else checkClosedOnce(far);
    });

    claim("may be closed by both ends at once", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      a.close();
      b.close();
      await scene.until("both ends are told", () => near.closes.length > 0 && far.closes.length > 0);
      await scene.turns();
      expect([near.closes, far.closes]).toEqual([[undefined], [undefined]]);
    });

    claim("drops what is unsent when it is destroyed, and tells each end once", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      const sent = load(a);
      a.destroy();
      a.destroy();
      a.close();
      a.send([pattern(10, 1)]);
      await scene.turns();
      expect(near.closes).toEqual([undefined]);
      if (outlastsLoad) await scene.until("the other end is told", () => far.closes.length > 0);
      a.send([pattern(10, 2)]);
      await scene.turns();
      if (fills) expect(far.frames.length).toBeLessThan(sent.length);
      expect(far.frames.map(digest)).toEqual(sent.slice(0, far.frames.length));
      expect(near.closes).toEqual([undefined]);
      if (outlastsLoad) checkClosedOnce(far);
    });

    claim("is destroyed at once also while it closes", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      const sent = load(a);
      a.close();
      a.destroy();
      await scene.turns();
      expect(near.closes).toEqual([undefined]);
      if (outlastsLoad) await scene.until("the other end is told", () => far.closes.length > 0);
      await scene.turns();
      if (fills) expect(far.frames.length).toBeLessThan(sent.length);
      expect(near.closes).toEqual([undefined]);
      if (outlastsLoad) checkClosedOnce(far);
    });

    claim("tells its end to a handler that comes late, and only once", async (scene) => {
      const { a, b } = scene.pair;
      const far = scene.watch(b);
      a.destroy();
      await scene.until("the other end is told", () => far.closes.length > 0);
      const late = scene.watch(a);
      expect(late.closes).toEqual([undefined]);
      const later = scene.watch(a);
      await scene.turns();
      expect([late.closes.length, later.closes.length, far.closes.length]).toEqual([1, 0, 1]);
    });

    claim("ends with its own error when a frame is too long", async (scene) => {
      const { a, b } = scene.pair;
      const [near, far] = [scene.watch(a), scene.watch(b)];
      const good = pattern(100, 1);
      a.send([good]);
      await scene.until("the good frame has come", () => far.frames.length > 0);
      a.send([new Uint8Array(a.frameBytesMax), Uint8Array.of(1)]);
      a.send([good]);
      await scene.until("both ends are told", () => near.closes.length > 0 && far.closes.length > 0);
      await scene.turns();
      expect(far.frames.map(digest)).toEqual([digest(good)]);
      for (const end of [near, far]) checkClosedOnce(end);
      // Whichever end notices; the transport need not carry the reason to the other.
      expect([...near.closes, ...far.closes]).toContain("link/frame-too-large");
    });
  });
}

type Check = (scene: Scene) => void | Promise<void>;

/** What one end has told. */
interface Seen {
  readonly frames: Uint8Array[];
  /** `bufferedBytes` at each drain. */
  readonly drains: number[];
  /** Codes. */
  readonly closes: (string | undefined)[];
}

/** A pair, and waiting for what its ends tell. */
class Scene {
  readonly pair: LinkPair;
  #condition: () => boolean = () => false;
  #reached: () => void = () => {};

  constructor(pair: LinkPair) {
    this.pair = pair;
  }

  watch(link: Link, { frames = true }: { readonly frames?: boolean } = {}): Seen {
    const seen: Seen = { frames: [], drains: [], closes: [] };
    if (frames) {
      link.onFrame = (frame) => {
        seen.frames.push(frame.slice());
        this.look();
      };
    }
    link.onDrain = () => {
      seen.drains.push(link.bufferedBytes);
      this.look();
    };
    link.onClose = (error) => {
      seen.closes.push(error?.code);
      this.look();
    };
    return seen;
  }

  /** Something has happened. */
  look(): void {
    if (this.#condition()) this.#reached();
  }

  /** @throws Error when that has not come about in time */
  async until(what: string, condition: () => boolean): Promise<void> {
    await this.pair.settle?.();
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`Waited ${STATE_TIMEOUT_MS} ms until: ${what}.`)),
        this.pair.settle === undefined ? STATE_TIMEOUT_MS : 0,
      );
      this.#condition = condition;
      this.#reached = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Gives what must not happen its chance. */
  async turns(): Promise<void> {
    await this.pair.settle?.();
    for (let turn = 0; turn < TURNS; turn++) await nextTurn();
  }
}

/** Sends until much waits, or as much is under way as may be; what it sent, as digests. */
function load(link: Link, bytesMax: number = link.unackedBytesMax): string[] {
  const framesMax = Math.floor(bytesMax / LOAD_FRAME_BYTES);
  // Made before the first is sent: a sender that hashes in between is too slow to fill a buffer which another thread empties.
  while (loadFrames.length < framesMax) {
    const frame = pattern(LOAD_FRAME_BYTES, loadFrames.length);
    loadFrames.push({ frame, name: digest(frame) });
  }
  const sent: string[] = [];
  for (const { frame, name } of loadFrames.slice(0, framesMax)) {
    if (link.bufferedBytes > LINK_BUFFER_HIGH_BYTES) break;
    link.send([frame]);
    sent.push(name);
  }
  return sent;
}

const loadFrames: { readonly frame: Uint8Array; readonly name: string }[] = [];

function checkClosedOnce({ closes }: Seen): void {
  expect(closes).toHaveLength(1);
  expect(closes[0] ?? "link/closed").toMatch(/^(link|edge)\//);
}

/** Every small length, and the neighbours of every power of two: where buffers, packets and length fields change. */
function lengths(max: number): number[] {
  const chosen = new Set([1, 2, 3, 5, 6, 7, 1_199, 1_400, 16_379, 16_380, 65_500, max - 1, max]);
  for (let power = 4; power <= max; power *= 2) {
    for (const length of [power - 1, power, power + 1]) if (length <= max) chosen.add(length);
  }
  return [...chosen];
}

/** Bytes that differ with place and seed. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i + (i >>> 8) * 13 + (i >>> 16) * 7 + seed * 29;
  return bytes;
}

/** Short enough to be compared and printed. */
function digest(bytes: Uint8Array): string {
  return `${bytes.length}:${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`;
}
