/** What calls carry: bytes, text, numbers, booleans, null, and plain lists and objects of these. */
import { PeerloomError } from "../../../shared/errors.ts";
import { isPlain } from "../plain-value.ts";

/** Lists and objects inside each other. */
export const VALUE_DEPTH_MAX = 16;

/**
 * The value as it is sent. Properties that are undefined are left out, as JSON does.
 * @throws PeerloomError `rpc/invalid-value` for what would not come out as it went in
 */
export function plainOf(value: unknown): unknown {
  const plain = withoutUndefined(value, VALUE_DEPTH_MAX);
  if (isPlain(plain, VALUE_DEPTH_MAX)) return plain;
  throw new PeerloomError(
    "rpc/invalid-value",
    `Calls carry bytes, text, or plain lists and objects of these, numbers, booleans and null, ${VALUE_DEPTH_MAX} deep at most; async iterables only as a whole argument or result.`,
  );
}

/** The same object when nothing is undefined in it. */
function withoutUndefined(value: unknown, depth: number): unknown {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || depth === 0) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => withoutUndefined(item, depth - 1));
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let isSame = true;
  const kept: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value)) {
    const plain = withoutUndefined(item, depth - 1);
    if (plain !== item || plain === undefined) isSame = false;
    if (plain !== undefined) kept.push([key, plain]);
  }
  return isSame ? value : Object.fromEntries(kept);
}
