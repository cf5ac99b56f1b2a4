/**
 * What peers say to each other about records: requests and answers that the overlay routes to whoever is closest to a key, and notes
 * between neighbours. Positional arrays, as everywhere; `shared/WIRE.md` has the bytes.
 */
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { orUndefined, PeerloomError } from "../../../shared/errors.ts";
import { BODY_BYTES_MAX, NOTE_BYTES_MAX } from "../../overlay/mesh/mesh-messages.ts";
import {
  decodeRecord,
  encodeRecord,
  type KeyedRecord,
  RECORD_BYTES_MAX,
  RECORD_KEY_BYTES,
} from "./record.ts";
import { PROVIDERS_TOLD_MAX, type Wanted } from "./shelf.ts";

export type RecordRequest =
  | { readonly kind: "put"; readonly record: KeyedRecord; readonly cas: number | undefined }
  | { readonly kind: "get"; readonly key: Uint8Array; readonly wanted: Wanted };

/** `stale`: what is there is newer, or not what the writer thought. `refused`: invalid, or no room. */
export type PutStatus = "stored" | "stale" | "refused" | "busy";

export type RecordAnswer =
  | {
      readonly kind: "put";
      readonly status: PutStatus;
      /** Peers that keep it. */
      readonly copies: number;
      /** What is there instead. */
      readonly current: KeyedRecord | undefined;
    }
  | { readonly kind: "get"; readonly records: readonly KeyedRecord[] };

/** A record as a list of them names it. */
export interface Version {
  readonly slot: number;
  readonly seq: number;
  readonly expiresAtS: number;
}

export type RecordNote =
  /** `id` 0: no receipt is wanted. */
  | { readonly kind: "push"; readonly id: number; readonly record: KeyedRecord }
  | {
      readonly kind: "receipt";
      readonly id: number;
      readonly kept: boolean;
      readonly current: KeyedRecord | undefined;
    }
  | { readonly kind: "offer"; readonly versions: readonly Version[] }
  | { readonly kind: "want"; readonly slots: readonly number[]; readonly held: readonly number[] }
  | { readonly kind: "fetch"; readonly id: number; readonly key: Uint8Array; readonly wanted: Wanted }
  | { readonly kind: "fetched"; readonly id: number; readonly records: readonly KeyedRecord[] };

export const OFFERED_MAX = 200;

const REQUEST = { put: 0, get: 1 } as const;
/** A msgpack array of two. */
const LIST_OF_TWO = 0x92;
const STATUSES: readonly PutStatus[] = ["stored", "stale", "refused", "busy"];
const WANTED: readonly Wanted[] = ["value", "providers"];
const NOTE = { push: 0, receipt: 1, offer: 2, want: 3, fetch: 4, fetched: 5 } as const;
const NUMBER_MAX: number = Number.MAX_SAFE_INTEGER;
const COPIES_MAX = 255;
const BODY_LIMITS = { bytesMax: BODY_BYTES_MAX, depthMax: 2, itemsMax: 64, textBytesMax: 0 } as const;
const NOTE_LIMITS = {
  bytesMax: NOTE_BYTES_MAX,
  depthMax: 2,
  itemsMax: 3 * OFFERED_MAX + 16,
  textBytesMax: 0,
} as const;

export function encodeRequest(request: RecordRequest): Uint8Array {
  return request.kind === "put"
    ? encode([REQUEST.put, encodeRecord(request.record), request.cas ?? null])
    : encode([REQUEST.get, request.key, WANTED.indexOf(request.wanted)]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeRequest(bytes: Uint8Array): RecordRequest {
  const fields = new FieldReader(decode(bytes, BODY_LIMITS), "record request");
  let request: RecordRequest;
  if (fields.integer(0, 1) === REQUEST.put) {
    const record = readRecord(fields);
    request = { kind: "put", record, cas: fields.skipNull() ? undefined : fields.integer(0, NUMBER_MAX) };
  } else request = { kind: "get", key: readKey(fields), wanted: readWanted(fields) };
  fields.end();
  return request;
}

export function encodeAnswer(answer: RecordAnswer): Uint8Array {
  if (answer.kind === "get") return encode([REQUEST.get, fitting(answer.records, BODY_BYTES_MAX)]);
  const { status, copies, current } = answer;
  return encode([REQUEST.put, STATUSES.indexOf(status), copies, optional(current)]);
}

/** Whether these are the first bytes of an answer with records; a router passes on ten others for each, and must not read them all. */
export function mayHaveRecords(answer: Uint8Array): boolean {
  return answer[0] === LIST_OF_TWO && answer[1] === REQUEST.get;
}

/** Undefined when it is malformed: whoever answered lies or is broken, which is the same as no answer. */
export function decodeAnswer(bytes: Uint8Array): RecordAnswer | undefined {
  return orUndefined(() => {
    const fields = new FieldReader(decode(bytes, BODY_LIMITS), "record answer");
    let answer: RecordAnswer;
    if (fields.integer(0, 1) === REQUEST.get) answer = { kind: "get", records: readRecords(fields) };
    else {
      const status = STATUSES[fields.integer(0, STATUSES.length - 1)] as PutStatus;
      answer = {
        kind: "put",
        status,
        copies: fields.integer(0, COPIES_MAX),
        current: readOptional(fields),
      };
    }
    fields.end();
    return answer;
  });
}

export function encodeNote(note: RecordNote): Uint8Array {
  switch (note.kind) {
    case "push":
      return encode([NOTE.push, note.id, encodeRecord(note.record)]);
    case "receipt":
      return encode([NOTE.receipt, note.id, note.kept, optional(note.current)]);
    case "offer":
      return encode([
        NOTE.offer,
        note.versions.flatMap(({ slot, seq, expiresAtS }) => [slot, seq, expiresAtS]),
      ]);
    case "want":
      return encode([NOTE.want, note.slots, note.held]);
    case "fetch":
      return encode([NOTE.fetch, note.id, note.key, WANTED.indexOf(note.wanted)]);
    case "fetched":
      return encode([NOTE.fetched, note.id, fitting(note.records, NOTE_BYTES_MAX)]);
  }
}

/** Undefined when it is malformed. */
export function decodeNote(bytes: Uint8Array): RecordNote | undefined {
  return orUndefined(() => {
    const fields = new FieldReader(decode(bytes, NOTE_LIMITS), "record note");
    const note = readNote(fields);
    fields.end();
    return note;
  });
}

function readNote(fields: FieldReader): RecordNote {
  const kind = fields.integer(0, NOTE.fetched);
  if (kind === NOTE.offer) return { kind: "offer", versions: readVersions(fields) };
  if (kind === NOTE.want) return { kind: "want", slots: readSlots(fields), held: readSlots(fields) };
  const id = fields.integer(0, NUMBER_MAX);
  if (kind === NOTE.push) return { kind: "push", id, record: readRecord(fields) };
  if (kind === NOTE.receipt)
    return { kind: "receipt", id, kept: fields.boolean(), current: readOptional(fields) };
  if (kind === NOTE.fetch) return { kind: "fetch", id, key: readKey(fields), wanted: readWanted(fields) };
  return { kind: "fetched", id, records: readRecords(fields) };
}

function readVersions(fields: FieldReader): Version[] {
  const numbers = readNumbers(fields, 3 * OFFERED_MAX);
  const versions: Version[] = [];
  for (let i = 0; i + 2 < numbers.length; i += 3) {
    const [slot, seq, expiresAtS] = numbers.slice(i, i + 3) as [number, number, number];
    versions.push({ slot, seq, expiresAtS });
  }
  return versions;
}

function readSlots(fields: FieldReader): number[] {
  return readNumbers(fields, OFFERED_MAX);
}

function readNumbers(fields: FieldReader, countMax: number): number[] {
  return fields.list(countMax, (item) => {
    if (typeof item === "number" && Number.isSafeInteger(item) && item >= 0) return item;
    throw new PeerloomError("wire/malformed", "Malformed record note: not a whole number.");
  });
}

function readKey(fields: FieldReader): Uint8Array {
  return fields.bytes(RECORD_KEY_BYTES, RECORD_KEY_BYTES);
}

function readWanted(fields: FieldReader): Wanted {
  return WANTED[fields.integer(0, WANTED.length - 1)] as Wanted;
}

function readRecord(fields: FieldReader): KeyedRecord {
  return decodeRecord(fields.bytes(1, RECORD_BYTES_MAX));
}

function readOptional(fields: FieldReader): KeyedRecord | undefined {
  return fields.skipNull() ? undefined : readRecord(fields);
}

function readRecords(fields: FieldReader): KeyedRecord[] {
  return fields.list(PROVIDERS_TOLD_MAX, (item) => {
    if (item instanceof Uint8Array) return decodeRecord(item);
    throw new PeerloomError("wire/malformed", "Malformed record answer: not a record.");
  });
}

function optional(record: KeyedRecord | undefined): Uint8Array | null {
  return record === undefined ? null : encodeRecord(record);
}

/** As many as one message takes. */
function fitting(records: readonly KeyedRecord[], bytesMax: number): Uint8Array[] {
  let room = bytesMax - 64;
  return records
    .map((record) => encodeRecord(record))
    .filter((bytes) => {
      room -= bytes.length + 3;
      return room >= 0;
    });
}
