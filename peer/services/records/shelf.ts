/**
 * The records that this peer keeps for others, and for itself. Bounded in number, in bytes and for each publisher; when it is full, what lies
 * farthest from this peer's own key makes room, since others are responsible for that before it is.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { distance, type MeshKey, meshKeyOf } from "../../overlay/mesh/mesh-key.ts";
import { isConflict, isNewer, isTimely, type KeyedRecord, SKEW_MS_MAX, TTL_MS_MAX } from "./record.ts";

export const SHELF_RECORDS_MAX = 4_096;
export const SHELF_BYTES_MAX: number = 4 * 1_024 * 1_024;
/** Of one publisher. */
export const PUBLISHER_RECORDS_MAX = 256;
/** Of one key; past that the one that expires first makes room. */
export const PROVIDERS_MAX = 64;
/** Expired versions that are remembered; past that the one that expired first is forgotten. */
export const LAPSED_MAX = 512;
/** No version that is older can last longer than the last one has been gone. */
const LAPSED_MS: number = TTL_MS_MAX + 2 * SKEW_MS_MAX;
/** Told of one key at once; they fit one answer. */
export const PROVIDERS_TOLD_MAX = 20;
/** Around a value. */
const OVERHEAD_BYTES = 256;

/** `value`: the immutable or mutable record at a key. `providers`: who has what the key names. */
export type Wanted = "value" | "providers";

export type Outcome = "stored" | "known" | "stale" | "conflict" | "full" | "expired";

export interface Shelved {
  record: KeyedRecord;
  /** Of the key, in the overlay. */
  readonly place: MeshKey;
  /** Names it among all records to neighbours: of the key and, for a provider, its publisher. */
  readonly slot: number;
  /** Neighbours that have this version or a newer one. */
  readonly holders: Set<MeshKey>;
  /** Neighbours that were given it and have not said that they hold it: how often, and when last (monotonic, ms). */
  readonly tried: Map<MeshKey, { readonly times: number; readonly atMs: number }>;
}

export class Shelf {
  readonly #own: MeshKey;
  readonly #bySlot = new Map<number, Shelved>();
  readonly #providers = new Map<string, Set<Shelved>>();
  readonly #byPublisher = new Map<string, number>();
  /** Mutable records that have expired, by slot, so that an older version that lasts longer does not come back. */
  readonly #lapsed = new Map<number, { readonly record: KeyedRecord; readonly untilMs: number }>();
  #bytes = 0;

  constructor(own: MeshKey) {
    this.#own = own;
  }

  get size(): number {
    return this.#bySlot.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  entries(): IterableIterator<Shelved> {
    return this.#bySlot.values();
  }

  at(slot: number): Shelved | undefined {
    return this.#bySlot.get(slot);
  }

  /** The last version known of a slot, though it has expired. */
  last(slot: number): KeyedRecord | undefined {
    return (this.#bySlot.get(slot) ?? this.#lapsed.get(slot))?.record;
  }

  /** What is there at a key; of providers those that last longest. */
  get(key: Uint8Array, wanted: Wanted, nowMs: number): KeyedRecord[] {
    const found =
      wanted === "providers"
        ? [...(this.#providers.get(toHex(key)) ?? [])]
        : [this.#bySlot.get(slotOf({ key, publicKey: undefined }))];
    return found
      .flatMap((one) => (one === undefined ? [] : [one.record]))
      .filter((record) => equalBytes(record.key, key) && isTimely(record, nowMs))
      .sort((a, b) => b.expiresAtMs - a.expiresAtMs)
      .slice(0, PROVIDERS_TOLD_MAX);
  }

  /** Takes a checked record. `stale`, `conflict`: what is there stays. */
  put(record: KeyedRecord, nowMs: number): Outcome {
    const slot = slotOfRecord(record);
    const before = this.#bySlot.get(slot);
    if (!isTimely(record, nowMs)) {
      // It is over, and with it what it once replaced.
      if (
        before !== undefined &&
        record.expiresAtMs < nowMs &&
        areVersions(record, before.record) &&
        isNewer(record, before.record)
      ) {
        this.delete(before);
        this.#lapse(slot, record, nowMs);
      }
      return "expired";
    }
    if (before !== undefined) return this.#replace(before, record);
    const lapsed = this.#lapsed.get(slot)?.record;
    // Whoever has read that number knows another value by it.
    if (
      lapsed !== undefined &&
      areVersions(lapsed, record) &&
      (isNewer(lapsed, record) || isConflict(lapsed, record))
    )
      return "stale";
    const place = meshKeyOf(record.key);
    if (!this.#makeRoom(record, place)) return "full";
    const shelved: Shelved = { record, place, slot, holders: new Set(), tried: new Map() };
    this.#lapsed.delete(slot);
    this.#bySlot.set(slot, shelved);
    this.#count(record, 1);
    if (record.kind === "provider") this.#addProvider(shelved);
    return "stored";
  }

  delete({ slot, record }: Shelved): void {
    const there = this.#bySlot.get(slot);
    if (there === undefined) return;
    this.#bySlot.delete(slot);
    this.#count(there.record, -1);
    const key = toHex(record.key);
    const providers = this.#providers.get(key);
    providers?.delete(there);
    if (providers?.size === 0) this.#providers.delete(key);
  }

  /** Takes away what has expired. */
  expire(nowMs: number): void {
    for (const [slot, { untilMs }] of [...this.#lapsed]) if (untilMs <= nowMs) this.#lapsed.delete(slot);
    for (const shelved of [...this.#bySlot.values()]) {
      if (isTimely(shelved.record, nowMs)) continue;
      this.delete(shelved);
      if (shelved.record.kind === "mutable") this.#lapse(shelved.slot, shelved.record, nowMs);
    }
  }

  #lapse(slot: number, record: KeyedRecord, nowMs: number): void {
    this.#lapsed.set(slot, { record, untilMs: nowMs + LAPSED_MS });
    if (this.#lapsed.size > LAPSED_MAX) this.#lapsed.delete(this.#lapsed.keys().next().value as number);
  }

  #replace(there: Shelved, record: KeyedRecord): Outcome {
    const before = there.record;
    // 52 bits of two keys are alike by a grinder's work only; who came first stays.
    if (!equalBytes(before.key, record.key) || before.kind !== record.kind) return "full";
    if (isNewer(record, before)) {
      this.#count(before, -1);
      there.record = record;
      this.#count(record, 1);
      there.holders.clear();
      there.tried.clear();
      return "stored";
    }
    if (isConflict(record, before)) return "conflict";
    return isNewer(before, record) && record.kind === "mutable" ? "stale" : "known";
  }

  #makeRoom(record: KeyedRecord, place: MeshKey): boolean {
    const publisher = publisherOf(record);
    if (publisher !== undefined && (this.#byPublisher.get(publisher) ?? 0) >= PUBLISHER_RECORDS_MAX)
      return false;
    while (this.size >= SHELF_RECORDS_MAX || this.#bytes + bytesOf(record) > SHELF_BYTES_MAX) {
      let farthest: Shelved | undefined;
      let limit = distance(place, this.#own);
      for (const shelved of this.#bySlot.values()) {
        const away = distance(shelved.place, this.#own);
        if (away <= limit) continue;
        farthest = shelved;
        limit = away;
      }
      if (farthest === undefined) return false;
      this.delete(farthest);
    }
    return true;
  }

  #addProvider(shelved: Shelved): void {
    const key = toHex(shelved.record.key);
    const providers = this.#providers.get(key) ?? new Set();
    this.#providers.set(key, providers);
    providers.add(shelved);
    if (providers.size <= PROVIDERS_MAX) return;
    const [first] = [...providers].sort((a, b) => a.record.expiresAtMs - b.record.expiresAtMs);
    if (first !== undefined) this.delete(first);
  }

  #count(record: KeyedRecord, sign: 1 | -1): void {
    this.#bytes += sign * bytesOf(record);
    const publisher = publisherOf(record);
    if (publisher === undefined) return;
    const count = (this.#byPublisher.get(publisher) ?? 0) + sign;
    if (count === 0) this.#byPublisher.delete(publisher);
    else this.#byPublisher.set(publisher, count);
  }
}

/** Whether both are versions of one mutable record. */
function areVersions(a: KeyedRecord, b: KeyedRecord): boolean {
  return a.kind === "mutable" && b.kind === "mutable" && equalBytes(a.key, b.key);
}

/** 52 bits that name a record: of its key, mixed with its publisher's where a key has several. */
export function slotOfRecord(record: KeyedRecord): number {
  return slotOf({ key: record.key, publicKey: record.kind === "provider" ? record.publicKey : undefined });
}

function slotOf({
  key,
  publicKey,
}: {
  readonly key: Uint8Array;
  readonly publicKey: Uint8Array | undefined;
}): number {
  return publicKey === undefined ? meshKeyOf(key) : distance(meshKeyOf(key), meshKeyOf(publicKey));
}

function publisherOf(record: KeyedRecord): string | undefined {
  return record.kind === "immutable" ? undefined : toHex(record.publicKey);
}

function bytesOf(record: KeyedRecord): number {
  return OVERHEAD_BYTES + (record.kind === "provider" ? 0 : record.value.length);
}
