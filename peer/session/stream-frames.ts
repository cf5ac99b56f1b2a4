/**
 * Stream frames: what the plaintext of a data frame is made of. Each has a 5-byte head (type, stream id) and, where
 * there is a body, its length. Bodies alias the plaintext; nothing is copied on the way to a stream's reader.
 */
import { concatBytes, readUint32, utf8, utf8Decode, writeUint32 } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { StreamPriority } from "./contract.ts";

export type StreamFrame =
  /** A new stream: its protocol, and the class that both directions are sent in. */
  | {
      readonly kind: "open";
      readonly id: number;
      readonly protocol: string;
      readonly priority: StreamPriority;
    }
  | { readonly kind: "bytes"; readonly id: number; readonly bytes: Uint8Array }
  /** The sender of bytes may send this many more. */
  | { readonly kind: "credit"; readonly id: number; readonly bytes: number }
  /** No more bytes in this direction. */
  | { readonly kind: "end"; readonly id: number }
  /** The receiver of bytes wants no more of them. */
  | { readonly kind: "stop"; readonly id: number }
  /** Both directions are over; an error code. */
  | { readonly kind: "reset"; readonly id: number; readonly code: string }
  /** A signal message for the layer that makes links; stream id 0. */
  | { readonly kind: "signal"; readonly bytes: Uint8Array }
  /** A message between neighbours in the overlay; stream id 0. */
  | { readonly kind: "overlay"; readonly bytes: Uint8Array };

const TYPE = { open: 1, bytes: 2, credit: 3, end: 4, reset: 5, signal: 6, stop: 7, overlay: 8 } as const;

const PRIORITIES: readonly StreamPriority[] = ["interactive", "normal", "bulk"];

/** Type and stream id. */
const HEAD_BYTES = 5;
/** Head and length of a `bytes` frame. */
export const BYTES_HEAD_BYTES: number = HEAD_BYTES + 4;
export const PROTOCOL_BYTES_MAX = 128;
const CODE_BYTES_MAX = 64;
/** A signal message inside a session. */
export const SESSION_SIGNAL_BYTES_MAX = 24_576;
/** An overlay message inside a session. */
export const OVERLAY_BYTES_MAX = 16_384;

/** The head of a `bytes` frame whose body follows. */
export function bytesHead(id: number, length: number): Uint8Array {
  const head = new Uint8Array(BYTES_HEAD_BYTES);
  head[0] = TYPE.bytes;
  writeUint32(head, 1, id);
  writeUint32(head, HEAD_BYTES, length);
  return head;
}

/** Every frame but `bytes`, which is sent in pieces. */
export function encodeStreamFrame(frame: Exclude<StreamFrame, { kind: "bytes" }>): Uint8Array {
  switch (frame.kind) {
    case "open":
      return withBody(
        TYPE.open,
        frame.id,
        concatBytes(Uint8Array.of(PRIORITIES.indexOf(frame.priority)), utf8(frame.protocol)),
      );
    case "credit":
      return withWord(TYPE.credit, frame.id, frame.bytes);
    case "end":
    case "stop":
      return withWord(TYPE[frame.kind], frame.id, undefined);
    case "reset":
      return withBody(TYPE.reset, frame.id, utf8(frame.code));
    case "signal":
    case "overlay":
      return withBody(TYPE[frame.kind], 0, frame.bytes);
  }
}

/**
 * Calls `each` for every frame of a plaintext.
 * @throws PeerloomError `session/protocol-violation`
 */
export function readStreamFrames(plaintext: Uint8Array, each: (frame: StreamFrame) => void): void {
  let offset = 0;
  const take = (count: number): number => {
    const start = offset;
    if (count > plaintext.length - offset) throw violation("cut short");
    offset += count;
    return start;
  };
  const body = (lengthMax: number): Uint8Array => {
    const length = readUint32(plaintext, take(4));
    if (length > lengthMax) throw violation("body too long");
    const start = take(length);
    return plaintext.subarray(start, start + length);
  };
  while (offset < plaintext.length) {
    const start = take(HEAD_BYTES);
    const type = plaintext[start];
    const id = readUint32(plaintext, start + 1);
    switch (type) {
      case TYPE.bytes:
        each({ kind: "bytes", id, bytes: body(plaintext.length) });
        break;
      case TYPE.credit:
        each({ kind: "credit", id, bytes: readUint32(plaintext, take(4)) });
        break;
      case TYPE.open:
        each(openFrame(id, body(1 + PROTOCOL_BYTES_MAX)));
        break;
      case TYPE.end:
        each({ kind: "end", id });
        break;
      case TYPE.stop:
        each({ kind: "stop", id });
        break;
      case TYPE.reset:
        each({ kind: "reset", id, code: text(body(CODE_BYTES_MAX)) });
        break;
      case TYPE.signal:
        each({ kind: "signal", bytes: body(SESSION_SIGNAL_BYTES_MAX).slice() });
        break;
      case TYPE.overlay:
        each({ kind: "overlay", bytes: body(OVERLAY_BYTES_MAX).slice() });
        break;
      default:
        throw violation(`unknown stream frame ${type}`);
    }
  }
}

function openFrame(id: number, body: Uint8Array): StreamFrame {
  const priority = PRIORITIES[body[0] ?? -1];
  if (priority === undefined) throw violation("unknown priority");
  if (body.length === 1) throw violation("no protocol");
  return { kind: "open", id, protocol: text(body.subarray(1)), priority };
}

function withBody(type: number, id: number, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(BYTES_HEAD_BYTES + bytes.length);
  frame[0] = type;
  writeUint32(frame, 1, id);
  writeUint32(frame, HEAD_BYTES, bytes.length);
  frame.set(bytes, BYTES_HEAD_BYTES);
  return frame;
}

function withWord(type: number, id: number, word: number | undefined): Uint8Array {
  const frame = new Uint8Array(HEAD_BYTES + (word === undefined ? 0 : 4));
  frame[0] = type;
  writeUint32(frame, 1, id);
  if (word !== undefined) writeUint32(frame, HEAD_BYTES, word);
  return frame;
}

function text(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes);
  } catch (cause) {
    throw new PeerloomError("session/protocol-violation", "A stream frame holds invalid UTF-8.", { cause });
  }
}

function violation(why: string): PeerloomError {
  return new PeerloomError("session/protocol-violation", `Malformed stream frame: ${why}.`);
}
