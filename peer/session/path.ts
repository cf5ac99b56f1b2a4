/**
 * A path is a link as the session sees it: proved or not, how quick, when last heard. `pickPath` is the whole policy of
 * which one carries the session; everything here only measures.
 */
import { equalBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { Link, LinkKind } from "../links/link.ts";
import type { Timer } from "../runtime.ts";
import { type DeliveryMark, SendWindow } from "./send-window.ts";
import { Standing } from "./standing.ts";

/**
 * `proving`: the other end has not shown yet that it holds the keys on this link. `suspect`: silent while an answer was
 * due, so others go first until what was asked since is answered. `dead`: closed or given up.
 */
export type PathState = "proving" | "usable" | "suspect" | "dead";

/** Lower is better. TCP moves ten times more than WebRTC between the same two processes. */
const RANK: { readonly [kind in LinkKind]: number } = {
  tcp: 0,
  webrtc: 1,
  websocket: 2,
  relay: 3,
  overlay: 4,
};

/** Behind all kinds. */
const STOPGAP_RANK = 5;

const RTT_SMOOTHING = 0.2;
/** A round trip that was measured so long ago at most says how a path is now. */
const FRESH_MS = 5_000;
/** Silence with an answer due: from here on other paths go first. Of bulk on its way something is acknowledged in every round trip. */
const SUSPECT_MS_MIN = 500;
const SUSPECT_ROUND_TRIPS = 2;
const SUSPECT_MORE_MS = 200;
/** Silence with an answer due: from here on the link is given up. Together with the ping interval below 3 s. */
const DEAD_MS = 2_000;
const DEAD_ROUND_TRIPS = 4;
/** Pings without an answer that are remembered: on a slow path an early one may still be answered. */
const PINGS_MAX = 4;
/** The same for a path that is doubted: it was there before a sleep. */
const DOUBTED_DEAD_MS = 1_000;

/** How often a path is asked whether it lives and how long its round trip is. */
export interface PingPace {
  /** After so long in which neither anything was heard nor asked. */
  readonly quietMs: number;
  /** Whatever is heard, after so long. */
  readonly everyMs: number;
}

/** One of several that are in use: their round trips are set side by side. */
export const PING_COMPARED: PingPace = { quietMs: 1_000, everyMs: 1_000 };
/** The only one in use: what comes in shows that it lives. Less than `FRESH_MS`. */
export const PING_ALONE: PingPace = { quietMs: 1_000, everyMs: 4_000 };
export const PING_IDLE: PingPace = { quietMs: 20_000, everyMs: Infinity };
/** Whoever accepted the session asks only when the dialler has not for so long: one of them is enough to keep a NAT's mapping. */
export const PING_IDLE_LED: PingPace = { quietMs: 30_000, everyMs: Infinity };
/** The same over a relay, where each is billed, each link asks the edge whether it lives, and the edge tells of the other side's end. */
export const PING_IDLE_RELAYED: PingPace = { quietMs: 60_000, everyMs: Infinity };
export const PING_IDLE_RELAYED_LED: PingPace = { quietMs: 90_000, everyMs: Infinity };
/** A path is new until so many pings: measured as often as one of several, since the first round trip may have been that of a busy machine. */
const PINGS_NEW = 4;

/** One sending of a frame on a path. */
export interface Flight {
  readonly bytes: number;
  readonly mark: DeliveryMark;
  /** It has arrived, or is not waited for any more. */
  landed: boolean;
  /** The same frame went by another path since, and counts there. */
  isOvertaken: boolean;
}

export class Path {
  readonly link: Link;
  readonly window: SendWindow;
  state: PathState;
  /** Beside the other paths of the session. */
  readonly standing: Standing = new Standing();
  /** Until the other end has proved itself. */
  proofTimer: Timer | undefined;
  /** Smoothed round trip. */
  rttMs: number | undefined;
  rttMsMin: number | undefined;
  /** When the round trip was measured last. */
  #rttAtMs = Number.NEGATIVE_INFINITY;
  /** The acceptor's nonce that the dialler must prove on this link. */
  readonly linkNonce: Uint8Array;
  /** Data frames that have come in on the link, and how many of them the other side was told of. */
  arrivedFrames = 0;
  toldFrames = 0;
  /** What was sent, oldest first; landed ones are forgotten later, when all before them have landed. */
  #flights: Flight[] = [];
  /** Flights before the first of those. */
  #flightsPast = 0;
  #heardAtMs: number;
  /** Since when something is due from the other side. */
  #dueSinceMs: number | undefined;
  #isDoubted = false;
  #suspectedAtMs = Number.NEGATIVE_INFINITY;
  /** It was suspected, and no round trip has been measured since that had nothing to do with that. */
  #isUnmeasured = false;
  /** It was suspected again meanwhile: it may be the round trip that is so long. */
  #isSlow = false;
  /** Not answered yet, the latest last. */
  #pings: { readonly id: number; readonly sentAtMs: number }[] = [];
  #nextPingId = 1;
  #pingedAtMs: number;

  constructor(options: {
    readonly link: Link;
    readonly state: PathState;
    readonly linkNonce: Uint8Array;
    readonly plaintextBytesMax: number;
    readonly nowMs: number;
  }) {
    this.link = options.link;
    this.state = options.state;
    this.linkNonce = options.linkNonce;
    this.window = new SendWindow({
      bytesMax: options.link.unackedBytesMax,
      frameBytesMax: options.plaintextBytesMax,
    });
    this.#heardAtMs = options.nowMs;
    this.#pingedAtMs = options.nowMs;
  }

  /**
   * The other end proves that it holds the keys on this very link, which is usable from then on.
   * @throws PeerloomError `wire/malformed` of another link's proof, `session/handshake-failed` when somebody sits in the middle
   */
  prove(linkNonce: Uint8Array, binding: Uint8Array): void {
    if (!equalBytes(linkNonce, this.linkNonce))
      throw new PeerloomError("wire/malformed", "A proof for another link.");
    if (!equalBytes(binding, this.link.binding)) {
      throw new PeerloomError(
        "session/handshake-failed",
        "Somebody sits in the middle of this link: its certificates differ.",
      );
    }
    this.state = "usable";
    this.proofTimer?.cancel();
  }

  /** A data frame goes out. */
  depart(bytes: number, nowMs: number): Flight {
    this.#forgetLanded();
    const mark = this.window.sent(bytes, this.rttMsMin, nowMs);
    const flight = { bytes, mark, landed: false, isOvertaken: false };
    this.#flights.push(flight);
    this.expectAnswer(nowMs);
    return flight;
  }

  /** It has arrived. @returns bytes that are news */
  land(flight: Flight, nowMs: number): number {
    if (flight.landed) return 0;
    flight.landed = true;
    this.window.acknowledged(flight.bytes, flight.mark, nowMs, this.rttMsMin);
    return flight.isOvertaken ? 0 : flight.bytes;
  }

  /** It is not waited for any more, and says nothing about the path. @returns bytes that are news if it has arrived */
  abandon(flight: Flight): number {
    if (flight.landed) return 0;
    flight.landed = true;
    this.window.forgotten(flight.bytes);
    return flight.bytes;
  }

  /** What went by other paths since is not waited for any more. */
  forgetOvertaken(): void {
    for (const flight of this.#flights) if (flight.isOvertaken) this.abandon(flight);
  }

  /**
   * The other side has taken so many frames from this link. More than were sent are taken for all of them: somebody between may have
   * repeated some, which must not end a session.
   * @returns bytes that are news
   */
  landBelow(frames: number, nowMs: number): number {
    let bytes = 0;
    const count = frames - this.#flightsPast;
    for (const flight of count > 0 ? this.#flights.slice(0, count) : []) bytes += this.land(flight, nowMs);
    return bytes;
  }

  /** With the next that departs: once for all that one acknowledgement has landed. */
  #forgetLanded(): void {
    let count = 0;
    while (this.#flights[count]?.landed === true) count += 1;
    if (count === 0) return;
    this.#flights.splice(0, count);
    this.#flightsPast += count;
  }

  /** Something is under way there. */
  get isCarrying(): boolean {
    return this.window.inFlightBytes > 0;
  }

  /** Bytes that may be sent now; negative when too much is under way. */
  get room(): number {
    return this.window.bytes(this.rttMsMin) - this.window.inFlightBytes;
  }

  get rank(): number {
    return RANK[this.link.kind] + (this.link.isStopgap === true ? STOPGAP_RANK : 0);
  }

  /** Something authentic came in. */
  heard(nowMs: number): void {
    this.#heardAtMs = nowMs;
    this.#isDoubted = false;
    // A ping's answer stays due whatever else comes: the path may die between the two.
    this.#dueSinceMs = this.#pings.length > 0 ? nowMs : undefined;
  }

  /**
   * Others go first from now on. That something comes from there again will not say that what is sent there arrives: a transport that has
   * sent in vain waits on, twice as long each time (RFC 9260, 6.3.3), so only the answer to what is asked now ends it.
   * @returns the id to ask with
   */
  suspect(nowMs: number): number {
    this.state = "suspect";
    this.#suspectedAtMs = nowMs;
    this.#isSlow = this.#isUnmeasured;
    this.#isUnmeasured = true;
    return this.startPing(nowMs);
  }

  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Something went out that the other side answers. */
  expectAnswer(nowMs: number): void {
    this.#dueSinceMs ??= nowMs;
  }

  /** Our own clock stood still (a busy loop, a suspended process): silence in that time says nothing. */
  forgive(nowMs: number): void {
    if (this.#dueSinceMs !== undefined) this.#dueSinceMs = nowMs;
    this.#heardAtMs = nowMs;
  }

  /** It may have died unseen: given up sooner, unless something is heard. */
  doubt(): void {
    this.#isDoubted = true;
  }

  /** Its round trip is known from few measurements. */
  get isNew(): boolean {
    return this.#nextPingId <= PINGS_NEW;
  }

  /** @returns the id to send when a ping is due */
  pingDue(nowMs: number, pace: PingPace): number | undefined {
    return nowMs >= this.#pingAtMs(pace) ? this.startPing(nowMs) : undefined;
  }

  /** When there is something to do about the path next, if nothing comes from it until then; monotonic, ms. */
  nextLookAtMs(pace: PingPace): number {
    const sinceMs = this.#dueSinceMs;
    if (sinceMs === undefined) return this.#pingAtMs(pace);
    const silenceMs = this.state === "suspect" ? this.#deadMs : this.#patienceMs;
    return Math.min(this.#pingAtMs(pace), Math.max(sinceMs, this.#heardAtMs) + silenceMs + 1);
  }

  #pingAtMs({ quietMs, everyMs }: PingPace): number {
    const latest = this.#pings.at(-1);
    if (latest !== undefined)
      return this.#heardAtMs > latest.sentAtMs ? latest.sentAtMs + this.#patienceMs : Infinity;
    return Math.min(Math.max(this.#pingedAtMs, this.#heardAtMs) + quietMs, this.#pingedAtMs + everyMs);
  }

  startPing(nowMs: number): number {
    const id = this.#nextPingId++;
    this.#pings.push({ id, sentAtMs: nowMs });
    if (this.#pings.length > PINGS_MAX) this.#pings.shift();
    this.#pingedAtMs = nowMs;
    this.expectAnswer(nowMs);
    return id;
  }

  pong(id: number, nowMs: number): void {
    const asked = this.#pings.find((ping) => ping.id === id);
    if (asked === undefined) return;
    this.#pings = this.#pings.filter((ping) => ping.id > id);
    this.#dueSinceMs = this.#pings.length > 0 ? nowMs : undefined;
    if (this.state !== "suspect") {
      this.#isUnmeasured = false;
      this.#measured(nowMs - asked.sentAtMs, nowMs);
      return;
    }
    if (asked.sentAtMs >= this.#suspectedAtMs) this.state = "usable";
    // It has measured the interruption. Taken for the round trip, it would make the next one be seen later (Karn and Partridge, CCR 17(5), 1987).
    if (this.#isSlow) this.#measured(nowMs - asked.sentAtMs, nowMs);
  }

  #measured(sampleMs: number, nowMs: number): void {
    this.rttMs = this.rttMs === undefined ? sampleMs : this.rttMs + RTT_SMOOTHING * (sampleMs - this.rttMs);
    this.rttMsMin = Math.min(this.rttMsMin ?? sampleMs, sampleMs);
    this.#rttAtMs = nowMs;
  }

  /** The smoothed round trip, if it was measured in the last seconds. */
  freshRttMs(nowMs: number): number | undefined {
    return nowMs - this.#rttAtMs <= FRESH_MS ? this.rttMs : undefined;
  }

  /** Silence after which other paths go first, and a ping whose answer was not sent is asked again. */
  get #patienceMs(): number {
    return Math.max(SUSPECT_MS_MIN, SUSPECT_ROUND_TRIPS * (this.rttMs ?? 0) + SUSPECT_MORE_MS);
  }

  /** Silence after which the path is given up. */
  get #deadMs(): number {
    return Math.max(this.#isDoubted ? DOUBTED_DEAD_MS : DEAD_MS, DEAD_ROUND_TRIPS * (this.rttMs ?? 0));
  }

  /** What the silence means now. */
  judge(nowMs: number): "alive" | "suspect" | "dead" {
    const sinceMs = this.#dueSinceMs;
    if (sinceMs === undefined) return "alive";
    const silentMs = nowMs - Math.max(sinceMs, this.#heardAtMs);
    if (silentMs > this.#deadMs) return "dead";
    if (silentMs > this.#patienceMs) return "suspect";
    return "alive";
  }
}

/**
 * The path that should carry the session, or undefined when there is none: the best kind, unless it has become clearly worse than another.
 * Suspects only when nothing else is left.
 */
export function pickPath(paths: readonly Path[]): Path | undefined {
  let best: Path | undefined;
  for (const path of paths) {
    if (path.state !== "usable" && path.state !== "suspect") continue;
    if (best === undefined || score(path) < score(best)) best = path;
  }
  return best;
}

/**
 * The paths that data is spread over: the one that carries the session, and where that is WebRTC its like. One SCTP association on a long
 * path with loss is slow whatever its buffers (Mathis et al., CCR 27(3), 1997); several add up.
 */
export function carriersOf(active: Path, paths: readonly Path[]): readonly Path[] {
  if (active.link.kind !== "webrtc") return [active];
  const alike = paths.filter(
    (path) => path !== active && path.link.kind === "webrtc" && path.state === "usable",
  );
  return alike.length === 0 ? [active] : [active, ...alike];
}

/** Of those with room, the one on which a frame arrives first, as far as can be told. */
export function pickCarrier(carriers: readonly Path[], bufferBytesMax: number): Path | undefined {
  let best: Path | undefined;
  let bestMs = Infinity;
  for (const path of carriers) {
    if (path.room <= 0 || path.link.bufferedBytes >= bufferBytesMax) continue;
    const arrivesMs = path.window.queueMs() + (path.rttMsMin ?? 0) / 2;
    if (arrivesMs < bestMs) [best, bestMs] = [path, arrivesMs];
  }
  return best;
}

function score(path: Path): number {
  return path.rank + (path.standing.isDemoted ? 10 : 0) + (path.state === "suspect" ? 100 : 0);
}
