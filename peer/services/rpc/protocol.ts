/**
 * `rpc/1/NAME`: the calls of one peer to one service of another, all on one stream, each message behind its length.
 * `rpc-items/1`: one async iterable, on a stream of its own that the called side opens, so that it waits by the stream's
 * own flow control and the caller always knows the call. `shared/WIRE.md` has the bytes.
 */
import { decode, encode, FieldReader, scan } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { METHOD_NAME_CHARACTERS_MAX, TIMEOUT_MS_MAX } from "./naming.ts";
import { type Failure, isCode, MESSAGE_CHARACTERS_MAX } from "./remote-error.ts";
import { plainOf, VALUE_DEPTH_MAX } from "./value.ts";

export const ITEMS_PROTOCOL = "rpc-items/1";

/** One call with its arguments, one answer, or one item. */
export const MESSAGE_BYTES_MAX: number = 1024 * 1024;
/** Values in one message, so that a megabyte does not become a million objects. */
export const MESSAGE_VALUES_MAX = 65_536;
export const ARGUMENTS_MAX = 32;
const ID_MAX = 0xffff_ffff;

/** Stands for an argument that is streamed. */
export const STREAMED: unique symbol = Symbol("streamed");

export interface CallMessage {
  readonly kind: "call";
  readonly id: number;
  /** From the moment it is received. */
  readonly timeoutMs: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type CallerMessage = CallMessage | { readonly kind: "cancel"; readonly id: number };

export type CalleeMessage =
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failure"; readonly id: number; readonly failure: Failure };

/** Begins a stream of items: of which call, and 0 its result, or which argument, from 1. */
export interface ItemsHead {
  readonly callsStreamId: number;
  readonly callId: number;
  readonly slot: number;
}

export type ItemMessage =
  | { readonly kind: "item"; readonly value: unknown }
  | { readonly kind: "failure"; readonly failure: Failure };

const KIND = { call: 0, cancel: 1, result: 0, failure: 1, item: 0 } as const;
const LIMITS = {
  bytesMax: MESSAGE_BYTES_MAX,
  // The message itself, the list of arguments, and the list around each.
  depthMax: VALUE_DEPTH_MAX + 3,
  itemsMax: MESSAGE_VALUES_MAX,
  textBytesMax: MESSAGE_BYTES_MAX,
} as const;

/** @throws PeerloomError `rpc/invalid-value`, `rpc/too-large` */
export function encodeCall({ id, timeoutMs, method, args }: Omit<CallMessage, "kind">): Uint8Array {
  return bounded([KIND.call, id, timeoutMs, method, args.map((arg) => (arg === STREAMED ? 0 : boxed(arg)))]);
}

export function encodeCancel(id: number): Uint8Array {
  return encode([KIND.cancel, id]);
}

/** @throws PeerloomError `rpc/protocol` */
export function decodeCallerMessage(bytes: Uint8Array): CallerMessage {
  return reading(bytes, "call", (fields) => {
    if (fields.integer(0, KIND.cancel) === KIND.cancel)
      return { kind: "cancel", id: fields.integer(1, ID_MAX) };
    return {
      kind: "call",
      id: fields.integer(1, ID_MAX),
      timeoutMs: fields.integer(1, TIMEOUT_MS_MAX),
      method: fields.text(METHOD_NAME_CHARACTERS_MAX),
      args: fields.list(ARGUMENTS_MAX, (item) => (item === 0 ? STREAMED : unboxed(item))),
    };
  });
}

/** @throws PeerloomError `rpc/invalid-value`, `rpc/too-large` */
export function encodeResult(id: number, value: unknown): Uint8Array {
  return bounded([KIND.result, id, boxed(value)]);
}

export function encodeFailure(id: number, { code, message }: Failure): Uint8Array {
  return encode([KIND.failure, id, code, message]);
}

/** @throws PeerloomError `rpc/protocol` */
export function decodeCalleeMessage(bytes: Uint8Array): CalleeMessage {
  return reading(bytes, "answer", (fields) => {
    const kind = fields.integer(0, KIND.failure);
    const id = fields.integer(1, ID_MAX);
    if (kind === KIND.failure) return { kind: "failure", id, failure: readFailure(fields) };
    return { kind: "result", id, value: readBoxed(fields) };
  });
}

export function encodeItemsHead({ callsStreamId, callId, slot }: ItemsHead): Uint8Array {
  return encode([callsStreamId, callId, slot]);
}

/** @throws PeerloomError `rpc/protocol` */
export function decodeItemsHead(bytes: Uint8Array): ItemsHead {
  return reading(bytes, "head of items", (fields) => ({
    callsStreamId: fields.integer(0, ID_MAX),
    callId: fields.integer(1, ID_MAX),
    slot: fields.integer(0, ARGUMENTS_MAX),
  }));
}

/** @throws PeerloomError `rpc/invalid-value`, `rpc/too-large` */
export function encodeItem(value: unknown): Uint8Array {
  return bounded([KIND.item, boxed(value)]);
}

export function encodeItemFailure({ code, message }: Failure): Uint8Array {
  return encode([KIND.failure, code, message]);
}

/** @throws PeerloomError `rpc/protocol` */
export function decodeItem(bytes: Uint8Array): ItemMessage {
  return reading(bytes, "item", (fields) =>
    fields.integer(0, KIND.failure) === KIND.failure
      ? { kind: "failure", failure: readFailure(fields) }
      : { kind: "item", value: readBoxed(fields) },
  );
}

export function violation(why: string, cause?: unknown): PeerloomError {
  return new PeerloomError("rpc/protocol", `The other side broke the protocol of calls: ${why}.`, { cause });
}

/** What a call in flight fails with when its stream does: nobody knows how far it came. */
export function interrupted(cause: unknown): PeerloomError {
  return new PeerloomError(
    "rpc/interrupted",
    "The connection ended during the call, and whether the method has run is unknown. Call again if it may run twice.",
    { cause },
  );
}

/** Told by whichever side's clock is first. */
export function timedOut(timeoutMs: number): PeerloomError {
  return new PeerloomError(
    "rpc/timeout",
    `No answer came within ${timeoutMs} ms. Give the call more time (timeoutMs), or find out what keeps the method.`,
  );
}

export function busy(service: string): PeerloomError {
  return new PeerloomError(
    "rpc/busy",
    `Too many calls of "${service}", or too many bytes of them, are under way. Wait for some to end.`,
  );
}

/** A list of the one value, or of none for undefined, which msgpack lacks. */
function boxed(value: unknown): unknown[] {
  return value === undefined ? [] : [plainOf(value)];
}

function unboxed(item: unknown): unknown {
  if (Array.isArray(item) && item.length <= 1) return item[0] as unknown;
  throw new PeerloomError("wire/malformed", "Malformed call: an argument is no list of one value.");
}

function readBoxed(fields: FieldReader): unknown {
  return fields.list(1, (item) => item)[0];
}

function readFailure(fields: FieldReader): Failure {
  const code = fields.parsed((text) => (isCode(text) ? text : undefined), "a code");
  return { code, message: fields.text(MESSAGE_CHARACTERS_MAX) };
}

/** What the other side would refuse is refused here. */
function bounded(message: unknown): Uint8Array {
  const bytes = encode(message);
  if (bytes.length > MESSAGE_BYTES_MAX) throw tooLarge(`has ${bytes.length} bytes`);
  // A value has a byte at least.
  if (bytes.length > MESSAGE_VALUES_MAX) {
    try {
      scan(bytes, LIMITS);
    } catch {
      throw tooLarge(`holds more than ${MESSAGE_VALUES_MAX} values`);
    }
  }
  return bytes;
}

function tooLarge(what: string): PeerloomError {
  return new PeerloomError(
    "rpc/too-large",
    `One call, answer or item holds ${MESSAGE_BYTES_MAX} bytes and ${MESSAGE_VALUES_MAX} values at most; this one ${what}. Stream it in pieces (an async iterable), or share it as a file.`,
  );
}

function reading<T>(bytes: Uint8Array, what: string, read: (fields: FieldReader) => T): T {
  try {
    const fields = new FieldReader(decode(bytes, LIMITS), what);
    const message = read(fields);
    fields.end();
    return message;
  } catch (cause) {
    throw violation(`a malformed ${what}`, cause);
  }
}
