/**
 * The search index of one network: who shares what under which words (hybrid, as Napster). Members announce, anybody may ask; the bytes go from
 * peer to peer. All of it is soft: an announcement is forgotten after an hour, and said again by those who are still there.
 *
 * Rows written are what costs here, so saying the same again writes one row, and a question none: the object of a network that nobody
 * announced in holds nothing. The one alarm is armed by an announcement; an index that nobody renews empties itself and is gone.
 *
 * A full announcement costs as much as a thousand joins, and ids are free. So what is new is bought before a row is written, by address prefix and
 * only while the day is young, and where the index is full the prefix that has most of it makes room.
 */
import { DurableObject } from "cloudflare:workers";
import { toHex } from "../shared/bytes.ts";
import { assert } from "../shared/errors.ts";
import type { PeerId } from "../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/limits.ts";
import { type AnnouncedListing, HIT_TICKETS_MAX, LISTING_TTL_MS } from "../shared/listings.ts";
import { LISTING_WORDS_MAX, wordsOf } from "../shared/words.ts";
import type { Env } from "./env.ts";
import {
  claimOf,
  type Entry,
  type FoundListing,
  isCheap,
  isSame,
  type Known,
  type NotTaken,
} from "./index-entry.ts";
import { IndexShares } from "./index-shares.ts";
import type { Purchase } from "./ledger-book.ts";
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
/** The member's own, and the alarm's. */
const MEMBER_ROWS = 2;
/** Tables of an index that was empty. */
const TABLES_ROWS = 16;
/** The overlay finds too, so the index is what the edge saves first: what is new may not bring the day where relays become slow. */
const NEW_BEFORE: Purchase["before"] = "relay-slow";
/** Members are looked through for those whose time is over at most so often: each look reads a row of every one. */
const EXPIRE_EVERY_MS = 60_000;
/** Rows that a question reads at most, three for each candidate. */
const QUESTION_ROWS: number = 3 * CANDIDATES_MAX;
/** Who has withdrawn is remembered so long, so that an older announcement cannot be brought again. */
const WITHDRAWN_TTL_MS: number = 2 * CLOCK_SKEW_MS_MAX;

export class SearchIndex extends DurableObject<Env> {
  readonly #counters = new Counters();
  readonly #meter: Meter;
  readonly #buckets = new Map<PeerId, TokenBucket>();
  /** Undefined until it is needed. */
  #shares: IndexShares | undefined;
  #expiredMs = Number.NEGATIVE_INFINITY;
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

  async announce(entry: Entry): Promise<NotTaken | undefined> {
    this.#meter.upgrade(this.#network, Date.now());
    const refusal = this.#mayAnnounce(entry.member, Date.now())
      ? await this.#announce(entry)
      : ({ code: "edge/rate-limited" } as const);
    this.#count(entry, refusal === undefined ? "announcements" : `errors:${refusal.code}`);
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
    return { counts: this.#counters.drain(), sockets: 0, members: 0 };
  }

  override async alarm(): Promise<void> {
    const nowMs = Date.now();
    this.#meter.use({ objectRequests: 1, rowsWritten: 1 }, this.#network, nowMs);
    this.#alarmIsSet = false;
    const next = this.#isOpen() ? this.#expire(nowMs) : null;
    if (next === null) {
      this.#shares = undefined;
      await this.ctx.storage.deleteAll();
    } else {
      this.#alarmIsSet = true;
      await this.ctx.storage.setAlarm(Math.max(next, nowMs + EXPIRE_EVERY_MS));
    }
  }

  async #announce(entry: Entry): Promise<NotTaken | undefined> {
    const nowMs = Date.now();
    if (nowMs - this.#expiredMs >= EXPIRE_EVERY_MS && this.#isOpen()) this.#expire(nowMs);
    const known = this.#known(entry.member);
    const refusal = this.#refusalOf(entry, known);
    if (refusal !== undefined) return refusal;
    if (isCheap(entry, known, nowMs)) {
      if (known === undefined) return undefined; // it withdraws what nobody knows
      this.#meter.use({ rowsWritten: MEMBER_ROWS }, this.#network, nowMs);
      this.#take(entry, known, nowMs);
    } else {
      const unpaid = await this.#pay(entry, nowMs);
      if (unpaid !== undefined) return unpaid;
      // Others came meanwhile, perhaps itself.
      const knownNow = this.#known(entry.member);
      const late = this.#refusalOf(entry, knownNow);
      if (late !== undefined) return late;
      this.#open();
      this.#take(entry, knownNow, Date.now());
    }
    await this.#armAlarm(nowMs);
    return undefined;
  }

  #refusalOf(entry: Entry, known: Known | undefined): NotTaken | undefined {
    const nowMs = Date.now();
    if (this.#meter.stage(nowMs) === "closed")
      return { code: "edge/over-budget", leftMs: this.#meter.leftMs(nowMs) };
    if (known !== undefined && known.time >= entry.timeMs) return { code: "search/stale" };
    if (isCheap(entry, known, nowMs)) return undefined;
    const claim = claimOf(entry, known);
    const hasRoom = this.#counted.excess(claim) === 0 || this.#counted.whoMakesRoom(claim) !== undefined;
    return hasRoom ? undefined : { code: "search/over-quota" };
  }

  async #pay(entry: Entry, nowMs: number): Promise<NotTaken | undefined> {
    const isFull = this.#counted.excess(claimOf(entry, this.#known(entry.member))) > 0;
    const usage = {
      rowsWritten: MEMBER_ROWS + LISTING_ROWS * entry.listings.length + (this.#isOpen() ? 0 : TABLES_ROWS),
      // Who makes room is looked for among all.
      rowsRead: isFull ? INDEX_LISTINGS_MAX : 0,
    };
    const purchase = { network: this.#network, usage, before: NEW_BEFORE, prefix: entry.prefix };
    try {
      const { refusal, leftMs } = await this.#meter.buy(purchase, nowMs);
      return refusal && { code: refusal, leftMs };
    } catch {
      return { code: "edge/over-capacity" }; // the ledger is overloaded or restarting, and nothing is written on trust
    }
  }

  /** What was said is sound, paid, and has room or somebody to make it. */
  #take(entry: Entry, known: Known | undefined, nowMs: number): void {
    const { member, timeMs, digest, listings, prefix = "" } = entry;
    const { sql } = this.ctx.storage;
    const expires = nowMs + (listings.length === 0 ? WITHDRAWN_TTL_MS : LISTING_TTL_MS);
    if (isSame(entry, known, nowMs)) {
      sql.exec("UPDATE members SET time = ?, expires = ? WHERE id = ?", timeMs, expires, member);
      return;
    }
    const claim = claimOf(entry, known);
    const excess = this.#counted.excess(claim);
    this.ctx.storage.transactionSync(() => {
      if (excess > 0) this.#makeRoom(this.#counted.whoMakesRoom(claim), excess);
      if (known !== undefined) this.#forget(member, known);
      sql.exec(
        "INSERT OR REPLACE INTO members (id, time, digest, expires, prefix, listings) VALUES (?, ?, ?, ?, ?, ?)",
        member,
        timeMs,
        digest,
        expires,
        prefix,
        listings.length,
      );
      for (const listing of listings) this.#insert(member, listing);
    });
    this.#counted.add(prefix, listings.length);
  }

  #known(member: PeerId): Known | undefined {
    if (!this.#isOpen()) return undefined;
    const [row] = this.ctx.storage.sql
      .exec<Known>("SELECT time, digest, expires, prefix, listings FROM members WHERE id = ?", member)
      .toArray();
    return row;
  }

  async #armAlarm(nowMs: number): Promise<void> {
    if (this.#alarmIsSet) return;
    this.#alarmIsSet = true;
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(nowMs + LISTING_TTL_MS);
  }

  /** Those who list most go first: it hurts the fewest. */
  #makeRoom(prefix: string | undefined, excess: number): void {
    assert(prefix !== undefined, "a full index takes nothing before somebody makes room");
    const { sql } = this.ctx.storage;
    const victims = sql
      .exec<Pick<Known, "prefix" | "listings"> & { readonly id: PeerId }>(
        "SELECT id, prefix, listings FROM members WHERE prefix = ? AND listings > 0 ORDER BY listings DESC LIMIT ?",
        prefix,
        excess,
      )
      .toArray();
    let left = excess;
    for (const { id, ...victim } of victims) {
      if (left <= 0) break;
      left -= victim.listings;
      this.#forget(id, victim);
      sql.exec("DELETE FROM members WHERE id = ?", id);
    }
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

  #forget(member: PeerId, { prefix, listings }: Pick<Known, "prefix" | "listings">): void {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM words WHERE rowid IN (SELECT id FROM listings WHERE member = ?)", member);
    sql.exec("DELETE FROM listings WHERE member = ?", member);
    this.#counted.add(prefix, -listings);
  }

  /** @returns when the next one's time is over; null: nobody is left */
  #expire(nowMs: number): number | null {
    this.#expiredMs = nowMs;
    const { sql } = this.ctx.storage;
    const found = sql.exec<Pick<Known, "prefix" | "listings"> & { readonly id: PeerId }>(
      "SELECT id, prefix, listings FROM members WHERE expires <= ?",
      nowMs,
    );
    const gone = found.toArray();
    this.ctx.storage.transactionSync(() => {
      for (const { id, ...member } of gone) {
        this.#forget(id, member);
        sql.exec("DELETE FROM members WHERE id = ?", id);
      }
    });
    const left = sql.exec<{ next: number | null }>("SELECT min(expires) AS next FROM members");
    const { next } = left.one();
    this.#meter.use({ rowsRead: found.rowsRead + left.rowsRead }, this.#network, nowMs);
    return next;
  }

  #mayAnnounce(member: PeerId, nowMs: number): boolean {
    const bucket =
      this.#buckets.get(member) ?? new TokenBucket(ANNOUNCEMENTS_BURST, ANNOUNCEMENTS_PER_SECOND, nowMs);
    this.#buckets.delete(member);
    this.#buckets.set(member, bucket);
    if (this.#buckets.size > BUCKETS_MAX) this.#buckets.delete(this.#buckets.keys().next().value as PeerId);
    return bucket.take(nowMs);
  }

  /** Read once after waking, and kept up from there. */
  get #counted(): IndexShares {
    if (this.#shares !== undefined) return this.#shares;
    this.#shares = new IndexShares(INDEX_LISTINGS_MAX);
    if (!this.#isOpen()) return this.#shares;
    const rows = this.ctx.storage.sql.exec<{ prefix: string; count: number }>(
      "SELECT prefix, sum(listings) AS count FROM members GROUP BY prefix",
    );
    for (const { prefix, count } of rows) this.#shares.add(prefix, count);
    this.#meter.use({ rowsRead: rows.rowsRead }, this.#network, Date.now());
    return this.#shares;
  }

  /** False for an index of before there were prefixes too: what it holds is said again within the hour. */
  #isOpen(): boolean {
    return (
      this.ctx.storage.sql
        .exec("SELECT 1 FROM sqlite_master WHERE name = 'members' AND sql LIKE '%prefix%'")
        .toArray().length === 1
    );
  }

  /** The words are ours already: FTS5's `ascii` takes all beyond ASCII as part of a word, so that it cuts at our spaces alone. */
  #open(): void {
    if (this.#isOpen()) return;
    for (const statement of [
      "DROP TABLE IF EXISTS members",
      "DROP TABLE IF EXISTS listings",
      "DROP TABLE IF EXISTS words",
      "CREATE TABLE members (id TEXT PRIMARY KEY, time INTEGER, digest BLOB, expires INTEGER, prefix TEXT DEFAULT '', listings INTEGER DEFAULT 0) WITHOUT ROWID",
      "CREATE TABLE listings (id INTEGER PRIMARY KEY, member TEXT, hash BLOB, name TEXT, bytes INTEGER, ticket TEXT)",
      "CREATE INDEX listings_of ON listings (member)",
      "CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'ascii', content = '', contentless_delete = 1)",
    ])
      this.ctx.storage.sql.exec(statement);
  }

  #count({ network, shard }: Pick<Entry, "network" | "shard">, name: Parameters<Counters["add"]>[0]): void {
    this.#counters.add(name);
    if (!this.#counters.takeTurn(Date.now())) return;
    this.#meter.use({ objectRequests: 1 }, this.#network, Date.now());
    const from = { kind: "search", name: searchIndexName(network, shard) } as const;
    sendReport(this.ctx, this.env, from, this.drainCounters());
  }
}
