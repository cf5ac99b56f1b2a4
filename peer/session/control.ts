/**
 * Control operations: what the two ends of a session tell each other about links and progress. Several fit one control
 * frame. They are not numbered with the data and never repeated: each is either overtaken by the next or asked again.
 */
import { readUint32 } from "../../shared/bytes.ts";
import { COUNTER_BYTES, LINK_NONCE_BYTES, readCounter, writeCounter } from "../../shared/frame.ts";
import { PeerloomError } from "../../shared/errors.ts";

export type ControlOperation =
  /** Every data frame below `next` has arrived. */
  | { readonly kind: "ack"; readonly next: number }
  /** So many data frames have come in on this very link since it began, repeated ones too. */
  | { readonly kind: "taken"; readonly frames: number }
  | { readonly kind: "ping"; readonly id: number }
  | { readonly kind: "pong"; readonly id: number }
  /** The dialler's proof that it holds the keys on this very link: the acceptor's nonce, and the link's binding. */
  | { readonly kind: "prove"; readonly linkNonce: Uint8Array; readonly binding: Uint8Array }
  /** The session is over; the code says why. */
  | { readonly kind: "bye"; readonly code: string };

const OPERATION = { ack: 1, ping: 2, pong: 3, prove: 4, bye: 5, taken: 6 } as const;
const BINDING_BYTES_MAX = 32;
const CODE_BYTES_MAX = 64;
/** One frame never needs more; more is an attack. */
const OPERATIONS_MAX = 16;

export function encodeControl(operations: readonly ControlOperation[]): Uint8Array {
  const bytes: number[] = [];
  for (const operation of operations) {
    bytes.push(OPERATION[operation.kind]);
    switch (operation.kind) {
      case "ack":
      case "taken": {
        const counter = new Uint8Array(COUNTER_BYTES);
        writeCounter(counter, 0, operation.kind === "ack" ? operation.next : operation.frames);
        bytes.push(...counter);
        break;
      }
      case "ping":
      case "pong":
        bytes.push(
          (operation.id >>> 24) & 255,
          (operation.id >>> 16) & 255,
          (operation.id >>> 8) & 255,
          operation.id & 255,
        );
        break;
      case "prove":
        bytes.push(...operation.linkNonce, operation.binding.length, ...operation.binding);
        break;
      case "bye":
        bytes.push(
          operation.code.length,
          ...Array.from(operation.code, (letter) => letter.charCodeAt(0) & 0x7f),
        );
        break;
    }
  }
  return Uint8Array.from(bytes);
}

/** @throws PeerloomError `wire/malformed` */
export function decodeControl(bytes: Uint8Array): ControlOperation[] {
  const operations: ControlOperation[] = [];
  let offset = 0;
  const take = (count: number): number => {
    const start = offset;
    if (count > bytes.length - offset) throw malformed("cut short");
    offset += count;
    return start;
  };
  while (offset < bytes.length) {
    if (operations.length === OPERATIONS_MAX) throw malformed("too many operations");
    const kind = bytes[take(1)];
    switch (kind) {
      case OPERATION.ack:
        operations.push({ kind: "ack", next: readCounter(bytes, take(COUNTER_BYTES)) });
        break;
      case OPERATION.taken:
        operations.push({ kind: "taken", frames: readCounter(bytes, take(COUNTER_BYTES)) });
        break;
      case OPERATION.ping:
      case OPERATION.pong: {
        const id = readUint32(bytes, take(4));
        operations.push({ kind: kind === OPERATION.ping ? "ping" : "pong", id });
        break;
      }
      case OPERATION.prove: {
        const start = take(LINK_NONCE_BYTES);
        const linkNonce = bytes.slice(start, start + LINK_NONCE_BYTES);
        const length = bytes[take(1)] as number;
        if (length > BINDING_BYTES_MAX) throw malformed("binding too long");
        const bindingStart = take(length);
        operations.push({
          kind: "prove",
          linkNonce,
          binding: bytes.slice(bindingStart, bindingStart + length),
        });
        break;
      }
      case OPERATION.bye: {
        const length = bytes[take(1)] as number;
        if (length > CODE_BYTES_MAX) throw malformed("code too long");
        const start = take(length);
        operations.push({ kind: "bye", code: String.fromCharCode(...bytes.subarray(start, start + length)) });
        break;
      }
      default:
        throw malformed(`unknown operation ${kind}`);
    }
  }
  return operations;
}

/** What an `attach` or `attached` frame seals: a nonce for the link, the link's binding, and what has arrived. */
export interface AttachProof {
  /** In `attach` the dialler's own; in `attached` the acceptor's own. */
  readonly linkNonce: Uint8Array;
  /** In `attached` the dialler's nonce comes back; zeros in `attach`. */
  readonly echo: Uint8Array;
  /** Data frames below have arrived. */
  readonly next: number;
  readonly binding: Uint8Array;
}

export function encodeAttachProof(proof: AttachProof): Uint8Array {
  const bytes = new Uint8Array(2 * LINK_NONCE_BYTES + COUNTER_BYTES + proof.binding.length);
  bytes.set(proof.linkNonce, 0);
  bytes.set(proof.echo, LINK_NONCE_BYTES);
  writeCounter(bytes, 2 * LINK_NONCE_BYTES, proof.next);
  bytes.set(proof.binding, 2 * LINK_NONCE_BYTES + COUNTER_BYTES);
  return bytes;
}

/** @throws PeerloomError `wire/malformed` */
export function decodeAttachProof(bytes: Uint8Array): AttachProof {
  const bindingStart = 2 * LINK_NONCE_BYTES + COUNTER_BYTES;
  if (bytes.length < bindingStart || bytes.length > bindingStart + BINDING_BYTES_MAX)
    throw malformed("attach proof length");
  return {
    linkNonce: bytes.slice(0, LINK_NONCE_BYTES),
    echo: bytes.slice(LINK_NONCE_BYTES, 2 * LINK_NONCE_BYTES),
    next: readCounter(bytes, 2 * LINK_NONCE_BYTES),
    binding: bytes.slice(bindingStart),
  };
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed control frame: ${why}.`);
}
