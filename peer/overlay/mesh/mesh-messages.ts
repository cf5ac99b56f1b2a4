/**
 * What neighbours say to each other, as msgpack positional arrays, the kind first:
 *
 *     [0, version, x, y, height, error, [entry…]]            greet: the whole digest
 *     [1, x, y, height, [entry…], [key…]]                     delta: changed entries, and keys that are gone
 *     [2, id]                                                 ping
 *     [3, id, x, y, height, error]                            pong
 *     [4, mid, target, flags, ttl, budget ms, origin, promise, [path…], [dead…], body]   forward
 *     [5, [mid…]]                                             ack of forwards
 *     [6, mid, origin, [path…], hops, found, body]            reply, along the path it came; not found: nobody has that key
 *     [7, key]                                                who: the contact of one of your neighbours
 *     [8, key, contact]                                       contact; empty when it is gone
 *     [9, code, others]                                       bye: 0 leaving, 1 surplus, 2 full: ask those
 *
 * An entry is `key, rtt, x, y, height` flat in its list. Keys are 52-bit numbers, times whole milliseconds.
 */
import { decode, encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { COORDINATE_MS_MAX } from "./coordinate.ts";
import { DIGEST_ENTRIES_MAX, type DigestEntry } from "./digest.ts";
import { isMeshKey, type MeshKey } from "./mesh-key.ts";

export const MESH_VERSION = 1;
/** What a routed request or its answer may carry. */
export const BODY_BYTES_MAX = 4096;
/** What services of neighbours tell each other at once. */
export const NOTE_BYTES_MAX = 8_192;
export const PATH_MAX = 24;
export const DEAD_MAX = 8;
export const ACKS_MAX = 64;
export const CONTACT_BYTES_MAX = 1024;

export interface Forward {
  readonly kind: "forward";
  /** Random, names the request on its way. */
  readonly mid: number;
  readonly target: MeshKey;
  /** To the peer of that key alone; else to whoever is closest to it. */
  readonly exact: boolean;
  /** Plain nearest-neighbour steps from here on. */
  readonly greedy: boolean;
  /** Whoever on the way can answer may do so. */
  readonly open: boolean;
  /** Steps that came no closer. */
  readonly strays: number;
  readonly ttl: number;
  readonly budgetMs: number;
  readonly origin: MeshKey;
  /** Distance to the target that the hop before counted on. */
  readonly promise: number;
  readonly path: readonly MeshKey[];
  readonly dead: readonly MeshKey[];
  readonly body: Uint8Array;
}

export interface Reply {
  readonly kind: "reply";
  readonly mid: number;
  readonly origin: MeshKey;
  /** Still to go, the next hop last. */
  readonly path: readonly MeshKey[];
  readonly hops: number;
  /** False: the request ended before it came to the peer it was for. Whoever says so may lie. */
  readonly found: boolean;
  readonly body: Uint8Array;
}

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

export type ByeReason = "leaving" | "surplus" | "full";

export type MeshMessage =
  | {
      readonly kind: "greet";
      readonly version: number;
      /** The sender introduces newcomers at a rendezvous. */
      readonly beacon: boolean;
      readonly place: Place;
      readonly error: number;
      readonly entries: readonly DigestEntry[];
    }
  | {
      readonly kind: "delta";
      readonly place: Place;
      readonly entries: readonly DigestEntry[];
      readonly gone: readonly MeshKey[];
    }
  | { readonly kind: "ping"; readonly id: number }
  | { readonly kind: "pong"; readonly id: number; readonly place: Place; readonly error: number }
  | Forward
  | { readonly kind: "ack"; readonly mids: readonly number[] }
  | Reply
  | { readonly kind: "who"; readonly key: MeshKey }
  | { readonly kind: "contact"; readonly key: MeshKey; readonly contact: Uint8Array }
  /** `others`: opaque here; whom a newcomer may ask instead, when it is turned away. */
  | { readonly kind: "bye"; readonly reason: ByeReason; readonly others: Uint8Array }
  /** Of a service to the same service of a neighbour. */
  | { readonly kind: "note"; readonly body: Uint8Array };

const KIND = {
  greet: 0,
  delta: 1,
  ping: 2,
  pong: 3,
  forward: 4,
  ack: 5,
  reply: 6,
  who: 7,
  contact: 8,
  bye: 9,
  note: 10,
} as const;
const BYES: readonly ByeReason[] = ["leaving", "surplus", "full"];
const FLAG = { exact: 1, greedy: 2, strayShift: 2, open: 16 } as const;
const FLAGS_MAX = 31;
const STRAYS_MAX = 3;
const TTL_MAX = 32;
const BUDGET_MS_MAX = 60_000;
const RTT_MS_MAX = 65_535;
const MID_MAX: number = 2 ** 52;
const PERCENT = 100;

/** Entries and keys read of one message: tables of peers of before had no bound, and what is too much is no fault of the link. */
const READ_MAX: number = 4 * DIGEST_ENTRIES_MAX;
const LIMITS = { bytesMax: 16_384, depthMax: 2, itemsMax: 6 * READ_MAX + 32, textBytesMax: 0 };

export function encodeMesh(message: MeshMessage): Uint8Array {
  const kind = KIND[message.kind];
  switch (message.kind) {
    case "greet":
      return encode([
        kind,
        message.version,
        message.beacon,
        ...place(message.place),
        Math.round(message.error * PERCENT),
        flat(message.entries),
      ]);
    case "delta":
      return encode([kind, ...place(message.place), flat(message.entries), message.gone]);
    case "ping":
      return encode([kind, message.id]);
    case "pong":
      return encode([kind, message.id, ...place(message.place), Math.round(message.error * PERCENT)]);
    case "forward": {
      const flags =
        (message.exact ? FLAG.exact : 0) |
        (message.greedy ? FLAG.greedy : 0) |
        (message.open ? FLAG.open : 0) |
        (message.strays << FLAG.strayShift);
      const { mid, target, ttl, origin, promise, path, dead, body } = message;
      return encode([
        kind,
        mid,
        target,
        flags,
        ttl,
        Math.round(message.budgetMs),
        origin,
        promise,
        path,
        dead,
        body,
      ]);
    }
    case "ack":
      return encode([kind, message.mids]);
    case "reply":
      return encode([
        kind,
        message.mid,
        message.origin,
        message.path,
        message.hops,
        message.found,
        message.body,
      ]);
    case "who":
      return encode([kind, message.key]);
    case "contact":
      return encode([kind, message.key, message.contact]);
    case "bye":
      return encode([kind, BYES.indexOf(message.reason), message.others]);
    case "note":
      return encode([kind, message.body]);
  }
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeMesh(bytes: Uint8Array): MeshMessage {
  const reader = new Reader(decode(bytes, LIMITS));
  const message = read(reader);
  reader.end();
  return message;
}

function read(reader: Reader): MeshMessage {
  switch (reader.integer(0, 255)) {
    case KIND.greet:
      return {
        kind: "greet",
        version: reader.integer(0, 255),
        beacon: reader.boolean(),
        place: reader.place(),
        error: reader.integer(0, PERCENT) / PERCENT,
        entries: reader.entries(),
      };
    case KIND.delta:
      return {
        kind: "delta",
        place: reader.place(),
        entries: reader.entries(),
        gone: reader.keys(READ_MAX),
      };
    case KIND.ping:
      return { kind: "ping", id: reader.integer(0, MID_MAX) };
    case KIND.pong:
      return {
        kind: "pong",
        id: reader.integer(0, MID_MAX),
        place: reader.place(),
        error: reader.integer(0, PERCENT) / PERCENT,
      };
    case KIND.forward: {
      const mid = reader.integer(0, MID_MAX);
      const target = reader.key();
      const flags = reader.integer(0, FLAGS_MAX);
      return {
        kind: "forward",
        mid,
        target,
        exact: (flags & FLAG.exact) !== 0,
        greedy: (flags & FLAG.greedy) !== 0,
        open: (flags & FLAG.open) !== 0,
        strays: (flags >> FLAG.strayShift) & STRAYS_MAX,
        ttl: reader.integer(0, TTL_MAX),
        budgetMs: reader.integer(0, BUDGET_MS_MAX),
        origin: reader.key(),
        promise: reader.integer(0, MID_MAX),
        path: reader.keys(PATH_MAX),
        dead: reader.keys(DEAD_MAX),
        body: reader.bytes(BODY_BYTES_MAX),
      };
    }
    case KIND.ack:
      return { kind: "ack", mids: reader.integers(ACKS_MAX, MID_MAX) };
    case KIND.reply:
      return {
        kind: "reply",
        mid: reader.integer(0, MID_MAX),
        origin: reader.key(),
        path: reader.keys(PATH_MAX),
        hops: reader.integer(0, TTL_MAX),
        found: reader.boolean(),
        body: reader.bytes(BODY_BYTES_MAX),
      };
    case KIND.who:
      return { kind: "who", key: reader.key() };
    case KIND.contact:
      return { kind: "contact", key: reader.key(), contact: reader.bytes(CONTACT_BYTES_MAX) };
    case KIND.bye:
      return {
        kind: "bye",
        reason: BYES[reader.integer(0, BYES.length - 1)] as ByeReason,
        others: reader.bytes(BODY_BYTES_MAX),
      };
    case KIND.note:
      return { kind: "note", body: reader.bytes(NOTE_BYTES_MAX) };
    default:
      throw malformed("unknown kind");
  }
}

function place({ x, y, height }: Place): number[] {
  return [Math.round(x), Math.round(y), Math.round(height)];
}

function flat(entries: readonly DigestEntry[]): number[] {
  const values: number[] = [];
  for (const entry of entries) {
    values.push(entry.key, Math.min(Math.round(entry.rttMs), RTT_MS_MAX), ...place(entry));
  }
  return values;
}

/** The field readers of the codec make closures for each list; a router reads too many for that. */
class Reader {
  readonly #values: readonly unknown[];
  #next = 0;

  constructor(value: unknown) {
    if (!Array.isArray(value)) throw malformed("not a list");
    this.#values = value;
  }

  integer(min: number, max: number): number {
    return checked(this.#values[this.#next++], min, max);
  }

  key(): MeshKey {
    const value = this.#values[this.#next++];
    if (!isMeshKey(value)) throw malformed("not a key");
    return value;
  }

  place(): Place {
    const limit = COORDINATE_MS_MAX;
    return {
      x: this.integer(-limit, limit),
      y: this.integer(-limit, limit),
      height: this.integer(0, limit),
    };
  }

  entries(): DigestEntry[] {
    const values = this.#list(5 * READ_MAX);
    if (values.length % 5 !== 0) throw malformed("entries are cut short");
    const limit = COORDINATE_MS_MAX;
    const entries: DigestEntry[] = [];
    for (let i = 0; i < values.length; i += 5) {
      const key = values[i];
      if (!isMeshKey(key)) throw malformed("not a key");
      entries.push({
        key,
        rttMs: checked(values[i + 1], 0, RTT_MS_MAX),
        x: checked(values[i + 2], -limit, limit),
        y: checked(values[i + 3], -limit, limit),
        height: checked(values[i + 4], 0, limit),
      });
    }
    return entries;
  }

  keys(countMax: number): MeshKey[] {
    const values = this.#list(countMax);
    for (const value of values) if (!isMeshKey(value)) throw malformed("not a key");
    return values as MeshKey[];
  }

  integers(countMax: number, max: number): number[] {
    const values = this.#list(countMax);
    for (const value of values) checked(value, 0, max);
    return values as number[];
  }

  boolean(): boolean {
    const value = this.#values[this.#next++];
    if (typeof value !== "boolean") throw malformed("true or false expected");
    return value;
  }

  bytes(lengthMax: number): Uint8Array {
    const value = this.#values[this.#next++];
    if (!(value instanceof Uint8Array) || value.length > lengthMax) throw malformed("bytes expected");
    return value;
  }

  end(): void {
    if (this.#next !== this.#values.length) throw malformed("fields too many or too few");
  }

  #list(countMax: number): readonly unknown[] {
    const value = this.#values[this.#next++];
    if (!Array.isArray(value) || value.length > countMax) throw malformed("a short list expected");
    return value;
  }
}

function checked(value: unknown, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
    throw malformed(`a whole number from ${min} to ${max} expected`);
  return value;
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed overlay message: ${why}.`);
}
