/**
 * Who is served. A getter has a place once it has proved that it knows a share; until then its stream is one of a few that may wait for that,
 * so that strangers keep nobody out. Where all places are taken, one that makes no use of its own loses it to the next.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";

/** Getters served at once; each costs a stream and a few chunks of memory. */
export const GETTERS_MAX = 64;
/** Of these, streams of one peer: it needs one for each share. */
export const GETTER_STREAMS_MAX = 16;
/** Streams that have not proved anything yet, which takes a round trip; past that the oldest ends. */
export const OPENINGS_MAX = 64;
/** Of these, one peer's; it is told to come again. */
export const OPENINGS_OF_PEER_MAX = 8;
/** A place may be lost when nothing was asked or taken for so long. */
export const IDLE_MS = 10_000;

export interface Getter {
  readonly peerId: PeerId;
  /** For how long nothing was asked by it or taken, ms; 0 while it waits for its turn. */
  idleMs(): number;
  /** It is told why, and served no longer. */
  end(error: PeerloomError): void;
}

export class Getters {
  /** In the order in which they came. */
  readonly #openings = new Map<() => void, PeerId>();
  readonly #served = new Set<Getter>();

  /**
   * A stream has come that has to prove itself.
   * @param end of the stream @returns when it has, or has ended @throws PeerloomError `files/busy`
   */
  opening(peerId: PeerId, end: () => void): () => void {
    if (countOf([...this.#openings.values()], peerId) >= OPENINGS_OF_PEER_MAX) throw busy();
    const [oldest] = this.#openings.keys();
    if (this.#openings.size >= OPENINGS_MAX && oldest !== undefined) {
      this.#openings.delete(oldest);
      oldest();
    }
    this.#openings.set(end, peerId);
    return () => this.#openings.delete(end);
  }

  /** Makes sure that a getter which has proved itself can be served. @throws PeerloomError `files/busy` */
  requireRoom(peerId: PeerId): void {
    const own = [...this.#served].map((getter) => getter.peerId);
    if (countOf(own, peerId) >= GETTER_STREAMS_MAX) throw busy();
    if (this.#served.size < GETTERS_MAX) return;
    let idlest: Getter | undefined;
    let idlestMs = 0;
    for (const getter of this.#served) {
      const idleMs = getter.idleMs();
      if (idleMs < IDLE_MS || idleMs <= idlestMs) continue;
      idlest = getter;
      idlestMs = idleMs;
    }
    if (idlest === undefined) throw busy();
    this.#served.delete(idlest);
    idlest.end(busy());
  }

  add(getter: Getter): void {
    this.#served.add(getter);
  }

  /** Twice is harmless. */
  delete(getter: Getter): void {
    this.#served.delete(getter);
  }
}

function countOf(ids: readonly PeerId[], peerId: PeerId): number {
  return ids.filter((id) => id === peerId).length;
}

function busy(): PeerloomError {
  return new PeerloomError("files/busy", "As many are served here as can be. Ask again later.");
}
