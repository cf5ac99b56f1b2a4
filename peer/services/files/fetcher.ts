/**
 * One source at work for a download: keeps it asked, verifies each chunk before the next is looked at, so that a liar is found at its
 * first wrong chunk and costs no more than that one, and stores what is right.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import { toPeerloomError, type PeerloomError } from "../../../shared/errors.ts";
import type { Clock, HashProvider, Timer } from "../../runtime.ts";
import type { BytesByPath, Session } from "../../session/contract.ts";
import { Patience } from "../patience.ts";
import { chunkCount, HASH_BYTES } from "./chunks.ts";
import { LEAF_PREFIX } from "./merkle.ts";
import type { Manifest } from "./manifest.ts";
import type { Scheduler, SourceState } from "./scheduler.ts";
import { corrupt, type Source } from "./source.ts";
import type { Store } from "./store.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** A source that has had nothing wanted for so long may make room for another. */
const EMPTY_MS = 5_000;
/** And one that owes something and has not sent a byte, in a long line of getters it may be. */
const SILENT_MS = 20_000;
/** Chunks being written while the next are read. */
const STORING_MAX = 8;

/** What all fetchers of a download share. */
export interface FetchPlan {
  readonly clock: Clock;
  /** On the spot where the host can: handing a chunk to another thread takes a copy of it, and as long as hashing it. */
  readonly hash: HashProvider;
  readonly manifest: Manifest;
  /** Hashes of all chunks, one after the other. */
  readonly layer: Uint8Array;
  readonly store: Store;
  readonly scheduler: Scheduler;
  readonly downlink: TokenBucket;
  /** A source need not send that chunk any more. */
  cancel(source: SourceState, index: number): void;
  /** @param directShare of its bytes, how many came directly, 0 to 1 */
  onStored(index: number, giver: Session, directShare: number): void;
  /** Whole chunks that came for nothing. */
  onDiscarded(bytes: number): void;
  /** Storing failed: not the source's fault, and no other source would help. */
  onFatal(error: PeerloomError): void;
  /** There is something to ask for again. */
  onReopened(): void;
}

/** Who has been of no use longest; undefined: nobody for long enough. All are to be looked at as often as a `Patience`. */
export function mostUseless(fetchers: Iterable<Fetcher>): Fetcher | undefined {
  let worst: Fetcher | undefined;
  let worstMs = 0;
  for (const fetcher of fetchers) {
    const uselessMs = fetcher.uselessMs();
    if (uselessMs <= worstMs) continue;
    worst = fetcher;
    worstMs = uselessMs;
  }
  return worst;
}

export class Fetcher {
  readonly source: Source;
  readonly state: SourceState;
  /** It gave at least one right chunk. */
  gave = false;
  /** It had to make room. */
  isLetGo = false;
  /** Of no use so far. */
  readonly #patience: Patience;
  readonly #plan: FetchPlan;
  readonly #storing = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #isOver = false;
  #directShare = 0;

  constructor(source: Source, plan: FetchPlan) {
    const { manifest, scheduler, clock } = plan;
    this.source = source;
    this.#plan = plan;
    const bits = source.begin(chunkCount(manifest.bytes, manifest.chunkBytes));
    this.#patience = new Patience(plan.clock);
    const { onHeard } = source;
    source.onHeard = () => {
      this.useful();
      onHeard();
    };
    const { session } = source;
    const rttMs = (): number => session.path.rttMs ?? 0;
    const isLost = (): boolean => session.path.kind === "none";
    this.state = scheduler.join({ bits, rttMs, isLost }, clock.monotonicMs());
    source.onHave = (index) => {
      const elsewhere = scheduler.tell(this.state, index, clock.monotonicMs());
      if (elsewhere !== undefined) {
        plan.cancel(elsewhere, index);
        plan.onReopened();
      } else this.pump();
    };
  }

  /** Asks for as much as the source can have under way. */
  pump(): void {
    const { scheduler, store, downlink, clock, manifest } = this.#plan;
    while (!this.#isOver) {
      const waitMs = downlink.waitMs();
      if (waitMs > 0) {
        this.#timer ??= clock.setTimer(waitMs, () => {
          this.#timer = undefined;
          this.pump();
        });
        return;
      }
      const request = scheduler.take(this.state, clock.monotonicMs(), store.window);
      if (request === undefined) return;
      if (request.instead !== undefined) this.#plan.cancel(request.instead, request.index);
      downlink.take(manifest.chunkBytes);
      if (this.state.pending.size === 1) this.useful();
      this.source.request(request.index);
    }
  }

  /** It gives, or cannot be blamed. */
  useful(): void {
    this.#patience.reset();
  }

  /** For how long it has been of no use, ms; 0: not long enough to say so. To be looked at as often as a `Patience`. */
  uselessMs(): number {
    const waitedMs = this.#patience.waitedMs();
    return waitedMs < (this.state.pending.size === 0 ? EMPTY_MS : SILENT_MS) ? 0 : waitedMs;
  }

  letGo(): void {
    this.isLetGo = true;
    this.source.drop();
  }

  /**
   * Until the download is complete, or the source fails.
   * @throws PeerloomError `files/corrupt` and as `Source.chunk`
   */
  async run(): Promise<void> {
    const { scheduler } = this.#plan;
    try {
      this.pump();
      while (!scheduler.isComplete) await this.#receive();
    } finally {
      this.#isOver = true;
      this.#timer?.cancel();
      scheduler.dropped(this.state);
      this.#plan.onReopened();
      await Promise.all(this.#storing);
    }
  }

  async #receive(): Promise<void> {
    const { scheduler, clock, manifest, layer } = this.#plan;
    const { session } = this.source;
    const before = session.bytesReceived;
    const { index, prefixed } = await this.source.chunk(() => this.state.pending.size > 0);
    this.#attribute(before, session.bytesReceived);
    const bytes = prefixed.length - 1;
    const arrival = scheduler.arrived(this.state, index, bytes, clock.monotonicMs());
    if (arrival === "unasked") throw corrupt(session, "a chunk that was not asked for, other");
    this.pump();
    if (arrival === "late") {
      this.#plan.onDiscarded(bytes);
      return;
    }
    prefixed[0] = LEAF_PREFIX;
    const length = Math.min(manifest.chunkBytes, manifest.bytes - index * manifest.chunkBytes);
    const expected = layer.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    if (bytes !== length || !equalBytes(await this.#plan.hash.sha256(prefixed), expected)) {
      this.#plan.onDiscarded(bytes);
      scheduler.retry(index);
      throw corrupt(session, "another chunk");
    }
    const others = scheduler.verified(index);
    if (others === undefined) {
      this.#plan.onDiscarded(bytes);
      return;
    }
    for (const other of others) this.#plan.cancel(other, index);
    this.gave = true;
    const storing = this.#store(index, prefixed.subarray(1), this.#directShare).finally(() =>
      this.#storing.delete(storing),
    );
    this.#storing.add(storing);
    if (this.#storing.size >= STORING_MAX) await Promise.race(this.#storing);
  }

  /** A chunk counts as its session's bytes came while it was waited for; one that was there already, as the last. */
  #attribute(before: BytesByPath, after: BytesByPath): void {
    const direct = after.direct - before.direct;
    const other = after.relay - before.relay + (after.overlay - before.overlay);
    if (direct + other > 0) this.#directShare = direct / (direct + other);
  }

  async #store(index: number, bytes: Uint8Array, directShare: number): Promise<void> {
    try {
      await this.#plan.store.write(index, bytes);
      this.#plan.onStored(index, this.source.session, directShare);
    } catch (error) {
      this.#plan.onFatal(toPeerloomError(error, "files/unwritable", "Writing failed."));
    }
  }
}
