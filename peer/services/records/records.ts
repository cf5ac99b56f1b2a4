/**
 * Records as an application sees them: put under the hash of the value, or set under a name of one's own; announced as a provider of what a
 * key names; found by anybody of the network, with the edge present or gone. While this peer runs, it says again
 * what it has published before others would forget it.
 */
import { fromHex, toHex, utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, publicKeyOf, requirePeerId } from "../../../shared/ids.ts";
import { spreadMs } from "../../overlay/backoff.ts";
import type { Mesh } from "../../overlay/mesh/mesh.ts";
import type { Timer } from "../../runtime.ts";
import type { ServiceHost } from "../host.ts";
import { recordCheck, type RecordCheck } from "./check.ts";
import { getRecords, putRecord, type PutResult } from "./client.ts";
import { RecordHolder } from "./holder.ts";
import {
  isTimely,
  type KeyedRecord,
  type MutableRecord,
  mutableKeyInput,
  NAME_BYTES_MAX,
  PROVIDER_TTL_MS_MAX,
  RECORD_KEY_BYTES,
  signedBytes,
  TTL_MS_MAX,
} from "./record.ts";
import type { Wanted } from "./shelf.ts";
import { Turns } from "./turns.ts";
import { decodeValue, encodeValue, type RecordValue } from "./value.ts";

/** Own records are said again this often: others keep them for a day. */
const REPUBLISH_EVERY_MS = 3_600_000;
const PROVIDE_EVERY_MS: number = PROVIDER_TTL_MS_MAX / 2;
/** What was not kept when it was said again is said so soon, then each time after twice as long. */
const RETRY_AFTER_MS = 30_000;
/** Own records said again; past that the oldest is left to expire. */
const OWN_MAX = 1_024;
/** Writers of one name that come between each other are sorted out so often. */
const SET_ATTEMPTS = 4;

export interface PutOptions {
  readonly signal?: AbortSignal;
  /** Asked of others to keep it, at most 24 h; said again hourly while this peer runs. @default 86_400_000 */
  readonly ttlMs?: number;
}

export interface SetOptions extends PutOptions {
  /** Only if the version there has this number; 0: only if there is none. */
  readonly cas?: number;
}

export interface GetOptions {
  readonly signal?: AbortSignal;
}

export interface StoredRecord {
  /** SHA-256, 64 hexadecimal digits. */
  readonly key: string;
  /** Other peers that keep it, as far as is known; up to 8 do. 0: nobody is there, it waits here for others. */
  readonly copies: number;
  /** Of a mutable record. */
  readonly seq: number;
}

export interface FoundRecord {
  readonly key: string;
  readonly value: RecordValue;
  /** 0 for an immutable record. */
  readonly seq: number;
  /** Who signed it; undefined for an immutable record. */
  readonly publisher: PeerId | undefined;
  /** Wall clock, ms since 1970. */
  readonly expiresAtMs: number;
}

interface OwnRecord {
  readonly everyMs: number;
  publish(): Promise<PutResult>;
  /** In a row, to say it again. */
  failures: number;
  timer: Timer | undefined;
}

export class Records {
  readonly #host: ServiceHost;
  readonly #check: RecordCheck;
  readonly #turns: Turns;
  readonly #own = new Map<string, OwnRecord>();
  #mesh: Mesh | undefined;
  #holder: RecordHolder | undefined;
  #closed = false;

  constructor(host: ServiceHost) {
    this.#host = host;
    this.#check = recordCheck(host.runtime.hash, host.network);
    this.#turns = new Turns(host.runtime.clock);
  }

  /** The overlay stands: this peer keeps records of others from now on. */
  start(mesh: Mesh): void {
    const { clock, random } = this.#host.runtime;
    this.#mesh = mesh;
    this.#holder = new RecordHolder({ mesh, clock, random, check: this.#check });
    mesh.service = this.#holder;
  }

  /** Records kept here, for others and for this peer. */
  get kept(): number {
    return this.#holder?.shelf.size ?? 0;
  }

  /** Records and requests for them that were forged, expired, misplaced or too many. */
  get refused(): number {
    return this.#holder?.refused ?? 0;
  }

  /**
   * Puts an immutable value: bytes, text, or plain data; 1,023 bytes at most.
   * @returns its key, SHA-256 in 64 hexadecimal digits
   * @throws PeerloomError `records/too-large`, `records/unavailable`, `records/not-stored`, `records/busy`, `usage/invalid`, `peer/closed`, `aborted`
   * @example
   * const key = await peer.records.put("hello");
   */
  async put(value: RecordValue, options: PutOptions = {}): Promise<string> {
    return (await this.store(value, options)).key;
  }

  /** As `put`, and tells how many keep it. */
  async store(value: RecordValue, options: PutOptions = {}): Promise<StoredRecord> {
    const bytes = encodeValue(value);
    const key = await this.#host.runtime.hash.sha256(bytes);
    const publish = async (signal?: AbortSignal): Promise<PutResult> => {
      const record: KeyedRecord = {
        kind: "immutable",
        key,
        expiresAtMs: this.#expiryMs(options.ttlMs),
        value: bytes,
      };
      return this.#put(record, undefined, signal);
    };
    const { copies } = stored(await publish(options.signal));
    this.#sayAgain(toHex(key), againAfterMs(options), () => publish());
    return { key: toHex(key), copies, seq: 0 };
  }

  /**
   * Sets a name of this peer's own to a value; whoever knows its id and the name reads it.
   * @param name 1 to 64 bytes of UTF-8
   * @throws PeerloomError `records/stale` (`cas` does not fit, or another process of the same identity is faster), `records/too-large`,
   * `records/unavailable`, `records/not-stored`, `records/busy`, `usage/invalid`, `peer/closed`, `aborted`
   * @example
   * const { seq } = await peer.records.set("status", { mood: "fine" });
   */
  async set(name: string, value: RecordValue, options: SetOptions = {}): Promise<StoredRecord> {
    const { cas, signal } = options;
    const { clock } = this.#host.runtime;
    const nameBytes = checkName(name);
    const bytes = encodeValue(value);
    const publicKey = publicKeyOf(this.#host.id);
    const key = await this.#host.runtime.hash.sha256(mutableKeyInput(publicKey, nameBytes));
    let current = cas ?? seqOf((await this.#get(key, "value", signal))[0]);
    for (let attempt = 0; ; attempt++) {
      const seq = current + 1;
      const publish = async (expected?: number, until?: AbortSignal): Promise<PutResult> => {
        const expiresAtMs = this.#expiryMs(options.ttlMs);
        const draft = {
          kind: "mutable",
          key,
          expiresAtMs,
          publicKey,
          name: nameBytes,
          seq,
          value: bytes,
        } as const;
        return this.#put(await this.#signed(draft), expected, until);
      };
      const result = await publish(cas, signal);
      // Where there is none any more its number goes on from the last.
      const isFree = cas === 0 && result.current !== undefined && !isTimely(result.current, clock.nowMs());
      const isDecided = result.status !== "stale" || (cas !== undefined && !isFree);
      if (isDecided || attempt === SET_ATTEMPTS - 1) {
        const { copies } = stored(result);
        this.#sayAgain(toHex(key), againAfterMs(options), () => publish());
        return { key: toHex(key), copies, seq };
      }
      current = Math.max(seqOf(result.current), seq);
    }
  }

  /**
   * The value of an immutable record by its key, or of a mutable one by its publisher's id and the name.
   * @returns undefined when nobody has it
   * @throws PeerloomError `records/key-invalid`, `id/invalid`, `usage/invalid`, `records/unavailable`, `records/busy`, `peer/closed`, `aborted`
   */
  async get(keyOrId: string, name?: string, options: GetOptions = {}): Promise<RecordValue | undefined> {
    return (await this.find(keyOrId, name, options))?.value;
  }

  /** As `get`, with all that is known of it. */
  async find(keyOrId: string, name?: string, options: GetOptions = {}): Promise<FoundRecord | undefined> {
    const key =
      name === undefined
        ? parseKey(keyOrId)
        : await this.#host.runtime.hash.sha256(
            mutableKeyInput(publicKeyOf(requirePeerId(keyOrId)), checkName(name)),
          );
    const [record] = await this.#get(key, "value", options.signal);
    if (record === undefined || record.kind === "provider") return undefined;
    return {
      key: toHex(key),
      value: decodeValue(record.value),
      seq: seqOf(record),
      publisher: record.kind === "mutable" ? peerIdFromKey(record.publicKey) : undefined,
      expiresAtMs: record.expiresAtMs,
    };
  }

  /**
   * Says that this peer has what a key names, such as a file's hash, and goes on saying it.
   * @param key 64 hexadecimal digits
   * @returns takes it back: it is not said again, and forgotten by others within 20 minutes
   * @throws PeerloomError `records/key-invalid`, `records/unavailable`, `records/not-stored`, `records/busy`, `peer/closed`, `aborted`
   */
  async provide(key: string, options: GetOptions = {}): Promise<() => void> {
    const bytes = parseKey(key);
    const publish = async (signal?: AbortSignal): Promise<PutResult> => {
      const expiresAtMs = this.#host.runtime.clock.nowMs() + PROVIDER_TTL_MS_MAX;
      const draft = {
        kind: "provider",
        key: bytes,
        expiresAtMs,
        publicKey: publicKeyOf(this.#host.id),
      } as const;
      return this.#put(await this.#signed(draft), undefined, signal);
    };
    stored(await publish(options.signal));
    const label = `provider ${key}`;
    this.#sayAgain(label, PROVIDE_EVERY_MS, () => publish());
    return () => this.#forget(label);
  }

  /** Peers that say they have what a key names, 20 at most, who said it last first. */
  async providers(key: string, options: GetOptions = {}): Promise<readonly PeerId[]> {
    const records = await this.#get(parseKey(key), "providers", options.signal);
    return records
      .filter((record) => record.kind === "provider")
      .sort((a, b) => b.expiresAtMs - a.expiresAtMs)
      .map(({ publicKey }) => peerIdFromKey(publicKey));
  }

  close(): void {
    this.#closed = true;
    for (const label of [...this.#own.keys()]) this.#forget(label);
    this.#holder?.close();
  }

  // --- through the overlay ---

  async #put(record: KeyedRecord, cas: number | undefined, signal?: AbortSignal): Promise<PutResult> {
    this.#host.requireAbility?.("publish");
    const mesh = await this.#linked(signal);
    const { clock } = this.#host.runtime;
    const put = (): Promise<PutResult> =>
      new Promise((resolve) => {
        putRecord({ mesh: this.#turns.over(mesh), clock, check: this.#check }, record, cas, resolve);
      });
    const result = await this.#turns.run(put, signal);
    signal?.throwIfAborted();
    return result;
  }

  async #get(key: Uint8Array, wanted: Wanted, signal?: AbortSignal): Promise<readonly KeyedRecord[]> {
    const mesh = await this.#linked(signal);
    const { clock } = this.#host.runtime;
    const get = (): Promise<readonly KeyedRecord[]> =>
      new Promise((resolve) => {
        getRecords({ mesh: this.#turns.over(mesh), clock, check: this.#check }, key, wanted, resolve);
      });
    const records = await this.#turns.run(get, signal);
    signal?.throwIfAborted();
    return records;
  }

  async #linked(signal: AbortSignal = new AbortController().signal): Promise<Mesh> {
    signal.throwIfAborted();
    if (this.#closed) throw new PeerloomError("peer/closed", "This peer is closing.");
    // A page may have the overlay only then.
    await this.#host.isLinked(signal);
    if (this.#mesh === undefined) {
      throw new PeerloomError(
        "records/unavailable",
        "Records live in the overlay, which this peer stays out of. Open it without overlay: false.",
      );
    }
    return this.#mesh;
  }

  #signed(draft: Omit<MutableRecord, "signature">): Promise<KeyedRecord>;
  #signed(draft: Omit<Extract<KeyedRecord, { kind: "provider" }>, "signature">): Promise<KeyedRecord>;
  async #signed(
    draft: Omit<MutableRecord, "signature"> | Omit<Extract<KeyedRecord, { kind: "provider" }>, "signature">,
  ): Promise<KeyedRecord> {
    const signature = await this.#host.sign(signedBytes(this.#host.network, draft));
    return { ...draft, signature };
  }

  #expiryMs(ttlMs: number = TTL_MS_MAX): number {
    if (!(ttlMs > 0 && ttlMs <= TTL_MS_MAX))
      throw new PeerloomError("usage/invalid", `ttlMs is from 1 to ${TTL_MS_MAX}, not ${ttlMs}.`);
    return Math.floor(this.#host.runtime.clock.nowMs() + ttlMs);
  }

  // --- saying it again ---

  #sayAgain(label: string, everyMs: number, publish: () => Promise<PutResult>): void {
    this.#forget(label);
    if (this.#closed) return;
    const own: OwnRecord = { everyMs, publish, failures: 0, timer: undefined };
    this.#own.set(label, own);
    if (this.#own.size > OWN_MAX) this.#forget(this.#own.keys().next().value as string);
    this.#planNext(label, own);
  }

  #planNext(label: string, own: OwnRecord): void {
    const { clock, random } = this.#host.runtime;
    const afterMs =
      own.failures === 0 ? own.everyMs : Math.min(RETRY_AFTER_MS * 2 ** (own.failures - 1), own.everyMs);
    own.timer = clock.setTimer(spreadMs(afterMs, random), () => void this.#say(label, own));
  }

  async #say(label: string, own: OwnRecord): Promise<void> {
    try {
      const { status } = await own.publish();
      // Whoever wrote what is newer says that again.
      own.failures = status === "stored" || status === "stale" ? 0 : own.failures + 1;
      if (status !== "stored") this.#host.runtime.log.debug("record not said again", { status });
    } catch (error) {
      own.failures += 1;
      this.#host.runtime.log.debug("record not said again", { error: String(error) });
    }
    if (this.#own.get(label) === own) this.#planNext(label, own);
  }

  #forget(label: string): void {
    this.#own.get(label)?.timer?.cancel();
    this.#own.delete(label);
  }
}

/** @throws PeerloomError `records/stale`, `records/not-stored` */
function stored(result: PutResult): PutResult {
  if (result.status === "stored") return result;
  if (result.status === "stale") {
    throw new PeerloomError(
      "records/stale",
      `There is another version already, number ${seqOf(result.current)}. Read it and decide again.`,
    );
  }
  const why = {
    busy: "those who should keep it are busy; try again in a moment",
    refused: "those who should keep it refused it: it is invalid, or they have no room",
    unanswered: "nobody answered; try again in a moment",
  }[result.status];
  throw new PeerloomError("records/not-stored", `The record is not kept: ${why}.`);
}

function againAfterMs({ ttlMs = TTL_MS_MAX }: PutOptions): number {
  return Math.min(REPUBLISH_EVERY_MS, ttlMs / 2);
}

function seqOf(record: KeyedRecord | undefined): number {
  return record?.kind === "mutable" ? record.seq : 0;
}

function checkName(name: string): Uint8Array {
  const bytes = utf8(name);
  if (bytes.length > 0 && bytes.length <= NAME_BYTES_MAX && name.isWellFormed()) return bytes;
  throw new PeerloomError("usage/invalid", `A record's name has 1 to ${NAME_BYTES_MAX} bytes of UTF-8.`);
}

function parseKey(text: string): Uint8Array {
  const key = fromHex(text);
  if (key?.length === RECORD_KEY_BYTES) return key;
  throw new PeerloomError(
    "records/key-invalid",
    `"${text.slice(0, 80)}" is no record key: ${2 * RECORD_KEY_BYTES} hexadecimal digits are expected.`,
  );
}
