/**
 * One writer's log as far as this peer has it: the bytes, the tree over them, and the certificate, which is the newest signed
 * head together with the tiles of what lies between here and there. With these it proves any of its ranges to anybody, and tells whether
 * what it is brought continues it or contradicts it. What entries mean, and how many of them count, is the feed's matter.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { assert, orUndefined } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { HashProvider, LogFile } from "../../runtime.ts";
import { decodeEntry, type Entry } from "./entry.ts";
import { type Head, headFields, isHeadGenuine, readHead } from "./head.ts";
import {
  type ProvedRange,
  type Range,
  RANGE_BYTES_ENOUGH,
  RANGE_ENTRIES_MAX,
  readTiles,
  tileFields,
} from "./range.ts";
import { type EntryStore, FileEntries, MemoryEntries, RECORD, storedRecords } from "./store.ts";
import { equalTiles, leafHashes, leavesUnder, MerkleTree, peaksOf, rootOf, type Tile } from "./tree.ts";

interface Certificate {
  readonly head: Head;
  /** Over what the head covers and this log does not have. */
  readonly rest: readonly Tile[];
}

const CERTIFICATE_LIMITS = { bytesMax: 8_192, depthMax: 2, itemsMax: 256, textBytesMax: 0 } as const;

/** `before`: the logs part somewhere before the range; a number: with that entry, before which they agree. */
export type Comparison = "fits" | "before" | number;

export interface WriterLogOptions {
  readonly hash: HashProvider;
  readonly address: Uint8Array;
  readonly writer: PeerId;
  /** Undefined: in memory. */
  readonly file: LogFile | undefined;
}

export class WriterLog {
  readonly #hash: HashProvider;
  readonly #store: EntryStore;
  readonly #times: number[] = [];
  /** Just appended, and wanted next by whoever takes them in. */
  readonly #fresh = new Map<number, Entry | undefined>();
  #tree: MerkleTree;
  #certificate: Certificate | undefined;

  /** Reads what the file has, checks all of it, and cuts off what is not proved. */
  static async open(options: WriterLogOptions): Promise<WriterLog> {
    const { file } = options;
    if (file === undefined) return new WriterLog(options.hash, new MemoryEntries());
    const store = new FileEntries(file);
    const log = new WriterLog(options.hash, store);
    await log.#load(options, file, store);
    return log;
  }

  private constructor(hash: HashProvider, store: EntryStore) {
    this.#hash = hash;
    this.#store = store;
    this.#tree = new MerkleTree(hash);
  }

  get length(): number {
    return this.#tree.length;
  }

  get bytes(): number {
    return this.#store.bytes;
  }

  /** The newest head; undefined while the log is empty. */
  get head(): Head | undefined {
    return this.#certificate?.head;
  }

  hashOf(seq: number): Uint8Array {
    return this.#tree.leaf(seq);
  }

  /** 0 when the entry is no entry. */
  timeMsOf(seq: number): number {
    return this.#times[seq] ?? 0;
  }

  /** Undefined when its bytes are none that this version can read. */
  entry(seq: number): Entry | undefined | Promise<Entry | undefined> {
    const fresh = this.#fresh.get(seq);
    if (fresh !== undefined) return fresh;
    const bytes = this.#store.read(seq);
    return bytes instanceof Promise ? bytes.then(readable) : readable(bytes);
  }

  /** Whether everything that the newest head covers is here. */
  get isWhole(): boolean {
    return (this.head?.length ?? 0) === this.length;
  }

  /** The root that a log with these further entries has; for its writer to sign. */
  async rootWith(leaves: readonly Uint8Array[]): Promise<Uint8Array> {
    const own = this.#tree.cover(0, this.length);
    const peaks = await peaksOf(this.#hash, [...own, ...leaves.map((hash) => ({ height: 0, hash }))]);
    assert(peaks !== undefined, "own tiles and leaves stand in order");
    return rootOf(this.#hash, peaks);
  }

  /** Whether a range, whose head is genuine, is of this very log. */
  compare(range: ProvedRange): Comparison {
    const shared = Math.min(this.length, range.from + range.entries.length);
    if (range.from <= this.length && !equalTiles(this.#tree.cover(0, range.from), range.before))
      return "before";
    for (let seq = range.from; seq < shared; seq++)
      if (!equalBytes(this.hashOf(seq), range.leaves[seq - range.from] as Uint8Array)) return seq;
    return "fits";
  }

  /** Whether a head is of this log, as far as this peer can tell: of what it has not it knows nothing. */
  async contradicts({ length, root }: Head): Promise<boolean> {
    return length <= this.length && !equalBytes(await this.#tree.rootAt(length), root);
  }

  /** Takes a range that fits and brings something new. */
  async append(range: Omit<ProvedRange, "left" | "before">, durable = false): Promise<void> {
    const known = this.length - range.from;
    assert(known >= 0 && known < range.entries.length, "a range continues the log");
    const certificate: Certificate = { head: range.head, rest: range.right };
    const entries = range.entries.slice(known);
    await this.#store.append(entries, encodeCertificate(certificate), durable);
    const grow = await this.#tree.prepare(range.leaves.slice(known));
    grow();
    this.#fresh.clear();
    for (const bytes of entries) {
      const entry = readable(bytes);
      this.#fresh.set(this.#times.length, entry);
      this.#times.push(entry?.timeMs ?? 0);
    }
    this.#certificate = certificate;
  }

  /**
   * Entries with their proof, fewer than asked for when they are large.
   * @param to at most the log's length
   */
  async range(from: number, to: number): Promise<Range> {
    const certificate = this.#certificate;
    assert(certificate !== undefined && from < to && to <= this.length, "a range is of what is there");
    const entries: Uint8Array[] = [];
    let bytes = 0;
    const end = Math.min(to, from + RANGE_ENTRIES_MAX);
    for (let seq = from; seq < end && bytes < RANGE_BYTES_ENOUGH; seq++) {
      const entry = await this.#store.read(seq);
      entries.push(entry);
      bytes += entry.length;
    }
    // Reading took time, in which the log may have grown; the certificate is that of the tiles taken now.
    const { head, rest } = this.#certificate ?? certificate;
    return {
      head,
      from,
      entries,
      left: this.#tree.cover(0, from),
      right: [...this.#tree.cover(from + entries.length, this.length), ...rest],
    };
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #load({ address, writer }: WriterLogOptions, file: LogFile, store: FileEntries): Promise<void> {
    const pending: Uint8Array[] = [];
    const good: { length: number; end: number; certificate: Certificate }[] = [];
    const leaves: Uint8Array[] = [];
    for await (const record of storedRecords(file)) {
      if (record.type === RECORD.entry) {
        store.found(record);
        pending.push(record.body);
        this.#times.push(readable(record.body)?.timeMs ?? 0);
        continue;
      }
      const certificate = record.type === RECORD.certificate ? decodeCertificate(record.body) : undefined;
      if (certificate === undefined) break;
      leaves.push(...(await leafHashes(this.#hash, pending.splice(0))));
      good.push({ length: leaves.length, end: record.end, certificate });
    }
    // What one proves is proved up to there, so the last that holds is found by halving. Mostly it is the last of all.
    let [low, high] = [0, good.length];
    for (let look = high - 1; low < high; look = (low + high) >> 1) {
      const { length, certificate } = good[look] as (typeof good)[number];
      const tree = new MerkleTree(this.#hash);
      const grow = await tree.prepare(leaves.slice(0, length));
      grow();
      if (await isProof(this.#hash, address, writer, tree, certificate)) {
        low = look + 1;
        this.#tree = tree;
        this.#certificate = certificate;
      } else high = look;
    }
    this.#times.length = this.length;
    await store.cut(this.length, low === 0 ? 0 : (good[low - 1]?.end ?? 0));
  }
}

async function isProof(
  hash: HashProvider,
  address: Uint8Array,
  writer: PeerId,
  tree: MerkleTree,
  { head, rest }: Certificate,
): Promise<boolean> {
  if (tree.length === 0 || tree.length + leavesUnder(rest) !== head.length) return false;
  const peaks = await peaksOf(hash, [...tree.cover(0, tree.length), ...rest]);
  if (peaks === undefined || !equalBytes(await rootOf(hash, peaks), head.root)) return false;
  return isHeadGenuine(address, writer, head);
}

function encodeCertificate({ head, rest }: Certificate): Uint8Array {
  return encode([...headFields(head), tileFields(rest)]);
}

function decodeCertificate(bytes: Uint8Array): Certificate | undefined {
  return orUndefined(() => {
    const fields = new FieldReader(decode(bytes, CERTIFICATE_LIMITS), "certificate");
    const certificate: Certificate = { head: readHead(fields), rest: readTiles(fields) };
    fields.end();
    return certificate;
  });
}

function readable(bytes: Uint8Array): Entry | undefined {
  return orUndefined(() => decodeEntry(bytes));
}
