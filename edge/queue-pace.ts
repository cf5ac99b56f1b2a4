/**
 * How many messages a PeerJS room takes into its queue: of all its clients, and of those behind one address prefix, since each is rows, the dearest that
 * a small message can cause. The queue keeps it over sleep, or whoever lets the room sleep would begin anew.
 */
import { TokenBucket } from "./token-bucket.ts";

const ROOM_BURST = 8_192;
/** In the long run: at two rows each $5 a day at most. */
const ROOM_PER_SECOND = 30;
/** Thirty calls at once to peers that are not there, and a tenth of the default budget in a day. */
export const PREFIX_QUEUED_BURST = 512;
const PREFIX_PER_SECOND = 0.1;
/** Prefixes whose pace is known; past that the one heard of longest ago begins anew. */
const PREFIXES_MAX = 1_024;

export interface KeptPace {
  readonly tokens: number;
  readonly atMs: number;
  /** What is left to those that have used some; absent in rows of before. */
  readonly prefixes?: readonly (readonly [prefix: string, tokens: number])[];
}

export class QueuePace {
  readonly #room: TokenBucket;
  readonly #prefixes = new Map<string, TokenBucket>();

  constructor(kept: KeptPace | undefined, nowMs: number) {
    this.#room = new TokenBucket(ROOM_BURST, ROOM_PER_SECOND, kept?.atMs ?? nowMs, kept?.tokens);
    for (const [prefix, tokens] of kept?.prefixes ?? [])
      this.#prefixes.set(prefix, prefixBucket(kept?.atMs ?? nowMs, tokens));
  }

  kept(nowMs: number): KeptPace {
    const prefixes = [...this.#prefixes].map(([prefix, bucket]) => [prefix, leftIn(bucket, nowMs)] as const);
    const used = prefixes.filter(([, tokens]) => tokens < PREFIX_QUEUED_BURST);
    return { tokens: leftIn(this.#room, nowMs), atMs: nowMs, prefixes: used };
  }

  /** @param prefix undefined where none is known, which is not limited by itself */
  take(prefix: string | undefined, nowMs: number): boolean {
    if (prefix !== undefined && !this.#bucketOf(prefix, nowMs).take(nowMs)) return false;
    return this.#room.take(nowMs);
  }

  #bucketOf(prefix: string, nowMs: number): TokenBucket {
    const bucket = this.#prefixes.get(prefix) ?? prefixBucket(nowMs);
    this.#prefixes.delete(prefix);
    this.#prefixes.set(prefix, bucket);
    if (this.#prefixes.size > PREFIXES_MAX) this.#prefixes.delete(this.#prefixes.keys().next().value ?? "");
    return bucket;
  }
}

function prefixBucket(nowMs: number, tokens?: number): TokenBucket {
  return new TokenBucket(PREFIX_QUEUED_BURST, PREFIX_PER_SECOND, nowMs, tokens);
}

function leftIn(bucket: TokenBucket, nowMs: number): number {
  bucket.take(nowMs, 0);
  return bucket.tokens;
}
