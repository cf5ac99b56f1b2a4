/**
 * What lives at keys of the overlay. An *immutable* record is found by the hash of its value, a *mutable* one by its publisher and a name,
 * a *provider* record says that its publisher has what a key names. All are checked by whoever holds, passes or reads
 * them (check.ts), so a holder can lie by silence only. After BEP 5, BEP 44 and IPFS's provider records.
 */
import { concatBytes, equalBytes } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { type NetworkName, PUBLIC_KEY_BYTES } from "../../../shared/ids.ts";
import { SIGNATURE_BYTES } from "../../identity/verify.ts";

export const RECORD_KEY_BYTES = 32;
/** One record's value. */
export const VALUE_BYTES_MAX = 1_024;
/** UTF-8 bytes of a mutable record's name. */
export const NAME_BYTES_MAX = 64;
/** Nobody keeps a record longer than this without hearing of it again. */
export const TTL_MS_MAX: number = 24 * 3_600_000;
/** A provider may be gone any time, so it must say again that it is there. */
export const PROVIDER_TTL_MS_MAX: number = 20 * 60_000;
/** What clocks of peers may differ by. */
export const SKEW_MS_MAX: number = 5 * 60_000;
/** A whole record, encoded. */
export const RECORD_BYTES_MAX: number = VALUE_BYTES_MAX + NAME_BYTES_MAX + 256;
const SEQ_MAX: number = Number.MAX_SAFE_INTEGER;

interface Keyed {
  /** SHA-256 of what the kind says; 32 bytes. */
  readonly key: Uint8Array;
  /** Wall clock, ms since 1970. */
  readonly expiresAtMs: number;
}

export interface ImmutableRecord extends Keyed {
  readonly kind: "immutable";
  readonly value: Uint8Array;
}

export interface MutableRecord extends Keyed {
  readonly kind: "mutable";
  readonly publicKey: Uint8Array;
  readonly name: Uint8Array;
  /** Rises with every version. */
  readonly seq: number;
  readonly value: Uint8Array;
  readonly signature: Uint8Array;
}

export interface ProviderRecord extends Keyed {
  readonly kind: "provider";
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

export type KeyedRecord = ImmutableRecord | MutableRecord | ProviderRecord;

const KIND = { immutable: 0, mutable: 1, provider: 2 } as const;
const MUTABLE_KEY_PREFIX = 0x02;
const SIGNED_AS = "peerloom/record/1";
const LIMITS = { bytesMax: RECORD_BYTES_MAX, depthMax: 1, itemsMax: 16, textBytesMax: 0 } as const;

export function encodeRecord(record: KeyedRecord): Uint8Array {
  const { key, expiresAtMs } = record;
  const head = [KIND[record.kind], key, expiresAtMs];
  switch (record.kind) {
    case "immutable":
      return encode([...head, record.value]);
    case "mutable":
      return encode([...head, record.publicKey, record.name, record.seq, record.value, record.signature]);
    case "provider":
      return encode([...head, record.publicKey, record.signature]);
  }
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeRecord(bytes: Uint8Array): KeyedRecord {
  const fields = new FieldReader(decode(bytes, LIMITS), "record");
  const kind = fields.integer(0, 2);
  const key = fields.bytes(RECORD_KEY_BYTES, RECORD_KEY_BYTES);
  const expiresAtMs = fields.integer(0, Number.MAX_SAFE_INTEGER);
  const record = readKind(kind, { key, expiresAtMs }, fields);
  fields.end();
  return record;
}

function readKind(kind: number, keyed: Keyed, fields: FieldReader): KeyedRecord {
  if (kind === KIND.immutable)
    return { kind: "immutable", ...keyed, value: fields.bytes(0, VALUE_BYTES_MAX) };
  const publicKey = fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES);
  if (kind === KIND.provider) {
    return { kind: "provider", ...keyed, publicKey, signature: readSignature(fields) };
  }
  return {
    kind: "mutable",
    ...keyed,
    publicKey,
    name: fields.bytes(0, NAME_BYTES_MAX),
    seq: fields.integer(0, SEQ_MAX),
    value: fields.bytes(0, VALUE_BYTES_MAX),
    signature: readSignature(fields),
  };
}

function readSignature(fields: FieldReader): Uint8Array {
  return fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES);
}

/** What is hashed to a mutable record's key. */
export function mutableKeyInput(publicKey: Uint8Array, name: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(MUTABLE_KEY_PREFIX), publicKey, name);
}

/** What its publisher signs; the network is part of it, so that no record crosses networks. */
export function signedBytes(
  network: NetworkName,
  record: Omit<MutableRecord, "signature"> | Omit<ProviderRecord, "signature">,
): Uint8Array {
  const { kind, key, expiresAtMs, publicKey } = record;
  const rest = kind === "mutable" ? [record.name, record.seq, record.value] : [];
  return encode([SIGNED_AS, network, KIND[kind], key, expiresAtMs, publicKey, ...rest]);
}

/** Neither past nor promised for longer than anybody may ask. */
export function isTimely({ kind, expiresAtMs }: KeyedRecord, nowMs: number): boolean {
  const ttlMs = kind === "provider" ? PROVIDER_TTL_MS_MAX : TTL_MS_MAX;
  return expiresAtMs > nowMs - SKEW_MS_MAX && expiresAtMs <= nowMs + ttlMs + SKEW_MS_MAX;
}

/**
 * Whether `a` takes the place of `b`, both at the same place of the same publisher. Everybody decides alike: the higher number; of two
 * values under one number the lower; of one value the one that lasts longer.
 */
export function isNewer(a: KeyedRecord, b: KeyedRecord): boolean {
  if (a.kind === "mutable" && b.kind === "mutable") {
    if (a.seq !== b.seq) return a.seq > b.seq;
    if (!equalBytes(a.value, b.value)) return isLower(a.value, b.value);
  }
  return a.expiresAtMs > b.expiresAtMs;
}

/** One version of a mutable record, whenever it was signed. */
export function isSame(a: KeyedRecord, b: KeyedRecord): boolean {
  return a.kind === "mutable" && b.kind === "mutable" && a.seq === b.seq && equalBytes(a.value, b.value);
}

/** Two values of one publisher under one number. */
export function isConflict(a: KeyedRecord, b: KeyedRecord): boolean {
  return a.kind === "mutable" && b.kind === "mutable" && a.seq === b.seq && !equalBytes(a.value, b.value);
}

function isLower(a: Uint8Array, b: Uint8Array): boolean {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return (a[i] as number) < (b[i] as number);
  }
  return a.length < b.length;
}
