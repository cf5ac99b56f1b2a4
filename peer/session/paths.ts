/**
 * The paths of one session: takes links in, watches them, gives up those that have gone silent, and says which one carries the session.
 * What goes over them is the session's matter.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { DATA_BYTES_MAX } from "../../shared/frame.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import { type Link, pathKindOf } from "../links/link.ts";
import type { Clock, Timer } from "../runtime.ts";
import {
  carriersOf,
  Path,
  pickPath,
  PING_ALONE,
  PING_COMPARED,
  PING_IDLE,
  PING_IDLE_LED,
  PING_IDLE_RELAYED,
  PING_IDLE_RELAYED_LED,
  type PingPace,
} from "./path.ts";
import { type Comparison, isFarBehind } from "./standing.ts";

/** The other end must prove itself on a link by then. */
export const PROVE_TIMEOUT_MS = 10_000;
/**
 * How often the paths are looked at, at least. `close`: there are several, or what there is fills one, so that there is something to choose.
 * `calm`: in use, and nothing comes of looking before an answer is overdue or a ping due.
 */
const TICK_MS = { close: 100, calm: 500, idle: 5_000 } as const;
type Pace = keyof typeof TICK_MS;
/** A tick this late means that we stood still, not the other side. */
const TICK_LATE_MS = 400;
/** Two paths that die together were last heard this far apart. */
const HEARD_LATER_MS = 100;
/** Links of one session, stripes (stripe-plan.ts) and spares; more is a mistake or an attack. */
const PATHS_MAX = 24;
/** After they were doubted, paths are watched as closely as busy ones: until an answer has come or is overdue. */
const CHECK_MS = 5_000;
/** Doubts within this time are one. */
const CHECK_EVERY_MS = 500;

/** What the paths ask of their session. */
export interface PathsOwner {
  readonly clock: Clock;
  /** This side dialled the session. */
  readonly leads: boolean;
  receive(path: Path, frame: Uint8Array): void;
  /** A link takes more. */
  drained(): void;
  sendPing(path: Path, id: number): void;
  /** What was under way there will not arrive, or not soon. */
  release(path: Path): void;
  /** Something has become of a path, for the log. */
  note(event: string, path: Path, fields: Readonly<Record<string, unknown>>): void;
  /** Looked again: `best` carries the session now, or nothing does. */
  chose(best: Path | undefined, before: Path | undefined): void;
  /** Something is under way, or may be any moment, so paths are watched closely. */
  isBusy(): boolean;
  /** More waits than the paths take. */
  isLimited(): boolean;
  /** Bulk is to be spread over several connections. */
  isStriped(): boolean;
  /** The paths were judged; before the best is chosen again. @param stoodStillMs this side did nothing for so long, asleep or stopped */
  watched(nowMs: number, stoodStillMs: number): void;
}

export class Paths {
  readonly #owner: PathsOwner;
  readonly #paths: Path[] = [];
  #active: Path | undefined;
  #tick: { readonly timer: Timer; readonly dueAtMs: number; readonly pace: Pace } | undefined;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(owner: PathsOwner) {
    this.#owner = owner;
  }

  /** The one that carries the session. */
  get active(): Path | undefined {
    return this.#active;
  }

  /** Those that data is spread over, the active one first. */
  get carriers(): readonly Path[] {
    return this.#active === undefined ? [] : carriersOf(this.#active, this.#paths);
  }

  /** Those on which data came of which the other side has not been told. */
  get untold(): readonly Path[] {
    return this.#paths.filter((path) => path.arrivedFrames > path.toldFrames && path.state !== "proving");
  }

  has(link: Link): boolean {
    return this.#paths.some((each) => each.link === link);
  }

  /** Gives a link back that is not needed any more. */
  dropLink(link: Link): void {
    const path = this.#paths.find((each) => each.link === link);
    if (path !== undefined) this.drop(path, undefined);
  }

  /** One that could carry a last word when none is active. */
  get any(): Path | undefined {
    return this.#active ?? this.#paths[0];
  }

  /** The transports of all usable paths, best first. */
  get transports(): readonly Link["kind"][] {
    return this.#paths
      .filter((path) => path.state === "usable")
      .toSorted((a, b) => a.rank - b.rank)
      .map((path) => path.link.kind);
  }

  /** Takes over a link, or closes it when there are too many. @returns the new path */
  add(link: Link, state: "proving" | "usable", linkNonce: Uint8Array): Path | undefined {
    if (this.#paths.length >= PATHS_MAX) {
      // Attachments can be replayed, proofs cannot: who has not proved himself makes room.
      const unproved = this.#paths.find((path) => path.state === "proving");
      if (unproved !== undefined) this.drop(unproved, new PeerloomError("link/too-many", "Made room."));
    }
    if (this.#closed || this.#paths.length >= PATHS_MAX) {
      link.close();
      return undefined;
    }
    const { clock } = this.#owner;
    const nowMs = clock.monotonicMs();
    // What a frame needs besides is the same on every link.
    const plaintextBytesMax = DATA_BYTES_MAX - (FRAME_BYTES_MAX - link.frameBytesMax);
    const path = new Path({ link, state, linkNonce, plaintextBytesMax, nowMs });
    this.#paths.push(path);
    link.onFrame = (frame) => this.#owner.receive(path, frame);
    link.onDrain = () => this.#owner.drained();
    link.onClose = (error) => this.drop(path, error);
    if (state === "proving") {
      path.expectAnswer(nowMs);
      path.proofTimer = clock.setTimer(PROVE_TIMEOUT_MS, () => {
        if (path.state === "proving") this.drop(path, new PeerloomError("link/timeout", "No proof came."));
      });
    }
    return path;
  }

  drop(path: Path, error: PeerloomError | undefined): void {
    const index = this.#paths.indexOf(path);
    if (index < 0) return;
    this.#paths.splice(index, 1);
    path.state = "dead";
    closeLink(path, error === undefined ? "close" : "destroy");
    this.#owner.note("path lost", path, { code: error?.code });
    this.#owner.release(path);
    this.choose();
  }

  /** Moves to the best path there is. What is under way on those that are suspect is not waited for. */
  choose(): void {
    if (this.#closed) return;
    const before = this.#active;
    this.#active = pickPath(this.#paths);
    if (this.#active?.state === "usable")
      for (const path of this.#paths)
        if (path.state === "suspect" && path.isCarrying) this.#owner.release(path);
    this.#owner.chose(this.#active, before);
  }

  /** A ping was answered. */
  answered(path: Path, id: number, nowMs: number): void {
    const before = path.state;
    path.pong(id, nowMs);
    if (path.state !== before) {
      this.#owner.note("path proved again", path, { rttMs: path.rttMs });
      // The next interruption may come soon: by then the round trip should be known as it is without one.
      this.#owner.sendPing(path, path.startPing(nowMs));
    }
    this.choose();
  }

  /**
   * Whether they still live is found out at once. Those through the edge that carry nothing are left asleep.
   * @param slept this side was asleep: the other has most likely given them up, so that they are not waited for as long as else
   */
  check(slept: boolean): void {
    const nowMs = this.#owner.clock.monotonicMs();
    if (this.#closed || nowMs - this.#checkedAtMs < CHECK_EVERY_MS) return;
    this.#checkedAtMs = nowMs;
    for (const path of this.#paths) {
      if (path.state === "proving" || path.state === "dead") continue;
      if (path !== this.#active && pathKindOf(path.link.kind) !== "direct") continue;
      // Silence until now says nothing: this side may have stood still.
      path.forgive(nowMs);
      if (slept) path.doubt();
      this.#owner.sendPing(path, path.startPing(nowMs));
    }
    this.watch();
  }

  /** All links are given up; the session waits for others. */
  dropAll(error: PeerloomError): void {
    for (const path of [...this.#paths]) this.drop(path, error);
  }

  /** Sees to it that the paths are looked at, often while something is under way. */
  watch(): void {
    if (this.#closed) return;
    const { clock } = this.#owner;
    const nowMs = clock.monotonicMs();
    const pace = this.#pace(nowMs);
    if (this.#tick !== undefined) {
      if (TICK_MS[this.#tick.pace] <= TICK_MS[pace]) return;
      this.#tick.timer.cancel();
    }
    const delayMs = pace === "calm" ? this.#calmMs(nowMs) : TICK_MS[pace];
    const timer = clock.setTimer(delayMs, () => this.#onTick());
    this.#tick = { timer, pace, dueAtMs: nowMs + delayMs };
  }

  /** As `watch`, for those who call it with every frame. */
  watchClosely(): void {
    if (this.#tick?.pace !== "close") this.watch();
  }

  close(): void {
    this.#closed = true;
    this.#tick?.timer.cancel();
    this.#tick = undefined;
    for (const path of this.#paths.splice(0)) closeLink(path, "close");
    this.#active = undefined;
  }

  #pace(nowMs: number): Pace {
    const isChecked = nowMs - this.#checkedAtMs < CHECK_MS;
    // Without any path there is only the time to be watched.
    if (this.#active === undefined || !(isChecked || this.#owner.isBusy())) return "idle";
    return isChecked || this.#paths.length > 1 || this.#owner.isLimited() ? "close" : "calm";
  }

  /** What departs after this is not overdue before the next look. */
  #calmMs(nowMs: number): number {
    const nextAtMs = Math.min(...this.#paths.map((path) => path.nextLookAtMs(this.#busyPace(path))));
    return Math.min(Math.max(Math.ceil(nextAtMs - nowMs), 1), TICK_MS.calm);
  }

  #onTick(): void {
    const nowMs = this.#owner.clock.monotonicMs();
    const tick = this.#tick;
    this.#tick = undefined;
    if (tick === undefined || this.#closed) return;
    const { slackMs = 0 } = this.#owner.clock;
    const lateMs = nowMs - tick.dueAtMs;
    const stoodStillMs = lateMs > TICK_LATE_MS + slackMs ? lateMs : 0;
    if (stoodStillMs > 0) for (const path of this.#paths) path.forgive(nowMs);
    const isBusy = tick.pace !== "idle";
    const isCompared = isBusy && this.#compare(nowMs);
    for (const path of [...this.#paths]) this.#look(path, nowMs, isBusy, isCompared);
    this.#owner.watched(nowMs, stoodStillMs);
    if (!isBusy) this.#thin();
    this.choose();
    this.watch();
  }

  /**
   * Sets what is known of the round trips side by side.
   * @returns whether the spare paths are to be measured as often as the one that carries the session
   */
  #compare(nowMs: number): boolean {
    const usable = this.#paths.filter(({ state }) => state === "usable");
    if (usable.length < 2) return false;
    let isDoubtful = false;
    for (const path of usable) {
      path.standing.compare(
        comparisonOf(path, usable, (each) => each.freshRttMs(nowMs)),
        nowMs,
      );
      if (path.standing.isDemoted) isDoubtful = true;
      else if (path === this.#active) {
        const known = comparisonOf(path, usable, ({ rttMs }) => rttMs);
        isDoubtful ||= known !== undefined && isFarBehind(known);
      }
    }
    return isDoubtful;
  }

  #suspect(path: Path, nowMs: number): void {
    this.#owner.note("path suspect", path, { silentMs: nowMs - path.heardAtMs, rttMs: path.rttMs });
    this.#owner.sendPing(path, path.suspect(nowMs));
  }

  /** Others go the same way, such as all direct ones: what was hardly heard later is no better, and is asked before it is moved to. */
  #suspectAlike(path: Path, nowMs: number): void {
    const kind = pathKindOf(path.link.kind);
    for (const other of this.#paths) {
      const isLater = other.heardAtMs - path.heardAtMs > HEARD_LATER_MS;
      if (pathKindOf(other.link.kind) === kind && other.state === "usable" && !isLater)
        this.#suspect(other, nowMs);
    }
  }

  /** Dials that crossed have made two connections of one kind, each with keep-alives of its own: idle, one is enough. */
  #thin(): void {
    if (!this.#owner.leads || this.#owner.isStriped()) return;
    const active = this.#active;
    const isSpare = (each: Path): boolean =>
      each !== active && each.state === "usable" && each.link.kind === active?.link.kind && !each.isCarrying;
    for (const path of this.#paths.filter(isSpare)) this.drop(path, undefined);
  }

  #look(path: Path, nowMs: number, busy: boolean, isCompared: boolean): void {
    if (path.state === "proving" || path.state === "dead") return;
    const judgement = path.judge(nowMs);
    if (judgement === "dead") {
      this.drop(path, new PeerloomError("link/timeout", "The path has gone silent."));
      return;
    }
    if (judgement === "suspect" && path.state === "usable") {
      this.#suspect(path, nowMs);
      this.#suspectAlike(path, nowMs);
    }
    // A spare path through the edge is left asleep, unless it may be needed; its own keep-alive does not wake the relay.
    if (path !== this.#active && !isCompared && pathKindOf(path.link.kind) !== "direct") return;
    const isClose = busy && (path === this.#active || path.isCarrying || isCompared);
    const id = path.pingDue(nowMs, isClose ? this.#busyPace(path) : this.#idlePace(path));
    if (id !== undefined) this.#owner.sendPing(path, id);
  }

  #busyPace(path: Path): PingPace {
    return path.isNew || this.#paths.length > 1 ? PING_COMPARED : PING_ALONE;
  }

  #idlePace(path: Path): PingPace {
    const { leads } = this.#owner;
    if (pathKindOf(path.link.kind) === "relay") return leads ? PING_IDLE_RELAYED : PING_IDLE_RELAYED_LED;
    return leads ? PING_IDLE : PING_IDLE_LED;
  }
}

/** A path beside the best of the others that is not put back itself. */
function comparisonOf(
  path: Path,
  paths: readonly Path[],
  rttOf: (path: Path) => number | undefined,
): Comparison | undefined {
  const rttMs = rttOf(path);
  if (rttMs === undefined) return undefined;
  const isDirect = (each: Path): boolean => pathKindOf(each.link.kind) === "direct";
  let best: Comparison | undefined;
  for (const other of paths) {
    const otherRttMs = rttOf(other);
    if (other === path || other.standing.isDemoted || otherRttMs === undefined) continue;
    if (best !== undefined && best.otherRttMs <= otherRttMs) continue;
    best = { rttMs, otherRttMs, isOtherCostly: isDirect(path) && !isDirect(other) };
  }
  return best;
}

function closeLink(path: Path, how: "close" | "destroy"): void {
  path.proofTimer?.cancel();
  path.link.onFrame = () => {};
  path.link.onDrain = () => {};
  path.link.onClose = () => {};
  path.link[how]();
}
