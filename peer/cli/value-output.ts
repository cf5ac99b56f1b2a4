/** A value of a record or a message, as JSON and for people: bytes are told as base64url. */
import { toBase64Url } from "../../shared/bytes.ts";
import type { PlainValue } from "../services/plain-value.ts";

export function shown(value: PlainValue): { readonly value: PlainValue; readonly encoding?: "base64url" } {
  return value instanceof Uint8Array ? { value: toBase64Url(value), encoding: "base64url" } : { value };
}

export function printed(value: PlainValue): string {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? toBase64Url(value) : JSON.stringify(value);
}
