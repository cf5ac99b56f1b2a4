/**
 * The sending half of a session: turns plaintexts into numbered, sealed frames, sends them on the path it is told, keeps
 * each until it is acknowledged, and sends again, the very same bytes, what was under way on a path that is lost.
 */
import { GIVE_BACK_BYTES_MIN, giveBack } from "../../shared/bytes.ts";
import { assert } from "../../shared/errors.ts";
import {
  COUNTER_MAX,
  DATA_BYTES_MAX,
  FRAME,
  frameHeader,
  HEADER_BYTES,
  TAG_BYTES,
} from "../../shared/frame.ts";
import { LINK_BUFFER_HIGH_BYTES } from "../links/link.ts";
import type { AeadKey } from "../runtime.ts";
import type { Plaintext } from "./mux.ts";
import { type Flight, type Path, pickCarrier } from "./path.ts";
import { nonceOf } from "./seal.ts";
import { FAR_RTT_MS_MIN } from "./stripe-plan.ts";

/** Bytes sealed and not acknowledged, over all paths. The receiver's reorder buffer is as large. */
export const OUTBOX_BYTES_MAX: number = 16 * 1024 * 1024;
/** Frames being sealed by a host that seals in the background. */
const SEALING_MAX = 16;

/** What may be under way beyond a full window when it is urgent, and in one frame. */
const URGENT_BYTES_MAX: number = 32 * 1024;
const URGENT_FRAME_BYTES: number = 4 * 1024;

/** A frame under way for so long would have arrived by now on a path with room, and been acknowledged. */
const LATE_ROUND_TRIPS = 1.5;
const LATE_MS = 40;

const BLOCK_BYTES = 16;

interface Entry {
  readonly seq: number;
  readonly bytes: number;
  readonly acknowledged: readonly (() => void)[];
  /** Undefined while it is being sealed. */
  sealed: readonly Uint8Array[] | undefined;
  /** Where it is under way; undefined while it waits. */
  path: Path | undefined;
  flight: Flight | undefined;
  sentAtMs: number;
  /** It went out again while the first sending was still under way. */
  isRepeated: boolean;
}

export interface OutboxOptions {
  readonly key: AeadKey;
  nowMs(): number;
  /** The next plaintext, or undefined: see `Mux.take`. */
  take(bytesMax: number, urgentOnly: boolean, linkBytesMax: number): Plaintext | undefined;
  /** Sealing in the background failed or has made room: pump again. */
  wake(): void;
  failed(error: unknown): void;
}

/** Whole cipher blocks: OCB keeps back what is left over, and opening then copies the frame to put it together again. */
function wholeBlocks(bytes: number): number {
  return bytes - (bytes % BLOCK_BYTES);
}

/** What is being sealed goes to whichever path has room then. */
function roomOf(carriers: readonly Path[], chosen: Path): number {
  return carriers.length === 1
    ? chosen.room
    : carriers.reduce((sum, path) => sum + Math.max(0, path.room), Math.min(0, chosen.room));
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** Unacknowledged, by rising sequence number. */
  readonly #entries: Entry[] = [];
  /** Sealed and not under way, by rising sequence number. */
  #waiting: Entry[] = [];
  #nextSeq = 0;
  #bytes = 0;
  #sealing = 0;
  #sealingBytes = 0;
  #landedBytes = 0;
  /** Paths on which late frames still take up the window, until the other side tells of them (`taken`). */
  readonly #slow = new Set<Path>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes that have arrived by now, in whatever order. */
  get landedBytes(): number {
    return this.#landedBytes;
  }

  /** Sends as much as the paths take now. @param carriers the one that carries the session first */
  pump(carriers: readonly Path[]): void {
    const first = carriers[0];
    // With one path left it may never tell.
    if (carriers.length === 1) this.#forgetSlow();
    while (first !== undefined) {
      // One died of the last frame, inside `send`: what it had waits again, and the session pumps it to those that are left.
      if (carriers.some(({ state }) => state === "dead")) return;
      const withRoom = pickCarrier(carriers, LINK_BUFFER_HIGH_BYTES);
      const path = withRoom ?? first;
      if (path.link.isHeld === true || path.link.bufferedBytes >= LINK_BUFFER_HIGH_BYTES) return;
      const again = this.#waiting[0];
      if (again !== undefined) {
        // The oldest frame goes whatever the window says: nothing behind it is acknowledged before it has arrived.
        if (withRoom === undefined && again !== this.#entries[0]) return;
        this.#waiting.shift();
        this.#send(again, path);
        continue;
      }
      if (this.#bytes >= OUTBOX_BYTES_MAX) return this.#overtake(carriers);
      if (this.#sealing >= SEALING_MAX) return;
      // What is urgent is small and does not wait for bulk to be acknowledged.
      const room = roomOf(carriers, path) - this.#sealingBytes;
      const urgentOnly = room <= 0;
      if (urgentOnly && room <= -URGENT_BYTES_MAX) return;
      const plaintext = this.#options.take(
        urgentOnly ? URGENT_FRAME_BYTES : wholeBlocks(Math.min(path.window.frameBytes(), DATA_BYTES_MAX)),
        urgentOnly,
        path.window.frameBytesMax,
      );
      if (plaintext === undefined) return this.#overtake(carriers);
      this.#seal(plaintext, path);
    }
  }

  /**
   * Nothing new may be sent while there is room: what holds up the rest, on a path that has become slow, goes by the others too
   * (opportunistic retransmission: Raiciu et al., NSDI 2012). Whichever comes second is dropped there. Near peers are late because they are
   * busy, and would be busier.
   */
  #overtake(carriers: readonly Path[]): void {
    let path = carriers.length < 2 ? undefined : pickCarrier(carriers, LINK_BUFFER_HIGH_BYTES);
    const nowMs = this.#options.nowMs();
    for (const entry of this.#entries) {
      if (path?.rttMsMin === undefined || path.rttMsMin < FAR_RTT_MS_MIN) return;
      const { path: slow, flight } = entry;
      const lateMs = nowMs - entry.sentAtMs - LATE_ROUND_TRIPS * path.rttMsMin - LATE_MS;
      if (slow === undefined || slow === path || flight?.landed !== false || lateMs < 0) continue;
      flight.isOvertaken = true;
      this.#slow.add(slow);
      entry.isRepeated = true;
      this.#send(entry, path);
      path = pickCarrier(carriers, LINK_BUFFER_HIGH_BYTES);
    }
  }

  /** Everything below `next` has arrived. @returns false when the other side claims what was never sent */
  acknowledge(next: number): boolean {
    if (next > this.#nextSeq) return false;
    const nowMs = this.#options.nowMs();
    let count = 0;
    for (const entry of this.#entries) {
      if (entry.seq >= next) break;
      count += 1;
      this.#bytes -= entry.bytes;
      if (entry.path !== undefined && entry.flight !== undefined) {
        // Which sending has arrived is not known then, so none says how fast its path is (Karn and Partridge, SIGCOMM 1987).
        if (entry.isRepeated) this.#landedBytes += entry.path.abandon(entry.flight);
        else this.#landedBytes += entry.path.land(entry.flight, nowMs);
      }
      for (const acknowledged of entry.acknowledged) acknowledged();
      if (entry.bytes >= GIVE_BACK_BYTES_MIN) for (const piece of entry.sealed ?? []) giveBack(piece);
    }
    if (count > 0) {
      this.#entries.splice(0, count);
      this.#waiting = this.#waiting.filter((entry) => entry.seq >= next);
    }
    if (this.isEmpty) this.#forgetSlow();
    return true;
  }

  /** So many frames have come in at the other end of a path. */
  landBelow(path: Path, frames: number): void {
    this.#landedBytes += path.landBelow(frames, this.#options.nowMs());
  }

  /** What was under way there, and not acknowledged, will be sent again. */
  release(path: Path): void {
    this.#releaseWhere((entry) => entry.path === path);
  }

  /** Frames that have been under way for so long on a living path were lost by it: they are sent again. */
  releaseOlderThan(sentBeforeMs: number): void {
    const oldest = this.#entries[0];
    if (oldest?.path === undefined || oldest.sentAtMs > sentBeforeMs) return;
    this.#releaseWhere((entry) => entry.path !== undefined && entry.sentAtMs <= sentBeforeMs);
  }

  /** The session is over. */
  clear(): void {
    this.#entries.length = 0;
    this.#waiting = [];
    this.#bytes = 0;
  }

  #forgetSlow(): void {
    if (this.#slow.size === 0) return;
    for (const path of this.#slow) path.forgetOvertaken();
    this.#slow.clear();
  }

  #seal(plaintext: Plaintext, path: Path): void {
    assert(this.#nextSeq < COUNTER_MAX, "a session ends before its numbers do");
    const seq = this.#nextSeq++;
    const header = frameHeader(FRAME.data, seq);
    let bytes = HEADER_BYTES + TAG_BYTES;
    for (const part of plaintext.parts) bytes += part.length;
    const entry: Entry = {
      seq,
      bytes,
      acknowledged: plaintext.acknowledged,
      sealed: undefined,
      path: undefined,
      flight: undefined,
      sentAtMs: 0,
      isRepeated: false,
    };
    this.#entries.push(entry);
    this.#bytes += bytes;
    const sealed = this.#options.key.seal(nonceOf(seq), header, plaintext.parts);
    if (!(sealed instanceof Promise)) {
      entry.sealed = [header, ...sealed];
      this.#send(entry, path);
      return;
    }
    this.#sealing += 1;
    this.#sealingBytes += bytes;
    sealed.then(
      (parts) => {
        this.#sealing -= 1;
        this.#sealingBytes -= bytes;
        entry.sealed = [header, ...parts];
        this.#wait([entry]);
        this.#options.wake();
      },
      (error: unknown) => this.#options.failed(error),
    );
  }

  #send(entry: Entry, path: Path): void {
    assert(entry.sealed !== undefined, "only sealed frames are sent");
    const nowMs = this.#options.nowMs();
    entry.path = path;
    entry.flight = path.depart(entry.bytes, nowMs);
    entry.sentAtMs = nowMs;
    path.link.send(entry.sealed);
  }

  #releaseWhere(lost: (entry: Entry) => boolean): void {
    const released = this.#entries.filter((entry) => entry.sealed !== undefined && lost(entry));
    for (const entry of released) {
      if (entry.flight !== undefined) entry.path?.abandon(entry.flight);
      entry.path = undefined;
      entry.flight = undefined;
    }
    this.#wait(released);
  }

  #wait(entries: readonly Entry[]): void {
    this.#waiting.push(...entries);
    this.#waiting.sort((a, b) => a.seq - b.seq);
  }
}
