/**
 * The frames of a session as bytes: one type byte, then what the type says. Everything past the first exchange is
 * sealed, and the header is what the seal also covers. Neither the edge nor a forwarding peer reads more than this.
 */
import { PeerloomError } from "./errors.ts";
import { FRAME_BYTES_MAX } from "./limits.ts";

/** First byte of a frame. */
export const FRAME = {
  /** Noise IK message 1. */
  hello: 1,
  /** 8-byte link nonce, then Noise IK message 2. */
  welcome: 2,
  /** Session id (16), counter (6), sealed: this link shall carry that session too. */
  attach: 3,
  /** Counter (6), sealed: it does. */
  attached: 4,
  /** Sequence number (6), sealed stream frames. */
  data: 5,
  /** Counter (6), sealed control operations: acknowledgements, pings, proofs. */
  control: 6,
  /** An error code as text; the link is closed after it. */
  refuse: 7,
} as const;

export const TAG_BYTES = 16;
export const COUNTER_BYTES = 6;
export const SESSION_ID_BYTES = 16;
export const LINK_NONCE_BYTES = 8;
/** Type and counter: the header of data and control frames, and the associated data of their seal. */
export const HEADER_BYTES: number = 1 + COUNTER_BYTES;
/** The longest plaintext of a data frame. */
export const DATA_BYTES_MAX: number = FRAME_BYTES_MAX - HEADER_BYTES - TAG_BYTES;
/** Sequence numbers and counters stay below: 2^48 frames of one byte take centuries. */
export const COUNTER_MAX: number = 2 ** 48 - 1;

/** A frame whose outer form is right; nothing in it is proved yet. The bytes alias the input. */
export type Frame =
  | { readonly type: "hello"; readonly noise: Uint8Array }
  | { readonly type: "welcome"; readonly linkNonce: Uint8Array; readonly noise: Uint8Array }
  | {
      readonly type: "attach";
      readonly sessionId: Uint8Array;
      readonly counter: number;
      readonly header: Uint8Array;
      readonly sealed: Uint8Array;
    }
  | SealedFrame
  | { readonly type: "refuse"; readonly code: string };

export interface SealedFrame {
  readonly type: "attached" | "data" | "control";
  readonly counter: number;
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
}

const SEALED_TYPES: { readonly [type: number]: SealedFrame["type"] } = {
  [FRAME.attached]: "attached",
  [FRAME.data]: "data",
  [FRAME.control]: "control",
};

/** Noise messages of the handshake are far shorter; nothing longer is looked at. */
const HANDSHAKE_BYTES_MAX = 1024;
const REFUSE_BYTES_MAX = 64;

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function parseFrame(bytes: Uint8Array): Frame {
  if (bytes.length > FRAME_BYTES_MAX)
    throw new PeerloomError("wire/too-large", `Frame of ${bytes.length} bytes.`);
  const type = bytes[0];
  if (type === undefined) throw malformed("empty");
  const sealedType = SEALED_TYPES[type];
  if (sealedType !== undefined) {
    if (bytes.length < HEADER_BYTES + TAG_BYTES) throw malformed("sealed frame too short");
    return {
      type: sealedType,
      counter: readCounter(bytes, 1),
      header: bytes.subarray(0, HEADER_BYTES),
      sealed: bytes.subarray(HEADER_BYTES),
    };
  }
  switch (type) {
    case FRAME.hello:
      if (bytes.length > HANDSHAKE_BYTES_MAX) throw malformed("hello too long");
      return { type: "hello", noise: bytes.subarray(1) };
    case FRAME.welcome:
      if (bytes.length > HANDSHAKE_BYTES_MAX || bytes.length < 1 + LINK_NONCE_BYTES)
        throw malformed("welcome length");
      return {
        type: "welcome",
        linkNonce: bytes.subarray(1, 1 + LINK_NONCE_BYTES),
        noise: bytes.subarray(1 + LINK_NONCE_BYTES),
      };
    case FRAME.attach: {
      const headerBytes = HEADER_BYTES + SESSION_ID_BYTES;
      if (bytes.length < headerBytes + TAG_BYTES || bytes.length > HANDSHAKE_BYTES_MAX)
        throw malformed("attach length");
      return {
        type: "attach",
        sessionId: bytes.subarray(1, 1 + SESSION_ID_BYTES),
        counter: readCounter(bytes, 1 + SESSION_ID_BYTES),
        header: bytes.subarray(0, headerBytes),
        sealed: bytes.subarray(headerBytes),
      };
    }
    case FRAME.refuse:
      if (bytes.length > 1 + REFUSE_BYTES_MAX) throw malformed("refusal too long");
      return { type: "refuse", code: String.fromCharCode(...bytes.subarray(1)) };
    default:
      throw malformed(`unknown type ${type}`);
  }
}

/** Type and counter as bytes. */
export function frameHeader(type: number, counter: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = type;
  writeCounter(header, 1, counter);
  return header;
}

/** Type, session id and counter as bytes. */
export function attachHeader(sessionId: Uint8Array, counter: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES + SESSION_ID_BYTES);
  header[0] = FRAME.attach;
  header.set(sessionId, 1);
  writeCounter(header, 1 + SESSION_ID_BYTES, counter);
  return header;
}

export function refuseFrame(code: string): Uint8Array {
  const frame = new Uint8Array(1 + code.length);
  frame[0] = FRAME.refuse;
  for (let i = 0; i < code.length; i++) frame[1 + i] = code.charCodeAt(i) & 0x7f;
  return frame;
}

/** 48 bits, big-endian. */
export function readCounter(bytes: Uint8Array, offset: number): number {
  let value = 0;
  for (let i = 0; i < COUNTER_BYTES; i++) value = value * 256 + (bytes[offset + i] as number);
  return value;
}

export function writeCounter(bytes: Uint8Array, offset: number, value: number): void {
  let rest = value;
  for (let i = COUNTER_BYTES - 1; i >= 0; i--) {
    bytes[offset + i] = rest & 0xff;
    rest = Math.floor(rest / 256);
  }
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed frame: ${why}.`);
}
