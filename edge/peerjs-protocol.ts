/**
 * The messages of PeerServer, as its stock client sends and expects them: JSON texts, no answers to what is not understood. A frame
 * is read once, here; what is passed on is written anew, so that only `type`, `src`, `dst` and `payload` pass, and `src` is the
 * sender's own id whatever it claimed.
 */
import type { ErrorCode } from "../shared/errors.ts";

/** In UTF-16 units. A description with many tracks has 30,000, and an application's `metadata` rides along with it. */
export const FRAME_LENGTH_MAX = 262_144;
/** In UTF-16 units; PeerServer has no bound. */
export const ID_LENGTH_MAX = 512;
export const TOKEN_LENGTH_MAX = 512;

/** What the stock client sends every 5 s. The runtime compares the text and answers without waking the object. */
export const HEARTBEAT_FRAME = '{"type":"HEARTBEAT"}';
export const OPEN_FRAME = '{"type":"OPEN"}';

/** Types that are passed from one client to another. */
const RELAYED = ["OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"] as const;
export type RelayedType = (typeof RELAYED)[number];
const RELAYED_TYPES: ReadonlySet<unknown> = new Set(RELAYED);

/** One message on its way. */
export interface Envelope {
  readonly type: RelayedType;
  readonly src: string;
  readonly dst: string;
  /** The text that `dst` is sent. */
  readonly frame: string;
  /** Of the sender's address, where it is known. */
  readonly prefix?: string | undefined;
}

/** What a client has said. `ignored`: a heartbeat in other words, or a type of another version. `leave`: it gives its id up. */
export type Heard =
  | { readonly kind: "relayed"; readonly envelope: Envelope }
  | { readonly kind: "leave" | "ignored" | "malformed" };

const LEAVE: Heard = { kind: "leave" };
const IGNORED: Heard = { kind: "ignored" };
const MALFORMED: Heard = { kind: "malformed" };

/** Never throws. PeerServer takes JSON in binary frames too. */
export function readFrame(data: string | ArrayBuffer, src: string): Heard {
  try {
    const message: unknown = JSON.parse(typeof data === "string" ? data : new TextDecoder().decode(data));
    return isObject(message) ? readMessage(message, src) : MALFORMED;
  } catch {
    return MALFORMED; // no JSON, or nested deeper than can be written again
  }
}

function readMessage(message: Readonly<Record<string, unknown>>, src: string): Heard {
  const { type, dst, payload } = message;
  if (!isRelayed(type)) return typeof type === "string" ? IGNORED : MALFORMED;
  if (dst === undefined || dst === null || dst === "") return type === "LEAVE" ? LEAVE : MALFORMED;
  // Ill-formed text could neither be stored nor come as an id in a URL.
  if (typeof dst !== "string" || dst.length > ID_LENGTH_MAX || !dst.isWellFormed()) return MALFORMED;
  return {
    kind: "relayed",
    envelope: { type, src, dst, frame: JSON.stringify({ type, src, dst, payload }) },
  };
}

/** Waits for a peer that is not there; the other types would mean nothing later. */
export function isQueued(type: RelayedType): boolean {
  return type === "OFFER" || type === "ANSWER" || type === "CANDIDATE";
}

/** Tells a sender that its message to `absent` came to nothing. */
export function expireEnvelope(absent: string, to: string): Envelope {
  const frame = JSON.stringify({ type: "EXPIRE", src: absent, dst: to });
  return { type: "EXPIRE", src: absent, dst: to, frame };
}

export function idTakenFrame(): string {
  return JSON.stringify({ type: "ID-TAKEN", payload: { msg: "ID is taken" } });
}

/** The client shows `msg`; `code` is for those who look. */
export function errorFrame(code: ErrorCode, msg: string): string {
  return JSON.stringify({ type: "ERROR", payload: { msg, code } });
}

function isRelayed(type: unknown): type is RelayedType {
  return RELAYED_TYPES.has(type);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
