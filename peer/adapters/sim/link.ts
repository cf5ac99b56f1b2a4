/**
 * A pair of link ends with a simulated path between them. Each has the shape of links/link.ts, which adapters do not
 * see; the tests hold them to that contract. While it lives a path is reliable and in order, as every real kind of link
 * is; what it can do to a session is to be slow, to stand still, to die (with or without telling), and to be in the hands
 * of somebody who changes what it carries.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { Random } from "../../runtime.ts";
import type { SimClock } from "./clock.ts";
import { SimLink } from "./link-end.ts";
import { lateByMs } from "./loss.ts";
import type { SimUplink } from "./uplink.ts";

/** Which way a frame goes. */
export type Direction = "to-first" | "to-second";

/**
 * Somebody on the path: told of every frame that would arrive, answers what arrives in its place, in this order. The
 * frame itself leaves it alone, none drops it, more are copies, inventions or frames kept from before.
 */
export type Meddler = (frame: Uint8Array, direction: Direction) => readonly Uint8Array[];

/** Who learns at once that a path was cut. The others meet silence. */
export type Noticed = "both" | "first" | "second" | "neither";

export interface SimPathOptions<Kind extends string> {
  readonly clock: SimClock;
  readonly random: Random;
  readonly kind: Kind;
  /** One way. @default 10 */
  readonly latencyMs?: number;
  /** Up to so much more, drawn for each frame; frames stay in order. @default 0 */
  readonly jitterMs?: number;
  /** Each way. @default Infinity */
  readonly bytesPerSecond?: number;
  /** What both ends send by, beside other paths, instead of `bytesPerSecond`; first's first. */
  readonly uplinks?: readonly [SimUplink, SimUplink];
  /** Share of packets that the path loses; it sends them again, so they come late, and what follows them waits. @default 0 */
  readonly lossShare?: number;
  readonly frameBytesMax?: number;
  /** As in SimLinkOptions. */
  readonly bufferLowBytes?: number;
  /** @default 16 MiB */
  readonly unackedBytesMax?: number;
  /** What each end believes it is bound to; differing ones are a meddler's. @default empty on both */
  readonly bindings?: readonly [Uint8Array, Uint8Array];
  readonly meddler?: Meddler;
}

/** What may be done to a path while it carries frames. */
export interface SimLinkPair<Kind extends string> {
  /** `first` is by custom the dialler's. */
  readonly first: SimLink<Kind>;
  readonly second: SimLink<Kind>;
  /** Neither end has closed and the path was not cut. */
  readonly isAlive: boolean;
  /** The path dies: what was on its way is lost. Ends that do not notice keep what they send for ever. */
  readonly cut: (noticed: Noticed) => void;
  /** The path stands still, as a congested one does: nothing is lost, nothing arrives. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** From now on it takes so long, one way. */
  readonly slow: (latencyMs: number) => void;
  /** A frame out of nowhere, after what is on its way. */
  readonly inject: (frame: Uint8Array, direction: Direction) => void;
}

const DIRECT_UNACKED_BYTES_MAX = 16 * 1024 * 1024;

/**
 * @example
 * const { first, second, cut } = simLinkPair({ clock, random, kind: "tcp", latencyMs: 20, bytesPerSecond: 1e6 });
 */
export function simLinkPair<Kind extends string>(options: SimPathOptions<Kind>): SimLinkPair<Kind> {
  const { clock, random, kind, jitterMs = 0, lossShare = 0, bytesPerSecond = Infinity, meddler } = options;
  let { latencyMs = 10 } = options;
  const bindings = options.bindings ?? [new Uint8Array(0), new Uint8Array(0)];
  const end = (index: 0 | 1, direction: Direction): SimLink<Kind> =>
    new SimLink({
      clock,
      kind,
      description: `sim ${index === 0 ? "dialled" : "accepted"}`,
      frameBytesMax: options.frameBytesMax ?? FRAME_BYTES_MAX,
      unackedBytesMax: options.unackedBytesMax ?? DIRECT_UNACKED_BYTES_MAX,
      binding: bindings[index],
      ...(options.bufferLowBytes === undefined ? {} : { bufferLowBytes: options.bufferLowBytes }),
      sendingMs: (bytes) => options.uplinks?.[index].take(bytes) ?? (bytes / bytesPerSecond) * 1000,
      delayMs: () => latencyMs + jitterMs * random.unit() + lateByMs(random, lossShare, latencyMs),
      carry: (frame) => (meddler === undefined ? [frame] : meddler(frame, direction)),
    });
  const first = end(0, "to-second");
  const second = end(1, "to-first");
  first.join(second);
  second.join(first);

  return {
    first,
    second,
    get isAlive() {
      return first.isAlive && second.isAlive;
    },
    cut(noticed) {
      first.losePath();
      second.losePath();
      if (noticed === "both" || noticed === "first") first.fail(pathLost());
      if (noticed === "both" || noticed === "second") second.fail(pathLost());
    },
    pause() {
      first.pause();
      second.pause();
    },
    resume() {
      first.resume();
      second.resume();
    },
    slow(slowerMs) {
      latencyMs = slowerMs;
    },
    inject(frame, direction) {
      (direction === "to-second" ? first : second).inject(frame);
    },
  };
}

function pathLost(): PeerloomError {
  return new PeerloomError("link/failed", "The simulated path was cut.");
}
