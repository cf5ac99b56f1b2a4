/** One member's announcement as the index takes it, and what it kept of the one before. */
import { equalBytes } from "../shared/bytes.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { NetworkName, PeerId } from "../shared/ids.ts";
import type { AnnouncedListing } from "../shared/listings.ts";
import type { Claim } from "./index-shares.ts";

/** What a checked announcement says. */
export interface Entry {
  readonly network: NetworkName;
  readonly shard: number;
  readonly member: PeerId;
  readonly timeMs: number;
  /** SHA-256 over the listings: the same again changes nothing but the time. */
  readonly digest: Uint8Array;
  readonly listings: readonly AnnouncedListing[];
  /** Of the address it came from; undefined where none is known. */
  readonly prefix: string | undefined;
}

/** Why an announcement was not taken. */
export interface NotTaken {
  readonly code: Extract<
    ErrorCode,
    "edge/over-budget" | "edge/over-capacity" | "edge/rate-limited" | "search/stale" | "search/over-quota"
  >;
  /** ms for which it stays so, for all of the prefix or of the network; undefined: soon it may be otherwise. */
  readonly leftMs?: number;
}

/** What is kept of a member. */
export type Known = Readonly<Record<string, SqlStorageValue>> & {
  readonly time: number;
  readonly digest: ArrayBuffer;
  readonly expires: number;
  readonly prefix: string;
  readonly listings: number;
};

/** The same content of several members. */
export interface FoundListing {
  readonly name: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly hash: string;
  /** The newest first, at most `HIT_TICKETS_MAX`. */
  readonly tickets: readonly string[];
  /** Members that have it. */
  readonly sources: number;
}

/** The same listings, whose time is not over. */
export function isSame({ digest }: Entry, known: Known | undefined, nowMs: number): boolean {
  return known !== undefined && known.expires > nowMs && equalBytes(new Uint8Array(known.digest), digest);
}

/** It writes a row or two: nothing new is said, or something taken back. */
export function isCheap(entry: Entry, known: Known | undefined, nowMs: number): boolean {
  return entry.listings.length === 0 || isSame(entry, known, nowMs);
}

export function claimOf({ prefix = "", listings }: Entry, replaced: Known | undefined): Claim {
  return { prefix, listings: listings.length, replaced };
}
