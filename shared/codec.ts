/**
 * msgpack for strangers. msgpackr obeys record definitions found in its input even with `useRecords: false`, decodes a
 * dozen extension types whatever it is told, and recurses as deep as the bytes say. So `scan` walks the headers first
 * (depth, items, string lengths, UTF-8, map keys, no extensions, nothing missing, nothing left over), and only then
 * msgpackr runs.
 * Messages are positional arrays; the field readers below turn `unknown` into types once, at the door.
 */
import { Packr, RESET_BUFFER_MODE } from "msgpackr/pack";
import { utf8Decode } from "./bytes.ts";
import { PeerloomError } from "./errors.ts";

/** What a message may look like before it is decoded. */
export interface ScanLimits {
  /** The whole message, bytes. */
  readonly bytesMax: number;
  /** Arrays and maps inside each other. @default 6 */
  readonly depthMax?: number;
  /** Values in all, containers included. @default 512 */
  readonly itemsMax?: number;
  /** One string, bytes. @default 4096 */
  readonly textBytesMax?: number;
}

const packr = new Packr({
  useRecords: false,
  moreTypes: false,
  mapsAsObjects: true,
  variableMapSize: true,
  // We write integers past 32 bits as float64; other implementations write them as int64, which is the same number.
  int64AsType: "auto",
  copyBuffers: true,
});

/**
 * Messages are decoded from here: msgpackr makes a DataView of what it reads, which for a small array of bytes means memory outside of the
 * heap, and freeing that is dearer than all the decoding.
 */
const scratch = new Uint8Array(16 * 1024);

/**
 * Encodes one value: null, booleans, finite numbers, well-formed strings, Uint8Array, arrays and plain objects of these.
 * A lone surrogate would be refused by whoever decodes it.
 */
export function encode(value: unknown): Uint8Array {
  // pack() hands out a view of a buffer that the next call writes from its start again. `slice()` of a Buffer would be a view too.
  return new Uint8Array(packr.pack(value, RESET_BUFFER_MODE));
}

/**
 * Decodes one stranger's message. Byte fields are copies, so that a small field does not pin a large frame. Text of more
 * than 64 bytes loses a byte order mark at its start (msgpackr's TextDecoder); carry such text as bytes.
 * @throws PeerloomError `wire/too-large`, `wire/malformed`
 */
export function decode(bytes: Uint8Array, limits: ScanLimits): unknown {
  if (bytes.length > limits.bytesMax) {
    throw new PeerloomError(
      "wire/too-large",
      `Message of ${bytes.length} bytes; at most ${limits.bytesMax} are allowed.`,
    );
  }
  scan(bytes, limits);
  try {
    if (bytes.length > scratch.length) return packr.unpack(new Uint8Array(bytes));
    scratch.set(bytes);
    return packr.unpack(scratch, bytes.length);
  } catch (cause) {
    throw new PeerloomError("wire/malformed", "Message is not valid msgpack.", { cause });
  }
}

/**
 * Walks the headers of exactly one msgpack value.
 * @throws PeerloomError `wire/malformed` at the first thing that is not allowed
 */
export function scan(bytes: Uint8Array, limits: ScanLimits): void {
  const { depthMax = 6, itemsMax = 512, textBytesMax = 4096 } = limits;
  /** Values still expected at each depth; of a map, keys and values. */
  const pending: number[] = [1];
  const maps: boolean[] = [false];
  let offset = 0;
  let items = 0;

  const need = (count: number): number => {
    const start = offset;
    if (count > bytes.length - offset) throw malformed("cut short");
    offset += count;
    return start;
  };
  const uint = (length: number): number => {
    let value = 0;
    for (let at = need(length); at < offset; at++) value = value * 256 + (bytes[at] as number);
    return value;
  };
  const enter = (count: number, isMap: boolean): void => {
    if (pending.length > depthMax) throw malformed("nested too deep");
    if (count > itemsMax) throw malformed("too many items");
    pending.push(count);
    maps.push(isMap);
  };
  const text = (length: number, isKey: boolean): void => {
    if (length > textBytesMax) throw malformed("text too long");
    const start = need(length);
    const isAscii = checkText(bytes, start, offset);
    // msgpackr would rename it, and so change what was signed or hashed.
    if (isKey && isAscii && length === 9 && utf8Decode(bytes.subarray(start, offset)) === "__proto__") {
      throw malformed("a map key is __proto__");
    }
  };

  while (pending.length > 0) {
    const depth = pending.length - 1;
    const left = pending[depth] as number;
    if (left === 0) {
      pending.pop();
      maps.pop();
      continue;
    }
    pending[depth] = left - 1;
    if (++items > itemsMax) throw malformed("too many items");
    const head = bytes[need(1)] as number;
    const isKey = maps[depth] === true && left % 2 === 0;
    if (isKey && !isText(head)) throw malformed("a map key is not text");
    if (head <= 0x7f || head >= 0xe0) continue;
    if (head <= 0x8f) enter((head & 0x0f) * 2, true);
    else if (head <= 0x9f) enter(head & 0x0f, false);
    else if (head <= 0xbf) text(head & 0x1f, isKey);
    else if (head === 0xc0 || head === 0xc2 || head === 0xc3) continue;
    else if (head === 0xc4) need(uint(1));
    else if (head === 0xc5) need(uint(2));
    else if (head === 0xc6) need(uint(4));
    else if (head === 0xca) need(4);
    else if (head === 0xcb) need(8);
    else if (head >= 0xcc && head <= 0xcf) need(1 << (head - 0xcc));
    else if (head >= 0xd0 && head <= 0xd3) need(1 << (head - 0xd0));
    else if (head === 0xd9) text(uint(1), isKey);
    else if (head === 0xda) text(uint(2), isKey);
    else if (head === 0xdb) text(uint(4), isKey);
    else if (head === 0xdc) enter(uint(2), false);
    else if (head === 0xdd) enter(uint(4), false);
    else if (head === 0xde) enter(uint(2) * 2, true);
    else if (head === 0xdf) enter(uint(4) * 2, true);
    else throw malformed("extension types are not allowed"); // c1, c7-c9, d4-d8
  }
  if (offset !== bytes.length) throw malformed("bytes after the end");
}

/**
 * Reads the fields of a positional message one after the other.
 * @example
 * const fields = new FieldReader(decode(bytes, limits), "join");
 * const version = fields.integer(0, 255);
 * fields.end();
 */
export class FieldReader {
  readonly #values: readonly unknown[];
  readonly #what: string;
  #next = 0;

  /** @throws PeerloomError `wire/malformed` when `value` is not an array */
  constructor(value: unknown, what: string) {
    if (!Array.isArray(value)) throw malformed(`${what} is not an array`);
    this.#values = value;
    this.#what = what;
  }

  /** Nothing is left: what may follow is not there. */
  get isAtEnd(): boolean {
    return this.#next >= this.#values.length;
  }

  integer(min: number, max: number): number {
    const value = this.#take();
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
      throw this.#bad(`an integer from ${min} to ${max}`);
    }
    return value;
  }

  boolean(): boolean {
    const value = this.#take();
    if (typeof value !== "boolean") throw this.#bad("a boolean");
    return value;
  }

  /** A string of at most `charactersMax` UTF-16 units. */
  text(charactersMax: number): string {
    const value = this.#take();
    if (typeof value !== "string" || value.length > charactersMax) {
      throw this.#bad(`text of at most ${charactersMax} characters`);
    }
    return value;
  }

  /** Bytes of their own memory, as decoded. */
  bytes(lengthMin: number, lengthMax: number): Uint8Array {
    const value = this.#take();
    if (!(value instanceof Uint8Array) || value.length < lengthMin || value.length > lengthMax) {
      throw this.#bad(`${lengthMin} to ${lengthMax} bytes`);
    }
    return value;
  }

  list<T>(countMax: number, read: (item: unknown) => T): T[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length > countMax) throw this.#bad(`a list of at most ${countMax}`);
    return value.map((item) => read(item));
  }

  /** A value that a parser such as `parsePeerId` makes from text. */
  parsed<T>(parse: (text: string) => T | undefined, what: string): T {
    const value = this.#take();
    const parsed = typeof value === "string" ? parse(value) : undefined;
    if (parsed === undefined) throw this.#bad(what);
    return parsed;
  }

  /** A nested positional message. */
  nested(what: string): FieldReader {
    return new FieldReader(this.#take(), what);
  }

  /** True when the next field is null; it is skipped then. */
  skipNull(): boolean {
    if (this.#values[this.#next] !== null) return false;
    this.#next += 1;
    return true;
  }

  /** Whether another field follows. */
  get hasMore(): boolean {
    return this.#next < this.#values.length;
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#next !== this.#values.length)
      throw malformed(`${this.#what} has ${this.#values.length} fields`);
  }

  #take(): unknown {
    if (this.#next >= this.#values.length) throw malformed(`${this.#what} ends after ${this.#next} fields`);
    return this.#values[this.#next++];
  }

  #bad(expected: string): PeerloomError {
    return malformed(`field ${this.#next - 1} of ${this.#what} is not ${expected}`);
  }
}

function isText(head: number): boolean {
  return (head >= 0xa0 && head <= 0xbf) || (head >= 0xd9 && head <= 0xdb);
}

/**
 * msgpackr repairs invalid UTF-8 silently, so that two texts become one, and one may grow past its limit.
 * @returns whether all of it is ASCII
 */
function checkText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) < 0x80) continue;
    try {
      utf8Decode(bytes.subarray(i, end));
      return false;
    } catch (cause) {
      throw new PeerloomError("wire/malformed", "Malformed message: text is not UTF-8.", { cause });
    }
  }
  return true;
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed message: ${why}.`);
}
