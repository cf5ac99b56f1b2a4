/**
 * Which chunk next, from whom. Pure bookkeeping above the sources: it knows what is missing, who has it, what is under way
 * where, and how quick each source is; it sends nothing itself. Chunks are asked for rarest first; towards the end, or when
 * a source falls behind, quicker ones take over what slower ones owe.
 */
import { Bitfield } from "./bitfield.ts";
import { Picker } from "./picker.ts";

/** What a source may have under way: its measured rate for a round trip and this long, and a quarter more so that it can grow. */
const QUEUE_MS = 100;
const WINDOW_HEADROOM = 1.25;
const WINDOW_BYTES_FIRST: number = 1024 * 1024;
const WINDOW_BYTES_MAX: number = 16 * 1024 * 1024;
const WINDOW_CHUNKS_MIN = 2;
const RATE_SMOOTHING = 0.2;
/** Rates are measured over so long at least: chunks read in one go say nothing. */
const RATE_SAMPLE_MS = 20;
/** Assumed of a source that has given nothing yet: 1 MB/s. */
const RATE_UNKNOWN_BYTES_PER_MS = 1_000;
/** A chunk is taken over only if that is so much sooner; less would be lost again to what crosses on the way. */
const TAKEOVER_GAIN = 1.5;
const TAKEOVER_GAIN_MS = 100;
/** Of all chunks, how many may come in vain, or be asked for twice at once: then nothing more is taken from who is at work. */
const VAIN_SHARE = 0.01;
/** A source sends so many at once; what it was asked for behind these it has not begun. */
const SENT_AT_ONCE = 2;
/** What is taken from a source may be on its way for so long; until then it counts as if it came. */
const DOUBT_MS = 1_000;
/** Who has no path, or gives nothing for so long, and for so many times as long as its last chunks took, is not at work. */
const STALLED_MS = 2_000;
const STALLED_CHUNKS = 6;
/** In order first, from where a reader stands; the rest of its window rarest first. */
const URGENT_CHUNKS = 16;

export interface SourceState {
  readonly bits: Bitfield;
  /** What it has counts as held by one more: not so of a complete source, as long as it stays one. */
  isCounted: boolean;
  /** It has no longer what it had once. */
  forgets: boolean;
  /** Asked for and not yet here, in the order of asking. */
  readonly pending: Set<number>;
  /** Taken back; it may have been on its way all the same. */
  readonly cancelled: Set<number>;
  rttMs(): number;
  /** No path leads to it now. It may come back. */
  isLost(): boolean;
  bytesPerMs: number | undefined;
  /** When it gave something last, or was asked after having nothing to do. */
  activeAtMs: number;
  /** Given since then, and not yet part of the rate. */
  sample: { bytes: number; sinceMs: number };
}

/** Chunks of use to a reader in order. */
export interface ReadWindow {
  readonly next: number;
  readonly below: number;
}

export interface Request {
  readonly index: number;
  /** Who is to be told that it need not send it. */
  readonly instead: SourceState | undefined;
}

export type Arrival = "wanted" | "late" | "unasked";

export class Scheduler {
  readonly #chunkBytes: number;
  readonly #wanted: Bitfield;
  readonly #done: Bitfield;
  /** Stored, or about to be. */
  readonly #verified: Bitfield;
  readonly #picker: Picker;
  readonly #sources = new Set<SourceState>();
  /** Who was asked for a chunk and may still bring it. */
  readonly #asked = new Map<number, Set<SourceState>>();
  readonly #vainMax: number;
  #vain = 0;
  /** When chunks were taken from who may be sending them. */
  #doubts: number[] = [];
  #missing: number;

  /** @param wanted the chunks to fetch; @param unit uniform in [0, 1) */
  constructor(wanted: Bitfield, chunkBytes: number, unit: () => number) {
    this.#chunkBytes = chunkBytes;
    this.#wanted = wanted;
    this.#done = new Bitfield(wanted.count);
    this.#verified = new Bitfield(wanted.count);
    this.#missing = wanted.size;
    this.#vainMax = Math.ceil(wanted.size * VAIN_SHARE);
    this.#picker = new Picker(wanted.count, unit);
    for (let index = 0; index < wanted.count; index++) if (wanted.has(index)) this.#picker.add(index);
  }

  get isComplete(): boolean {
    return this.#missing === 0;
  }

  /** @param bits kept, and grown by `tell` */
  join({ bits, rttMs, isLost }: Pick<SourceState, "bits" | "rttMs" | "isLost">, nowMs: number): SourceState {
    const source: SourceState = {
      bits,
      isCounted: !bits.isFull,
      forgets: false,
      pending: new Set(),
      cancelled: new Set(),
      rttMs,
      isLost,
      bytesPerMs: undefined,
      activeAtMs: nowMs,
      sample: { bytes: 0, sinceMs: nowMs },
    };
    this.#sources.add(source);
    if (source.isCounted) this.#countAll(source, 1);
    return source;
  }

  /**
   * A source has one more chunk; or, told of again, one fewer.
   * @returns who was asked for it though only it has others that are missing: it is better asked for those
   */
  tell(source: SourceState, index: number, nowMs: number): SourceState | undefined {
    if (!source.bits.add(index)) {
      this.#forgot(source, index);
      return undefined;
    }
    if (source.bits.isFull && !source.forgets) {
      source.isCounted = false;
      // It counts no more: everything it has others have, too, as far as rarity goes.
      for (let other = 0; other < source.bits.count; other++)
        if (other !== index) this.#picker.count(other, -1);
      return undefined;
    }
    this.#picker.count(index, 1);
    if (this.#picker.rare === 0) return undefined;
    for (const asked of this.#asked.get(index) ?? []) {
      const isSoon = this.#dueMs(asked, index, nowMs) < TAKEOVER_GAIN_MS;
      if (asked === source || !asked.bits.isFull || isSoon || !this.#mayRisk(nowMs)) continue;
      this.#doubts.push(nowMs);
      this.#takeBack(asked, index);
      this.#reopen(index);
      return asked;
    }
    return undefined;
  }

  /**
   * The next chunk to ask this source for, now marked as under way; undefined when it has enough to do or nothing is
   * left to ask it for.
   * @param window of a reader in order, which must not be left behind
   */
  take(source: SourceState, nowMs: number, window?: ReadWindow): Request | undefined {
    const { pending } = source;
    if (!this.#sources.has(source) || source.isLost()) return undefined;
    if (
      pending.size >= WINDOW_CHUNKS_MIN &&
      (pending.size + 1) * this.#chunkBytes > Math.max(windowBytes(source), this.#chunkBytes)
    )
      return undefined;
    const index = window === undefined ? this.#rarest(source) : this.#inWindow(source, window);
    if (index === undefined) return this.#takeOver(source, nowMs);
    this.#ask(source, index, nowMs);
    return { index, instead: undefined };
  }

  /** The source delivered; what it can do is learned from how long that took. Verify what is `wanted`. */
  arrived(source: SourceState, index: number, bytes: number, nowMs: number): Arrival {
    const wasPending = source.pending.delete(index);
    if (!wasPending && !source.cancelled.delete(index)) return "unasked";
    measure(source, bytes, nowMs);
    if (wasPending) this.#forgetAsked(source, index);
    if (!this.#verified.has(index)) return "wanted";
    this.#vain += 1;
    return "late";
  }

  /** The chunk is verified and need not be asked for again. @returns whom to tell so; undefined: it was verified before */
  verified(index: number): SourceState[] | undefined {
    if (!this.#verified.add(index)) return undefined;
    this.#picker.remove(index);
    const others = [...(this.#asked.get(index) ?? [])];
    for (const other of others) this.#takeBack(other, index);
    return others;
  }

  /** The chunk is stored. @returns false when it was before, or is none of those wanted */
  done(index: number): boolean {
    if (!this.#wanted.has(index) || !this.#done.add(index)) return false;
    this.#verified.add(index);
    this.#picker.remove(index);
    this.#missing -= 1;
    return true;
  }

  /** The chunk must be asked for again, elsewhere or here. */
  retry(index: number): void {
    if (!this.#asked.has(index)) this.#reopen(index);
  }

  /** The source is gone; what it had under way goes to others. */
  dropped(source: SourceState): void {
    if (!this.#sources.delete(source)) return;
    if (source.isCounted) this.#countAll(source, -1);
    for (const index of [...source.pending]) {
      this.#takeBack(source, index);
      this.retry(index);
    }
  }

  // --- choosing ---

  #rarest(source: SourceState): number | undefined {
    return this.#picker.pick((index) => source.bits.has(index));
  }

  #inWindow(source: SourceState, { next, below }: ReadWindow): number | undefined {
    const end = Math.min(below, this.#done.count);
    const suits = (index: number): boolean => this.#picker.has(index) && source.bits.has(index);
    for (let index = next; index < Math.min(next + URGENT_CHUNKS, end); index++)
      if (suits(index)) return index;
    let best: number | undefined;
    let rarity = Number.POSITIVE_INFINITY;
    for (let index = next + URGENT_CHUNKS; index < end; index++) {
      if (!suits(index) || this.#picker.rarity(index) >= rarity) continue;
      best = index;
      rarity = this.#picker.rarity(index);
    }
    return best;
  }

  /**
   * What another source owes and this one would bring much sooner. What the other is probably sending already is asked for twice;
   * anything behind it is taken away. Both may be in vain, and so has a bound.
   */
  #takeOver(source: SourceState, nowMs: number): Request | undefined {
    const { pending } = source;
    if (pending.size > 0 && !this.#isAtWork(source, source, nowMs)) return undefined;
    const ownMs = ((pending.size + 1) * this.#chunkBytes) / rateOf(source) + source.rttMs();
    let worstMs = Math.max(ownMs * TAKEOVER_GAIN, ownMs + TAKEOVER_GAIN_MS);
    const mayRisk = this.#mayTakeOver(nowMs);
    let worst: { readonly index: number; readonly from: SourceState; readonly place: number } | undefined;
    for (const from of this.#sources) {
      if (from === source) continue;
      const eachMs = this.#eachMs(from, source);
      const idleMs = nowMs - from.activeAtMs;
      const isAtWork = this.#isAtWork(from, source, nowMs);
      let place = 0;
      for (const index of from.pending) {
        place += 1;
        const dueMs = isAtWork ? Math.max(place * eachMs - idleMs, idleMs) : Number.POSITIVE_INFINITY;
        if (place <= SENT_AT_ONCE && isAtWork && !mayRisk) continue;
        if (dueMs < worstMs || !source.bits.has(index) || pending.has(index)) continue;
        // What was taken from it may be on its way all the same; and twice is enough, as long as somebody is at it.
        if (isAtWork && source.cancelled.has(index)) continue;
        if (this.#isAskedTwice(index, source, nowMs)) continue;
        worstMs = dueMs;
        worst = { index, from, place };
      }
    }
    if (worst === undefined) return undefined;
    const { index, from, place } = worst;
    if (place <= SENT_AT_ONCE && !from.isLost()) this.#doubts.push(nowMs);
    if (place > 1) this.#takeBack(from, index);
    this.#ask(source, index, nowMs);
    return { index, instead: place > 1 ? from : undefined };
  }

  /** That a chunk takes there. One that has given nothing yet is taken to be as quick as another, until its silence says otherwise. */
  #eachMs(source: SourceState, as: SourceState): number {
    return this.#chunkBytes / (source.bytesPerMs ?? rateOf(as));
  }

  #isAtWork(source: SourceState, as: SourceState, nowMs: number): boolean {
    const patienceMs = Math.max(STALLED_MS, STALLED_CHUNKS * this.#eachMs(source, as));
    return !source.isLost() && nowMs - source.activeAtMs < patienceMs;
  }

  #isAskedTwice(index: number, by: SourceState, nowMs: number): boolean {
    const asked = [...(this.#asked.get(index) ?? [])];
    return asked.length > 1 && asked.some((one) => this.#isAtWork(one, by, nowMs));
  }

  #mayRisk(nowMs: number): boolean {
    this.#doubts = this.#doubts.filter((atMs) => nowMs - atMs < DOUBT_MS);
    return this.#vain + this.#doubts.length < this.#vainMax;
  }

  /**
   * What may come in vain is kept for the end, where one late chunk is all that is waited for: early on, who is slow has hardly begun,
   * and what it owes will not be missed before the rest.
   */
  #mayTakeOver(nowMs: number): boolean {
    if (!this.#mayRisk(nowMs)) return false;
    const share = 1 - this.#missing / this.#wanted.size;
    return this.#vain + this.#doubts.length < Math.floor((this.#vainMax + 1) * share);
  }

  #dueMs(source: SourceState, index: number, nowMs: number): number {
    let place = 0;
    for (const pending of source.pending) {
      place += 1;
      if (pending === index) break;
    }
    return (place * this.#chunkBytes) / rateOf(source) - (nowMs - source.activeAtMs);
  }

  // --- what is under way ---

  #ask(source: SourceState, index: number, nowMs: number): void {
    if (source.pending.size === 0) {
      source.activeAtMs = nowMs;
      source.sample = { bytes: 0, sinceMs: nowMs };
    }
    source.pending.add(index);
    this.#picker.remove(index);
    const asked = this.#asked.get(index) ?? new Set();
    this.#asked.set(index, asked);
    asked.add(source);
  }

  #takeBack(source: SourceState, index: number): void {
    source.pending.delete(index);
    source.cancelled.add(index);
    this.#forgetAsked(source, index);
  }

  /** One that forgets is counted from then on, so that changing its mind costs nobody work. */
  #forgot(source: SourceState, index: number): void {
    if (!source.isCounted) this.#countAll(source, 1);
    source.isCounted = true;
    source.forgets = true;
    if (!source.bits.delete(index)) return;
    this.#picker.count(index, -1);
    if (!source.pending.has(index)) return;
    this.#takeBack(source, index);
    this.retry(index);
  }

  #forgetAsked(source: SourceState, index: number): void {
    const asked = this.#asked.get(index);
    asked?.delete(source);
    if (asked?.size === 0) this.#asked.delete(index);
  }

  #reopen(index: number): void {
    if (this.#wanted.has(index) && !this.#verified.has(index)) this.#picker.add(index);
  }

  #countAll(source: SourceState, change: 1 | -1): void {
    for (let index = 0; index < source.bits.count; index++)
      if (source.bits.has(index)) this.#picker.count(index, change);
  }
}

function measure(source: SourceState, bytes: number, nowMs: number): void {
  const { sample } = source;
  source.activeAtMs = nowMs;
  sample.bytes += bytes;
  const elapsedMs = nowMs - sample.sinceMs;
  if (elapsedMs < RATE_SAMPLE_MS) return;
  const rate = sample.bytes / elapsedMs;
  const before = source.bytesPerMs ?? rate;
  source.bytesPerMs = before + RATE_SMOOTHING * (rate - before);
  source.sample = { bytes: 0, sinceMs: nowMs };
}

function rateOf({ bytesPerMs }: SourceState): number {
  return bytesPerMs ?? RATE_UNKNOWN_BYTES_PER_MS;
}

function windowBytes(source: SourceState): number {
  if (source.bytesPerMs === undefined) return WINDOW_BYTES_FIRST;
  return Math.min(WINDOW_HEADROOM * source.bytesPerMs * (source.rttMs() + QUEUE_MS), WINDOW_BYTES_MAX);
}
