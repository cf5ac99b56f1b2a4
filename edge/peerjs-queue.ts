/**
 * Messages for peers that are not there yet, each with its own end. They are rows, because an object that is evicted or deployed
 * again would forget them. Rows are what costs here ($1.00 per million written), so besides their number the pace is
 * bounded; what finds no room is refused, and its sender told at once instead of later.
 */
import type { Envelope, RelayedType } from "./peerjs-protocol.ts";
import { type KeptPace, QueuePace } from "./queue-pace.ts";

/** Of one sender: a dozen calls to peers that are not there. */
const SENDER_COUNT_MAX = 256;
const SENDER_LENGTH_MAX: number = 1024 * 1024;
/** For one peer, who gets it all at once: a hundred callers of a page that is being reloaded. */
const PEER_COUNT_MAX = 2_048;
const PEER_LENGTH_MAX: number = 2 * 1024 * 1024;
const ROOM_COUNT_MAX = 8_192;
const ROOM_LENGTH_MAX: number = 16 * 1024 * 1024;

/** A message that nobody came for. */
export interface Expired {
  readonly src: string;
  readonly dst: string;
}

export interface Claimed {
  /** In the order they were sent. */
  readonly frames: readonly string[];
  readonly expired: readonly Expired[];
}

type Row = Readonly<Record<string, SqlStorageValue>> & {
  readonly n: number;
  readonly dst: string;
  readonly src: string;
  readonly untilMs: number;
  /** 1 when its sender is told that it has expired. */
  readonly tells: number;
  readonly length: number;
};

class Load {
  count = 0;
  length = 0;
}

export class PeerjsQueue {
  readonly #storage: Pick<DurableObjectStorage, "sql" | "kv">;
  readonly #lifeMs: number;
  #index: Index | undefined;

  /** @param lifeMs how long a message waits */
  constructor(storage: Pick<DurableObjectStorage, "sql" | "kv">, lifeMs: number) {
    this.#storage = storage;
    this.#lifeMs = lifeMs;
  }

  /** False when there is no room for it. */
  add({ type, src, dst, frame, prefix }: Envelope, nowMs: number): boolean {
    const index = this.#loaded(nowMs);
    if (!index.fits(src, dst, frame.length) || !index.pace.take(prefix, nowMs)) return false;
    const tells = this.#tells(type, src, dst) ? 1 : 0;
    this.#storage.sql.exec(
      "INSERT INTO waiting (dst, n, src, untilMs, tells, length, frame) VALUES (?, ?, ?, ?, ?, ?, ?)",
      dst,
      index.nextNumber++,
      src,
      nowMs + this.#lifeMs,
      tells,
      frame.length,
      frame,
    );
    index.add(src, dst, frame.length);
    return true;
  }

  /** Takes out what waits for a peer that has come. */
  claim(dst: string, nowMs: number): Claimed {
    if (!this.#loaded(nowMs).has(dst)) return { frames: [], expired: [] };
    const rows = this.#remove<Row & { readonly frame: string }>(
      "DELETE FROM waiting WHERE dst = ? RETURNING n, dst, src, untilMs, tells, length, frame",
      dst,
      nowMs,
    ).sort((a, b) => a.n - b.n);
    const fresh = rows.filter(({ untilMs }) => untilMs > nowMs);
    return {
      frames: fresh.map(({ frame }) => frame),
      expired: told(rows.filter((row) => !fresh.includes(row))),
    };
  }

  /** Takes out what has waited too long. */
  expire(nowMs: number): readonly Expired[] {
    const rows = this.#remove<Row>(
      "DELETE FROM waiting WHERE untilMs <= ? RETURNING n, dst, src, untilMs, tells, length",
      nowMs,
      nowMs,
    );
    return told(rows);
  }

  /** When the next message ends; undefined when none waits. */
  nextMs(nowMs: number): number | undefined {
    if (this.#loaded(nowMs).isEmpty) return undefined;
    const { first } = this.#storage.sql
      .exec<{ first: number | null }>("SELECT MIN(untilMs) AS first FROM waiting")
      .one();
    return first ?? undefined;
  }

  /**
   * An application hears one error for each EXPIRE. So each OFFER, which is an attempt of its own, has one, and candidates only where
   * nothing else of the same sender waits that will be told.
   */
  #tells(type: RelayedType, src: string, dst: string): boolean {
    if (type === "OFFER") return true;
    const { sql } = this.#storage;
    return (
      sql.exec("SELECT 1 FROM waiting WHERE dst = ? AND src = ? AND tells = 1 LIMIT 1", dst, src).toArray()
        .length === 0
    );
  }

  #remove<R extends Row>(statement: string, value: string | number, nowMs: number): R[] {
    const index = this.#loaded(nowMs);
    const rows = this.#storage.sql.exec<R>(statement, value).toArray();
    for (const { src, dst, length } of rows) index.remove(src, dst, length);
    if (rows.length > 0) this.#storage.kv.put<KeptPace>("pace", index.pace.kept(nowMs));
    return rows;
  }

  /** What there is, read once after waking. */
  #loaded(nowMs: number): Index {
    if (this.#index !== undefined) return this.#index;
    const { sql, kv } = this.#storage;
    // The frame is the last column: SQLite need not read it to find the others.
    sql.exec(
      "CREATE TABLE IF NOT EXISTS waiting (dst TEXT NOT NULL, n INTEGER NOT NULL, src TEXT NOT NULL, untilMs INTEGER NOT NULL, tells INTEGER NOT NULL, length INTEGER NOT NULL, frame TEXT NOT NULL, PRIMARY KEY (dst, n)) WITHOUT ROWID",
    );
    const index = new Index(new QueuePace(kv.get<KeptPace>("pace"), nowMs));
    const rows = sql.exec<Pick<Row, "n" | "dst" | "src" | "length">>(
      "SELECT n, dst, src, length FROM waiting",
    );
    for (const { n, src, dst, length } of rows) {
      index.add(src, dst, length);
      index.nextNumber = Math.max(index.nextNumber, n + 1);
    }
    this.#index = index;
    return index;
  }
}

/** How much waits, of whom and for whom: what the bounds are about. */
class Index {
  readonly pace: QueuePace;
  nextNumber = 0;
  readonly #room = new Load();
  readonly #bySender = new Map<string, Load>();
  readonly #byPeer = new Map<string, Load>();

  constructor(pace: QueuePace) {
    this.pace = pace;
  }

  get isEmpty(): boolean {
    return this.#room.count === 0;
  }

  has(dst: string): boolean {
    return this.#byPeer.has(dst);
  }

  fits(src: string, dst: string, length: number): boolean {
    return (
      isBelow(this.#room, length, ROOM_COUNT_MAX, ROOM_LENGTH_MAX) &&
      isBelow(this.#bySender.get(src), length, SENDER_COUNT_MAX, SENDER_LENGTH_MAX) &&
      isBelow(this.#byPeer.get(dst), length, PEER_COUNT_MAX, PEER_LENGTH_MAX)
    );
  }

  add(src: string, dst: string, length: number): void {
    change(this.#bySender, src, 1, length);
    change(this.#byPeer, dst, 1, length);
    this.#room.count += 1;
    this.#room.length += length;
  }

  remove(src: string, dst: string, length: number): void {
    change(this.#bySender, src, -1, -length);
    change(this.#byPeer, dst, -1, -length);
    this.#room.count -= 1;
    this.#room.length -= length;
  }
}

function isBelow(load: Load | undefined, length: number, countMax: number, lengthMax: number): boolean {
  return load === undefined || (load.count < countMax && load.length + length <= lengthMax);
}

function change(loads: Map<string, Load>, name: string, count: number, length: number): void {
  const load = loads.get(name) ?? new Load();
  load.count += count;
  load.length += length;
  if (load.count === 0) loads.delete(name);
  else loads.set(name, load);
}

function told(rows: readonly Row[]): readonly Expired[] {
  return rows.filter(({ tells }) => tells === 1).map(({ src, dst }) => ({ src, dst }));
}
