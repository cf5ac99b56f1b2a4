/** Values that applications hand over: bytes and text stay what they are, anything else of JSON's kind is kept as msgpack. */
import { concatBytes, utf8, utf8Decode } from "../../shared/bytes.ts";
import { decode, encode } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";

export type PlainValue =
  | Uint8Array
  | string
  | number
  | boolean
  | null
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue };

const TAG = { bytes: 0, text: 1, structure: 2 } as const;
/** Lists and objects inside each other. */
const DEPTH_MAX = 16;

/**
 * One byte for the kind, then the value.
 * @param what for the message, e.g. "A record"
 * @throws PeerloomError `usage/invalid` for what is none of these
 */
export function packValue(value: PlainValue, what: string): Uint8Array {
  if (value instanceof Uint8Array) return concatBytes(Uint8Array.of(TAG.bytes), value);
  if (typeof value === "string" && value.isWellFormed())
    return concatBytes(Uint8Array.of(TAG.text), utf8(value));
  if (!isPlain(value, DEPTH_MAX)) {
    throw new PeerloomError(
      "usage/invalid",
      `${what} holds bytes, text, or plain lists and objects of these, numbers, booleans and null, ${DEPTH_MAX} deep at most.`,
    );
  }
  return concatBytes(Uint8Array.of(TAG.structure), encode(value));
}

/** @throws PeerloomError `wire/malformed` */
export function unpackValue(bytes: Uint8Array, bytesMax: number): PlainValue {
  const rest = bytes.subarray(1);
  if (bytes[0] === TAG.bytes) return Uint8Array.from(rest);
  if (bytes[0] === TAG.structure) {
    return decode(rest, {
      bytesMax,
      depthMax: DEPTH_MAX,
      itemsMax: bytesMax,
      textBytesMax: bytesMax,
    }) as PlainValue;
  }
  if (bytes[0] !== TAG.text) throw malformed();
  try {
    return utf8Decode(rest);
  } catch (cause) {
    throw malformed(cause);
  }
}

/** What is written must be read again as it was: no Map, Date, cycle or undefined. */
export function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value === "boolean" || value instanceof Uint8Array) return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || depth === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.entries(value).every(([key, item]) => key !== "__proto__" && isPlain(item, depth - 1));
}

function malformed(cause?: unknown): PeerloomError {
  return new PeerloomError("wire/malformed", "These bytes hold no value that this version can read.", {
    cause,
  });
}
