/**
 * Where the bytes of one writer's log are kept: in memory, or in a log file of the host, where memory holds only what was used
 * last. A file is a row of records: length (4, of the body), type (1), body. Entries stand in front of the certificate that
 * proves them; what is behind the last certificate that holds is cut off when the file is opened again.
 */
import { concatBytes, readUint32, writeUint32 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { LogFile } from "../../runtime.ts";
import { ENTRY_BYTES_MAX } from "./entry.ts";

/** Of entries read again or just written, for each writer. */
const CACHE_BYTES_MAX: number = 1024 * 1024;
/** Read at one time: entries are mostly wanted one after the other. */
const READ_BYTES: number = 64 * 1024;
const RECORD_HEAD_BYTES = 5;
/** The longest record: an entry, or a fork proof, which has two. */
export const RECORD_BYTES_MAX: number = 4 * ENTRY_BYTES_MAX;

export const RECORD = { entry: 1, certificate: 2, definition: 3, fork: 4 } as const;

export interface StoredRecord {
  readonly type: number;
  readonly body: Uint8Array;
  /** Where its body begins, and where the record ends. */
  readonly at: number;
  readonly end: number;
}

export interface EntryStore {
  readonly length: number;
  readonly bytes: number;
  /**
   * When it fails the entries are not there, as far as that can be had of a disk that fails: nothing else may be appended before the log
   * has been opened again, which finds out.
   * @param durable returns only when a power cut does no harm any more
   */
  append(entries: readonly Uint8Array[], certificate: Uint8Array, durable: boolean): Promise<void>;
  read(seq: number): Uint8Array | Promise<Uint8Array>;
  close(): Promise<void>;
}

export class MemoryEntries implements EntryStore {
  readonly #entries: Uint8Array[] = [];
  bytes = 0;

  get length(): number {
    return this.#entries.length;
  }

  async append(entries: readonly Uint8Array[]): Promise<void> {
    for (const entry of entries) {
      this.#entries.push(entry);
      this.bytes += entry.length;
    }
  }

  read(seq: number): Uint8Array {
    return this.#entries[seq] as Uint8Array;
  }

  async close(): Promise<void> {}
}

export class FileEntries implements EntryStore {
  readonly #file: LogFile;
  readonly #offsets: number[] = [];
  readonly #sizes: number[] = [];
  readonly #cache = new Map<number, Uint8Array>();
  #cacheBytes = 0;

  constructor(file: LogFile) {
    this.#file = file;
  }

  get length(): number {
    return this.#offsets.length;
  }

  get bytes(): number {
    return this.#file.bytes;
  }

  /** An entry that the file has already. */
  found({ at, body }: StoredRecord): void {
    this.#offsets.push(at);
    this.#sizes.push(body.length);
  }

  /** Forgets what was found behind the first entries, and cuts the file. */
  async cut(length: number, bytes: number): Promise<void> {
    this.#offsets.length = length;
    this.#sizes.length = length;
    if (this.#file.bytes > bytes) await this.#file.truncate(bytes);
  }

  async append(entries: readonly Uint8Array[], certificate: Uint8Array, durable: boolean): Promise<void> {
    const records = entries.map((entry) => encodeStored(RECORD.entry, entry));
    let at = this.#file.bytes;
    try {
      await this.#file.append(concatBytes(...records, encodeStored(RECORD.certificate, certificate)));
      if (durable) await this.#file.sync();
    } catch (error) {
      // Nobody has seen them: left there they would contradict what the writer signs next.
      await this.#file.truncate(at).catch(() => {});
      throw error;
    }
    for (const entry of entries) {
      this.#offsets.push(at + RECORD_HEAD_BYTES);
      this.#sizes.push(entry.length);
      at += RECORD_HEAD_BYTES + entry.length;
      this.#remember(this.length - 1, entry);
    }
  }

  read(seq: number): Uint8Array | Promise<Uint8Array> {
    return this.#cache.get(seq) ?? this.#fetch(seq);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #fetch(seq: number): Promise<Uint8Array> {
    const start = this.#offsets[seq] as number;
    const size = this.#sizes[seq] as number;
    const into = new Uint8Array(Math.max(READ_BYTES, size));
    const got = await this.#file.read(into, start);
    if (got < size)
      throw new PeerloomError("feeds/corrupt", "A feed's file has been cut while it was in use.");
    // Those behind it come in the same read; the one asked for is remembered last, so that it stays.
    for (let next = seq + 1; next < this.length; next++) {
      const from = (this.#offsets[next] as number) - start;
      const to = from + (this.#sizes[next] as number);
      if (to > got) break;
      this.#remember(next, into.slice(from, to));
    }
    const wanted = into.slice(0, size);
    this.#remember(seq, wanted);
    return wanted;
  }

  #remember(seq: number, entry: Uint8Array): void {
    if (this.#cache.has(seq)) return;
    this.#cache.set(seq, entry);
    this.#cacheBytes += entry.length;
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX) return;
      this.#cache.delete(oldest);
      this.#cacheBytes -= length;
    }
  }
}

export function encodeStored(type: number, body: Uint8Array): Uint8Array {
  const record = new Uint8Array(RECORD_HEAD_BYTES + body.length);
  writeUint32(record, 0, body.length);
  record[4] = type;
  record.set(body, RECORD_HEAD_BYTES);
  return record;
}

/** The records of a file, up to the first that is cut short or too long to be one. */
export async function* storedRecords(file: LogFile): AsyncGenerator<StoredRecord> {
  let block: Uint8Array = new Uint8Array(0);
  let blockAt = 0;
  const need = async (at: number, length: number): Promise<Uint8Array | undefined> => {
    if (at + length > file.bytes) return undefined;
    if (at < blockAt || at + length > blockAt + block.length) {
      block = new Uint8Array(Math.min(Math.max(READ_BYTES * 4, length), file.bytes - at));
      blockAt = at;
      if ((await file.read(block, at)) < block.length) return undefined;
    }
    return block.slice(at - blockAt, at - blockAt + length);
  };
  for (let at = 0; at < file.bytes;) {
    const head = await need(at, RECORD_HEAD_BYTES);
    if (head === undefined) return;
    const length = readUint32(head, 0);
    const body = length > RECORD_BYTES_MAX ? undefined : await need(at + RECORD_HEAD_BYTES, length);
    if (body === undefined) return;
    const end = at + RECORD_HEAD_BYTES + length;
    yield { type: head[4] as number, body, at: at + RECORD_HEAD_BYTES, end };
    at = end;
  }
}
