/**
 * `work/1`: one stream from who has tasks to one worker. Each message is a 4-byte length, a type byte and a body, framed as files are.
 * The asker names module and limits; the worker says what it offers and whether it wants the module's bytes; then tasks
 * go one way and their results come back in whatever order they are done.
 */
import { concatBytes, readUint32, utf8, utf8Decode, writeUint32 } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { type ErrorCode, parseErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { type Message, messageHead } from "../files/protocol.ts";
import { MODULE_BYTES_MAX } from "./module-check.ts";

/** One task's input, and one task's output, bytes. */
export const INPUT_BYTES_MAX: number = 4 * 1024 * 1024;
export const OUTPUT_BYTES_MAX: number = 4 * 1024 * 1024;
/** 1 GiB. */
export const PAGES_MAX = 16_384;
/** An hour. */
export const TASK_MS_MAX = 3_600_000;
export const SLOTS_MAX = 1_024;

const HASH_BYTES = 32;
const ID_BYTES = 4;
const ID_MAX = 0xffff_ffff;
const WAITING_CODE: ErrorCode = "compute/busy";
/** No input's number: what a worker says of it concerns none, so that askers of before `waiting` pass over it. */
const ID_OF_NONE: number = ID_MAX;
const CODE_BYTES_MAX = 64;
/** The longest body there is. */
export const BODY_BYTES_MAX: number =
  Math.max(MODULE_BYTES_MAX, INPUT_BYTES_MAX, OUTPUT_BYTES_MAX) + ID_BYTES;

/** Below this one write is cheaper than two. */
const BULK_BYTES_MIN = 4_096;

const TYPE = { ask: 1, offer: 2, module: 3, task: 4, result: 5, failure: 6, cancel: 7, refusal: 8 } as const;
const FIELD_LIMITS = { bytesMax: 64, depthMax: 1, itemsMax: 8, textBytesMax: 0 } as const;

/** What is computed: the same at every worker, so that honest ones agree. */
export interface JobTerms {
  /** SHA-256 of the module. */
  readonly hash: Uint8Array;
  /** Pages of 64 KiB that an instance may have. */
  readonly memoryPages: number;
  /** What one task may take; a worker may give less. */
  readonly taskMs: number;
}

export interface WorkTerms {
  /** Tasks that run at once. */
  readonly slots: number;
  readonly taskMs: number;
  readonly wantsModule: boolean;
}

export type AskerMessage =
  | ({ readonly kind: "ask" } & JobTerms)
  | { readonly kind: "module"; readonly module: Uint8Array }
  | { readonly kind: "task"; readonly id: number; readonly input: Uint8Array }
  | { readonly kind: "cancel"; readonly id: number };

export type WorkerMessage =
  | ({ readonly kind: "offer" } & WorkTerms)
  | { readonly kind: "result"; readonly id: number; readonly output: Uint8Array }
  | { readonly kind: "failure"; readonly id: number; readonly code: ErrorCode }
  /** Nothing of this asker runs, since others have their turn. */
  | { readonly kind: "waiting" }
  /** Nothing follows. */
  | { readonly kind: "refusal"; readonly code: ErrorCode };

/** A message in the pieces to write, so that bulk is not copied. */
export function encodeMessage(message: AskerMessage | WorkerMessage): readonly Uint8Array[] {
  const body = bodyOf(message);
  const bytes = body.reduce((sum, part) => sum + part.length, 0);
  const head = messageHead(TYPE[message.kind === "waiting" ? "failure" : message.kind], bytes);
  if (bytes < BULK_BYTES_MIN) return [concatBytes(head, ...body)];
  const [first, ...bulk] = body;
  return [concatBytes(head, first ?? new Uint8Array(0)), ...bulk];
}

function bodyOf(message: AskerMessage | WorkerMessage): readonly Uint8Array[] {
  switch (message.kind) {
    case "ask":
      return [encode([message.hash, message.memoryPages, message.taskMs])];
    case "offer":
      return [encode([message.slots, message.taskMs, message.wantsModule])];
    case "module":
      return [new Uint8Array(0), message.module];
    case "task":
      return [idBytes(message.id), message.input];
    case "result":
      return [idBytes(message.id), message.output];
    case "failure":
      return [idBytes(message.id), utf8(message.code)];
    case "waiting":
      return [idBytes(ID_OF_NONE), utf8(WAITING_CODE)];
    case "cancel":
      return [idBytes(message.id)];
    case "refusal":
      return [utf8(message.code)];
  }
}

/** @throws PeerloomError `compute/protocol`, `wire/malformed`, `wire/too-large` */
export function decodeFromAsker({ type, body }: Message): AskerMessage {
  switch (type) {
    case TYPE.ask: {
      const fields = new FieldReader(decode(body, FIELD_LIMITS), "ask");
      const hash = fields.bytes(HASH_BYTES, HASH_BYTES);
      const memoryPages = fields.integer(1, PAGES_MAX);
      const taskMs = fields.integer(1, TASK_MS_MAX);
      fields.end();
      return { kind: "ask", hash, memoryPages, taskMs };
    }
    case TYPE.module:
      return { kind: "module", module: atMost(body, MODULE_BYTES_MAX) };
    case TYPE.task:
      return { kind: "task", id: idOf(body), input: atMost(body.subarray(ID_BYTES), INPUT_BYTES_MAX) };
    case TYPE.cancel:
      atMost(body, ID_BYTES);
      return { kind: "cancel", id: idOf(body) };
    default:
      throw violation(`message ${type} from the asker`);
  }
}

/** @throws PeerloomError `compute/protocol`, `wire/malformed`, `wire/too-large` */
export function decodeFromWorker({ type, body }: Message): WorkerMessage {
  switch (type) {
    case TYPE.offer: {
      const fields = new FieldReader(decode(body, FIELD_LIMITS), "offer");
      const slots = fields.integer(1, SLOTS_MAX);
      const taskMs = fields.integer(1, TASK_MS_MAX);
      const wantsModule = fields.boolean();
      fields.end();
      return { kind: "offer", slots, taskMs, wantsModule };
    }
    case TYPE.result:
      return { kind: "result", id: idOf(body), output: atMost(body.subarray(ID_BYTES), OUTPUT_BYTES_MAX) };
    case TYPE.failure: {
      const id = idOf(body);
      const code = codeOf(body.subarray(ID_BYTES), "compute/protocol");
      return id === ID_OF_NONE && code === WAITING_CODE ? { kind: "waiting" } : { kind: "failure", id, code };
    }
    case TYPE.refusal:
      return { kind: "refusal", code: codeOf(body, "compute/refused") };
    default:
      throw violation(`message ${type} from the worker`);
  }
}

export function violation(why: string): PeerloomError {
  return new PeerloomError("compute/protocol", `The other side broke the work protocol: ${why}.`);
}

function idBytes(id: number): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES);
  writeUint32(bytes, 0, id % (ID_MAX + 1));
  return bytes;
}

function idOf(body: Uint8Array): number {
  if (body.length < ID_BYTES) throw violation("a task without a number");
  return readUint32(body, 0);
}

function atMost(bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (bytes.length > bytesMax) throw violation(`${bytes.length} bytes where ${bytesMax} are the most`);
  return bytes;
}

/** An unknown code is a newer worker's: it means what the place where it stands means. */
function codeOf(bytes: Uint8Array, fallback: ErrorCode): ErrorCode {
  try {
    return parseErrorCode(utf8Decode(atMost(bytes, CODE_BYTES_MAX)), fallback);
  } catch (error) {
    if (error instanceof PeerloomError) throw error;
    throw violation("a code that is no text");
  }
}
