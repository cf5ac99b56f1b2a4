/** A topic's latest messages: what neighbours may still ask for, and what newcomers are told of the past. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Envelope, MessageId } from "./envelope.ts";

/** Kept of one topic; past either the oldest go. */
export const RECENT_MAX = 4_096;
export const RECENT_BYTES_MAX: number = 4 * 1024 * 1024;
/** One neighbour is given one message so often: once, and once more when it was lost on the way. */
const SERVED_MAX = 2;

export interface Recent {
  readonly id: MessageId;
  readonly envelope: Envelope;
  readonly atMs: number;
  /** Neighbours that are known to have it. */
  readonly holders: Set<PeerId>;
  readonly served: Map<PeerId, number>;
}

export class RecentMessages {
  readonly #all = new Map<MessageId, Recent>();
  #bytes = 0;

  get size(): number {
    return this.#all.size;
  }

  get(id: MessageId): Recent | undefined {
    return this.#all.get(id);
  }

  add(id: MessageId, envelope: Envelope, atMs: number, holders: Iterable<PeerId>): Recent {
    const recent: Recent = { id, envelope, atMs, holders: new Set(holders), served: new Map() };
    this.#all.set(id, recent);
    this.#bytes += envelope.bytes.length;
    for (const [oldest, { envelope: old }] of this.#all) {
      if (this.#all.size <= RECENT_MAX && this.#bytes <= RECENT_BYTES_MAX) break;
      this.#all.delete(oldest);
      this.#bytes -= old.bytes.length;
    }
    return recent;
  }

  /** Those that came after a time, oldest first, at most so many of the latest. */
  since(timeMs: number, countMax: number): Recent[] {
    const found: Recent[] = [];
    for (const recent of [...this.#all.values()].reverse()) {
      if (recent.atMs < timeMs || found.length >= countMax) break;
      found.push(recent);
    }
    return found.reverse();
  }

  /** The latest that were published, oldest first, within both bounds: signatures are checked side by side, so one may have come before an earlier one. */
  last(countMax: number, bytesMax: number): Recent[] {
    const latestFirst = [...this.#all.values()]
      .reverse()
      .sort((a, b) => b.envelope.timeMs - a.envelope.timeMs || b.envelope.seq - a.envelope.seq);
    const found: Recent[] = [];
    let bytes = 0;
    for (const recent of latestFirst) {
      bytes += recent.envelope.bytes.length;
      if (found.length >= countMax || bytes > bytesMax) break;
      found.push(recent);
    }
    return found.reverse();
  }

  /** To be given to a neighbour that asks; undefined when it is not here any more, or was given often enough. */
  serve(id: MessageId, to: PeerId): Recent | undefined {
    const recent = this.#all.get(id);
    const count = recent?.served.get(to) ?? 0;
    if (recent === undefined || count >= SERVED_MAX) return undefined;
    recent.served.set(to, count + 1);
    recent.holders.add(to);
    return recent;
  }
}
