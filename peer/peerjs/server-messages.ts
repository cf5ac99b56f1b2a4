/**
 * The messages of PeerServer, as a client hears and says them. What comes is read once, here; a server, and whoever sends through it,
 * is a stranger. Facts from PeerServer 1.0.2 and its client 1.5.5.
 */
import type { RtcSignal } from "../runtime.ts";
import type { ConnectionTerms } from "./data-connection.ts";
import { parseJson } from "./json.ts";
import { JSON_DEPTH_MAX } from "./limits.ts";
import { isSerialization } from "./serialization.ts";

const SDP_CHARACTERS_MAX = 65_536;
const CANDIDATE_CHARACTERS_MAX = 1_024;
const ID_CHARACTERS_MAX = 512;
/** RFC 8832 gives it 65,535 bytes. */
const LABEL_CHARACTERS_MAX = 4_096;
const TEXT_CHARACTERS_MAX = 1_024;

/** The stock client checks ids so, and says nothing to the server about another one. */
const ID = /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/;

export const HEARTBEAT: string = '{"type":"HEARTBEAT"}';

export type FromServer =
  | { readonly kind: "open" | "heartbeat" | "ignored" }
  | Refusal
  /** All with `src` are gone. `expire`: a message to it came to nothing. */
  | { readonly kind: "leave" | "expire"; readonly src: string }
  | {
      readonly kind: "offer";
      readonly src: string;
      readonly terms: ConnectionTerms;
      readonly signal: RtcSignal;
    }
  | {
      readonly kind: "signal";
      readonly src: string;
      readonly connectionId: string;
      readonly signal: RtcSignal;
    };

/** It ends the socket. `code` is peerloom's edge's own. */
export type Refusal =
  | { readonly kind: "id-taken" | "invalid-key" }
  | { readonly kind: "error"; readonly message: string; readonly code: string | undefined };

const IGNORED: FromServer = { kind: "ignored" };

export function isPeerJsId(text: string): boolean {
  return text.length <= ID_CHARACTERS_MAX && ID.test(text);
}

/** Never throws. What is malformed, of another version or for a media call is ignored, as the stock client would. */
export function readServerMessage(text: string): FromServer {
  let message: unknown;
  try {
    message = parseJson(text, JSON_DEPTH_MAX).value;
  } catch {
    return IGNORED;
  }
  if (!isObject(message)) return IGNORED;
  const { type, src, payload } = message;
  switch (type) {
    case "OPEN":
      return { kind: "open" };
    case "HEARTBEAT":
      return { kind: "heartbeat" };
    case "ID-TAKEN":
      return { kind: "id-taken" };
    case "INVALID-KEY":
      return { kind: "invalid-key" };
    case "ERROR":
      return readError(payload);
    default:
      return isText(src, ID_CHARACTERS_MAX) && src !== "" ? readRelayed(type, src, payload) : IGNORED;
  }
}

function readRelayed(type: unknown, src: string, payload: unknown): FromServer {
  if (type === "LEAVE") return { kind: "leave", src };
  if (type === "EXPIRE") return { kind: "expire", src };
  if (!isObject(payload) || !isText(payload["connectionId"], ID_CHARACTERS_MAX)) return IGNORED;
  const { connectionId } = payload;
  if (type === "OFFER") return readOffer(src, connectionId, payload);
  const signal =
    type === "ANSWER"
      ? readSdp(payload["sdp"], "answer")
      : type === "CANDIDATE"
        ? readCandidate(payload["candidate"])
        : undefined;
  return signal === undefined ? IGNORED : { kind: "signal", src, connectionId, signal };
}

function readOffer(
  src: string,
  connectionId: string,
  payload: Readonly<Record<string, unknown>>,
): FromServer {
  const { type, label = connectionId, metadata, reliable, serialization, sdp } = payload;
  const signal = readSdp(sdp, "offer");
  if (signal === undefined || type !== "data" || !isText(label, LABEL_CHARACTERS_MAX)) return IGNORED;
  if (!isSerialization(serialization)) return IGNORED;
  const terms = { connectionId, label, metadata, serialization, reliable: reliable === true };
  return { kind: "offer", src, terms, signal };
}

function readSdp(description: unknown, kind: "offer" | "answer"): RtcSignal | undefined {
  if (!isObject(description) || description["type"] !== kind) return undefined;
  const { sdp } = description;
  return isText(sdp, SDP_CHARACTERS_MAX) ? { kind, sdp } : undefined;
}

function readCandidate(value: unknown): RtcSignal | undefined {
  if (!isObject(value)) return undefined;
  const { candidate, sdpMid } = value;
  if (!isText(candidate, CANDIDATE_CHARACTERS_MAX) || candidate === "") return undefined;
  const mid = sdpMid ?? "0";
  return isText(mid, ID_CHARACTERS_MAX) ? { kind: "candidate", candidate, mid } : undefined;
}

function readError(payload: unknown): FromServer {
  const { msg, code } = isObject(payload) ? payload : {};
  return {
    kind: "error",
    message: typeof msg === "string" ? msg.slice(0, TEXT_CHARACTERS_MAX) : "",
    code: isText(code, TEXT_CHARACTERS_MAX) ? code : undefined,
  };
}

/** The message that carries a signal of ours to another client. */
export function signalMessage(dst: string, terms: ConnectionTerms, signal: RtcSignal): string {
  const { connectionId, label, metadata, serialization, reliable } = terms;
  const common = { type: "data", connectionId };
  switch (signal.kind) {
    case "offer": {
      const sdp = { type: "offer", sdp: signal.sdp };
      const payload = { sdp, ...common, metadata, label, reliable, serialization };
      return JSON.stringify({ type: "OFFER", payload, dst });
    }
    case "answer": {
      const sdp = { type: "answer", sdp: signal.sdp };
      return JSON.stringify({ type: "ANSWER", payload: { sdp, ...common }, dst });
    }
    case "candidate": {
      // libdatachannel writes it as a line of SDP.
      const candidate = signal.candidate.replace(/^a=/, "");
      const payload = { candidate: { candidate, sdpMid: signal.mid, sdpMLineIndex: 0 }, ...common };
      return JSON.stringify({ type: "CANDIDATE", payload, dst });
    }
  }
}

/**
 * A message that a client sends itself. PeerServer answers a takeover with nothing, though it has taken place (peerjs#1289); that
 * this comes back shows it.
 */
export function probeMessage(id: string, connectionId: string): string {
  const candidate = { candidate: "probe", sdpMid: "0", sdpMLineIndex: 0 };
  return JSON.stringify({ type: "CANDIDATE", payload: { candidate, type: "data", connectionId }, dst: id });
}

function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === "string" && value.length <= lengthMax && value.isWellFormed();
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
