/**
 * What a member shows the edge of a private network before any object is touched: its credential, and a fresh signature that it holds the
 * key. One text for all kinds of requests, in the query of a WebSocket (browsers can send no headers there) and in a header elsewhere.
 */
import { fromBase64Url, toBase64Url, utf8 } from "./bytes.ts";
import { decode, encode, FieldReader } from "./codec.ts";
import type { NetworkName } from "./ids.ts";
import { CREDENTIAL_BYTES_MAX } from "./limits.ts";

export const PASS_HEADER = "x-peerloom-pass";
export const PASS_QUERY = "pass";

const SIGNATURE_BYTES = 64;
const PASS_BYTES_MAX: number = CREDENTIAL_BYTES_MAX + SIGNATURE_BYTES + 32;
const PASS_CHARACTERS_MAX: number = Math.ceil((PASS_BYTES_MAX * 4) / 3);
const LIMITS = { bytesMax: PASS_BYTES_MAX, depthMax: 1, itemsMax: 5 } as const;
const DOMAIN = "peerloom/pass/1";

export interface Pass {
  readonly credential: Uint8Array;
  /** Of the peer's own clock. */
  readonly timeMs: number;
  readonly signature: Uint8Array;
}

/** What a member signs: bound to the edge, the network and the time, so that a pass opens no other edge, and none for long. */
export function passClaim(origin: string, network: NetworkName, timeMs: number): Uint8Array {
  return utf8(`${DOMAIN}\n${origin}\n${network}\n${timeMs}\n`);
}

export function encodePass({ credential, timeMs, signature }: Pass): string {
  return toBase64Url(encode([credential, timeMs, signature]));
}

/** Well formed, not yet believed. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodePass(text: string): Pass | undefined {
  const bytes = text.length <= PASS_CHARACTERS_MAX ? fromBase64Url(text) : undefined;
  if (bytes === undefined) return undefined;
  const fields = new FieldReader(decode(bytes, LIMITS), "pass");
  const pass = {
    credential: fields.bytes(1, CREDENTIAL_BYTES_MAX),
    timeMs: fields.integer(0, Number.MAX_SAFE_INTEGER),
    signature: fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES),
  };
  fields.end();
  return pass;
}
