/** What a feed tells applications about itself: plain data. */
import type { ErrorCode } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { encodeForkProof, type FeedFork, type ForkProof } from "./fork.ts";

/** Of one writer: the last entry that counts. */
export interface FeedHead {
  readonly writer: PeerId;
  readonly seq: number;
  /** SHA-256, 64 hexadecimal digits. */
  readonly hash: string;
}

/** Entries that had a place in the order have another now, or none: what was read from `from` on is to be read again. */
export interface FeedReorganisation {
  /** The first place concerned. */
  readonly from: number;
  /** How many places. */
  readonly entries: number;
}

/** A writer whose log the rules have stopped, and the entry that they refuse. */
export interface FeedStop {
  readonly writer: PeerId;
  readonly seq: number;
}

export interface FeedStatus {
  /** Entries that count. */
  readonly entries: number;
  /** In memory or on disk, bytes. */
  readonly bytes: number;
  /** Peers it is synchronised with now. */
  readonly neighbours: readonly PeerId[];
  /** Peers that were dropped because what they sent was false. */
  readonly blamed: number;
  /** Why nothing more is taken: the disk failed. Close the feed and open it again. */
  readonly failure: ErrorCode | undefined;
  readonly stopped: readonly FeedStop[];
}

export function presentFork(writers: readonly PeerId[], proof: ForkProof): FeedFork {
  const [a, b] = proof.branches.map(({ entries }) => entries[0] as Uint8Array);
  return {
    writer: writers[proof.writer] as PeerId,
    seq: proof.seq,
    entries: [a as Uint8Array, b as Uint8Array],
    proof: encodeForkProof(proof),
  };
}
