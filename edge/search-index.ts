/**
 * The search index of one network: who shares what under which words (hybrid, as Napster). Members announce, anybody may ask; the bytes go from
 * peer to peer. All of it is soft: an announcement is forgotten after an hour, and said again by those who are still there.
 *
 * Rows written are what costs here, so saying the same again writes one row, and a question none: the object of a network that nobody
 * announced in holds nothing. The one alarm is armed by an announcement; an index that nobody renews empties itself and is gone.
 */
import { DurableObject } from "cloudflare:workers";
import { equalBytes, toHex } from "../shared/bytes.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { NetworkName, PeerId } from "../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/limits.ts";
import { type AnnouncedListing, HIT_TICKETS_MAX, LISTING_TTL_MS } from "../shared/listings.ts";
import { LISTING_WORDS_MAX, wordsOf } from "../shared/words.ts";
import type { Env } from "./env.ts";
import { Meter } from "./meter.ts";
import { Counters, type Report, sendReport } from "./metrics.ts";
import { searchIndexName } from "./shards.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Listings of one object, about 1.5 KB each. */
export const INDEX_LISTINGS_MAX = 20_000;
/** Announcements of one member: at once, and in the long run. Forgotten in sleep, by when the bucket is full again. */
export const ANNOUNCEMENTS_BURST = 20;
export const ANNOUNCEMENTS_PER_SECOND = 0.2;
/** Members whose rate is known; past that the one heard of longest ago begins anew. */
const BUCKETS_MAX = 4_096;
/** Listings looked at for one question, the newest first: a word that everybody uses must not cost a walk over all. */
const CANDIDATES_MAX = 400;
/** Rows that a listing writes: its own, its index, and what FTS5 writes for its words. Taken back it writes as many; the estimate has both. */
const LISTING_ROWS = 8;
/** Rows that a question reads at most, three for each candidate. */
const QUESTION_ROWS: number = 3 * CANDIDATES_MAX;
/** Who has withdrawn is remembered so long, so that an older announcement cannot be brought again. */
const WITHDRAWN_TTL_MS: number = 2 * CLOCK_SKEW_MS_MAX;

/** What a checked announcement says. */
export interface Entry {
  readonly network: NetworkName;
  readonly shard: number;
  readonly member: PeerId;
  readonly timeMs: number;
  /** SHA-256 over the listings: the same again changes nothing but the time. */
  readonly digest: Uint8Array;
  readonly listings: readonly AnnouncedListing[];
}

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

export class SearchIndex extends DurableObject<Env> {
  readonly #counters = new Counters();
  readonly #meter: Meter;
  readonly #buckets = new Map<PeerId, TokenBucket>();
  /** Undefined until it is needed. */
  #listings: number | undefined;
  #alarmIsSet = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#meter = new Meter({
      ctx,
      env,
      kind: "search",
      name: ctx.id.name ?? "",
      present: () => ({ sockets: 0, members: 0 }),
      onStage: () => {}, // Asked at each request; there is nobody to tell.
    });
  }

  /** @returns why it was not taken */
  async announce(entry: Entry): Promise<ErrorCode | undefined> {
    const nowMs = Date.now();
    this.#meter.upgrade(this.#network, nowMs);
    if (this.#meter.stage(nowMs) === "closed") return "edge/over-budget";
    const refusal = this.#take(entry, nowMs);
    if (refusal === undefined)
      this.#meter.use({ rowsWritten: 2 + LISTING_ROWS * entry.listings.length }, this.#network, nowMs);
    this.#count(entry, refusal === undefined ? "announcements" : `errors:${refusal}`);
    if (refusal === undefined && !this.#alarmIsSet) {
      this.#alarmIsSet = true;
      if ((await this.ctx.storage.getAlarm()) === null)
        await this.ctx.storage.setAlarm(nowMs + LISTING_TTL_MS);
    }
    return refusal;
  }

  /** @param words as `wordsOf` makes them; all must be there */
  search(at: Pick<Entry, "network" | "shard">, words: readonly string[], countMax: number): FoundListing[] {
    const nowMs = Date.now();
    this.#meter.upgrade(this.#network, nowMs);
    this.#count(at, "searches");
    if (this.#meter.stage(nowMs) === "closed") return [];
    this.#meter.use({ rowsRead: QUESTION_ROWS }, this.#network, nowMs);
    if (words.length === 0 || !this.#isOpen()) return [];
    const rows = this.ctx.storage.sql.exec<{
      hash: ArrayBuffer;
      name: string;
      bytes: number;
      ticket: string;
    }>(
      `SELECT hash, name, bytes, ticket FROM words JOIN listings ON listings.id = words.rowid
       JOIN members ON members.id = listings.member
       WHERE words MATCH ? AND members.expires > ? ORDER BY words.rowid DESC LIMIT ${CANDIDATES_MAX}`,
      words.map((word) => `"${word.replaceAll('"', '""')}"`).join(" "),
      Date.now(),
    );
    const found = new Map<string, { first: Omit<FoundListing, "tickets" | "sources">; tickets: string[] }>();
    for (const { hash: bytesOfHash, name, bytes, ticket } of rows) {
      const hash = toHex(new Uint8Array(bytesOfHash));
      const one = found.get(hash);
      if (one === undefined) found.set(hash, { first: { name, bytes, hash }, tickets: [ticket] });
      else one.tickets.push(ticket);
    }
    return [...found.values()]
      .sort((a, b) => b.tickets.length - a.tickets.length)
      .slice(0, countMax)
      .map(({ first, tickets }) => ({
        ...first,
        tickets: tickets.slice(0, HIT_TICKETS_MAX),
        sources: tickets.length,
      }));
  }

  /** For the ledger. */
  settleNow(): Promise<void> {
    return this.#meter.settleNow(this.#network);
  }

  get #network(): string {
    const name = this.ctx.id.name ?? "";
    return name.slice(0, name.lastIndexOf("/"));
  }

  /** For the tally. */
  drainCounters(): Report {
    return { counts: this.#counters.drain(Date.now()), sockets: 0, members: 0 };
  }

  override async alarm(): Promise<void> {
    this.#alarmIsSet = false;
    if (!this.#isOpen()) return;
    this.#expire(Date.now());
    const { next } = this.ctx.storage.sql
      .exec<{ next: number | null }>("SELECT min(expires) AS next FROM members")
      .one();
    if (next === null) {
      this.#listings = undefined;
      await this.ctx.storage.deleteAll();
    } else {
      this.#alarmIsSet = true;
      await this.ctx.storage.setAlarm(next);
    }
  }

  #take(
    { member, timeMs, digest, listings }: Entry,
    nowMs: number,
  ): Extract<ErrorCode, "edge/rate-limited" | "search/stale" | "search/over-quota"> | undefined {
    if (!this.#mayAnnounce(member, nowMs)) return "edge/rate-limited";
    this.#open();
    const { sql } = this.ctx.storage;
    const [known] = sql
      .exec<{ time: number; digest: ArrayBuffer; expires: number }>(
        "SELECT time, digest, expires FROM members WHERE id = ?",
        member,
      )
      .toArray();
    if (known !== undefined && known.time >= timeMs) return "search/stale";
    const expires = nowMs + (listings.length === 0 ? WITHDRAWN_TTL_MS : LISTING_TTL_MS);
    const isSame = known !== undefined && equalBytes(new Uint8Array(known.digest), digest);
    if (isSame && known.expires > nowMs) {
      sql.exec("UPDATE members SET time = ?, expires = ? WHERE id = ?", timeMs, expires, member);
      return undefined;
    }
    this.#expire(nowMs);
    const before = this.#countOf(member);
    if (this.#total() - before + listings.length > INDEX_LISTINGS_MAX) return "search/over-quota";
    this.ctx.storage.transactionSync(() => {
      this.#forget(member);
      sql.exec(
        "INSERT OR REPLACE INTO members (id, time, digest, expires) VALUES (?, ?, ?, ?)",
        member,
        timeMs,
        digest,
        expires,
      );
      for (const listing of listings) this.#insert(member, listing);
    });
    this.#listings = this.#total() - before + listings.length;
    return undefined;
  }

  #insert(member: PeerId, { hash, name, bytes, words, ticket }: AnnouncedListing): void {
    const { sql } = this.ctx.storage;
    const { id } = sql
      .exec<{ id: number }>(
        "INSERT INTO listings (member, hash, name, bytes, ticket) VALUES (?, ?, ?, ?, ?) RETURNING id",
        member,
        hash,
        name,
        bytes,
        ticket,
      )
      .one();
    // Cut here, whatever the member has cut: a word is found by itself only.
    const text = wordsOf(`${name} ${words}`, LISTING_WORDS_MAX).join(" ");
    sql.exec("INSERT INTO words (rowid, text) VALUES (?, ?)", id, text);
  }

  #forget(member: PeerId): void {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM words WHERE rowid IN (SELECT id FROM listings WHERE member = ?)", member);
    sql.exec("DELETE FROM listings WHERE member = ?", member);
  }

  #expire(nowMs: number): void {
    const { sql } = this.ctx.storage;
    const gone = sql.exec<{ id: PeerId }>("SELECT id FROM members WHERE expires <= ?", nowMs).toArray();
    if (gone.length === 0) return;
    this.ctx.storage.transactionSync(() => {
      for (const { id } of gone) {
        this.#forget(id);
        sql.exec("DELETE FROM members WHERE id = ?", id);
      }
    });
    this.#listings = undefined;
  }

  #mayAnnounce(member: PeerId, nowMs: number): boolean {
    const bucket =
      this.#buckets.get(member) ?? new TokenBucket(ANNOUNCEMENTS_BURST, ANNOUNCEMENTS_PER_SECOND, nowMs);
    this.#buckets.delete(member);
    this.#buckets.set(member, bucket);
    if (this.#buckets.size > BUCKETS_MAX) this.#buckets.delete(this.#buckets.keys().next().value as PeerId);
    return bucket.take(nowMs);
  }

  #total(): number {
    this.#listings ??= this.ctx.storage.sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM listings")
      .one().count;
    return this.#listings;
  }

  #countOf(member: PeerId): number {
    return this.ctx.storage.sql
      .exec<{ count: number }>("SELECT count(*) AS count FROM listings WHERE member = ?", member)
      .one().count;
  }

  #isOpen(): boolean {
    return (
      this.ctx.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'words'").toArray().length === 1
    );
  }

  /** The words are ours already: FTS5's `ascii` takes all beyond ASCII as part of a word, so that it cuts at our spaces alone. */
  #open(): void {
    if (this.#isOpen()) return;
    for (const statement of [
      "CREATE TABLE members (id TEXT PRIMARY KEY, time INTEGER, digest BLOB, expires INTEGER) WITHOUT ROWID",
      "CREATE TABLE listings (id INTEGER PRIMARY KEY, member TEXT, hash BLOB, name TEXT, bytes INTEGER, ticket TEXT)",
      "CREATE INDEX listings_of ON listings (member)",
      "CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'ascii', content = '', contentless_delete = 1)",
    ])
      this.ctx.storage.sql.exec(statement);
  }

  #count({ network, shard }: Pick<Entry, "network" | "shard">, name: Parameters<Counters["add"]>[0]): void {
    this.#counters.add(name);
    if (!this.#counters.isDue(Date.now())) return;
    const from = { kind: "search", name: searchIndexName(network, shard) } as const;
    sendReport(this.ctx, this.env, from, this.drainCounters());
  }
}
