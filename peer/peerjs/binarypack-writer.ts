/**
 * Values as `binarypack`, the encoding of PeerJS's default serialization: an old MessagePack with codes of its own for texts and bytes.
 * Of several ways to say a thing this writes the one that the stock client reads back exactly; what it would read as something
 * else is refused. Facts from peerjs-js-binarypack 2.1.0, and none of its code: it recurses as deep as it is told, takes `__proto__` for
 * a key, reads past the end and allocates what a header declares.
 */
import { utf8 } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { VALUE_DEPTH_MAX, VALUE_ITEMS_MAX } from "./limits.ts";

const HEADER_BYTES_MAX = 9;
const SMALL_BYTES_FIRST = 256;
/** Longer bytes are referred to, not copied. */
const COPIED_BYTES_MAX = 1_024;
/** The smallest double with a full mantissa. */
const NORMAL_MIN = 2 ** -1022;

/** A packed value in pieces. Bytes of the caller and Blobs are referred to, and must not change until they are sent. */
export interface Packed {
  readonly parts: readonly (Uint8Array | Blob)[];
  readonly bytes: number;
}

/** @throws PeerloomError `peerjs/value-invalid`, `peerjs/too-large` */
export function pack(value: unknown, bytesMax: number): Packed {
  const writer = new BinaryPackWriter(bytesMax);
  writer.write(value, 0);
  return writer.finish();
}

class BinaryPackWriter {
  readonly #bytesMax: number;
  readonly #parts: (Uint8Array | Blob)[] = [];
  #bytes = 0;
  #items = 0;
  #small = new Uint8Array(SMALL_BYTES_FIRST);
  #view = new DataView(this.#small.buffer);
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  write(value: unknown, depth: number): void {
    this.#items += 1;
    if (this.#items > VALUE_ITEMS_MAX)
      throw tooLarge(`A value of more than ${VALUE_ITEMS_MAX} items. Send it in pieces.`);
    switch (typeof value) {
      case "string":
        this.#string(value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        this.#head(value ? 0xc3 : 0xc2);
        return;
      case "undefined":
        this.#head(0xc1);
        return;
      case "object":
        this.#object(value, depth);
        return;
      default:
        throw invalid(`A ${typeof value} cannot be sent over PeerJS. Send it as a string.`);
    }
  }

  finish(): Packed {
    this.#flush();
    return { parts: this.#parts, bytes: this.#bytes };
  }

  #object(value: object | null, depth: number): void {
    if (value === null) {
      this.#head(0xc0);
      return;
    }
    if (value instanceof ArrayBuffer) this.#raw(new Uint8Array(value));
    else if (ArrayBuffer.isView(value))
      this.#raw(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else if (value instanceof Blob) this.#blob(value);
    else if (isDate(value)) this.#string(String(value));
    else if (depth >= VALUE_DEPTH_MAX)
      throw invalid(`A value deeper than ${VALUE_DEPTH_MAX}, or one that holds itself.`);
    else if (Array.isArray(value)) this.#array(value as unknown[], depth);
    else if (value instanceof Map || value instanceof Set || value instanceof Promise)
      throw invalid(`A ${value.constructor.name} cannot be sent over PeerJS. Send an array or an object.`);
    else this.#map(value, depth);
  }

  #array(values: readonly unknown[], depth: number): void {
    this.#sized(values.length, 0x90, 0xdc);
    // By index: an empty place is undefined, as the stock client has it.
    for (let i = 0; i < values.length; i++) this.write(values[i], depth + 1);
  }

  #map(value: object, depth: number): void {
    const entries = Object.entries(value);
    this.#sized(entries.length, 0x80, 0xde);
    for (const [key, each] of entries) {
      // The stock client would make it the object's prototype.
      if (key === "__proto__") throw invalid('A key "__proto__" cannot be sent over PeerJS.');
      this.write(key, depth);
      this.write(each, depth + 1);
    }
  }

  /** The stock client packs an int64 that it reads wrong, and its doubles are right for every number but these three kinds. */
  #number(value: number): void {
    if (Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 32) {
      this.#integer(value);
      return;
    }
    if (Number.isNaN(value) || Math.abs(value) < NORMAL_MIN)
      throw invalid(`PeerJS cannot carry the number ${value}: it would arrive as another one.`);
    this.#head(0xcb, 8);
    this.#view.setFloat64(this.#length - 8, value);
  }

  #integer(value: number): void {
    if (value >= -0x20 && value < 0x80) this.#head(value & 0xff);
    else if (value >= 0 && value < 0x100) {
      this.#head(0xcc, 1);
      this.#view.setUint8(this.#length - 1, value);
    } else if (value >= -0x80 && value < 0) {
      this.#head(0xd0, 1);
      this.#view.setInt8(this.#length - 1, value);
    } else if (value >= 0 && value < 0x1_0000) {
      this.#head(0xcd, 2);
      this.#view.setUint16(this.#length - 2, value);
    } else if (value >= -0x8000 && value < 0) {
      this.#head(0xd1, 2);
      this.#view.setInt16(this.#length - 2, value);
    } else if (value >= 0) {
      this.#head(0xce, 4);
      this.#view.setUint32(this.#length - 4, value);
    } else {
      this.#head(0xd2, 4);
      this.#view.setInt32(this.#length - 4, value);
    }
  }

  #string(text: string): void {
    if (!text.isWellFormed())
      throw invalid("A string with half a surrogate pair would arrive as another one: toWellFormed() first.");
    // Before it is encoded: a string of 2^29 characters would take 1.5 GB.
    if (text.length > this.#bytesMax) throw this.#tooLarge();
    const bytes = utf8(text);
    this.#sized(bytes.length, 0xb0, 0xd8);
    this.#append(bytes);
  }

  #raw(bytes: Uint8Array): void {
    this.#sized(bytes.length, 0xa0, 0xda);
    this.#append(bytes);
  }

  #blob(blob: Blob): void {
    this.#sized(blob.size, 0xa0, 0xda);
    this.#flush();
    this.#parts.push(blob);
    this.#count(blob.size);
  }

  /** Up to 15 in the code itself, then 16 bits behind `code16`, then 32 behind the next. */
  #sized(size: number, code4: number, code16: number): void {
    if (size < 0x10) this.#head(code4 | size);
    else if (size < 0x1_0000) {
      this.#head(code16, 2);
      this.#view.setUint16(this.#length - 2, size);
    } else if (size < 2 ** 32) {
      this.#head(code16 + 1, 4);
      this.#view.setUint32(this.#length - 4, size);
    } else throw this.#tooLarge();
  }

  /** Writes a code and leaves room behind it. */
  #head(code: number, room = 0): void {
    this.#reserve(HEADER_BYTES_MAX);
    this.#small[this.#length] = code;
    this.#length += 1 + room;
    this.#count(1 + room);
  }

  #append(bytes: Uint8Array): void {
    this.#count(bytes.length);
    if (bytes.length > COPIED_BYTES_MAX) {
      this.#flush();
      this.#parts.push(bytes);
      return;
    }
    this.#reserve(bytes.length);
    this.#small.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#small.length) return;
    const grown = new Uint8Array(2 * (this.#length + bytes));
    grown.set(this.#small.subarray(0, this.#length));
    this.#small = grown;
    this.#view = new DataView(grown.buffer);
  }

  #flush(): void {
    if (this.#length > 0) this.#parts.push(this.#small.slice(0, this.#length));
    this.#length = 0;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#bytesMax) throw this.#tooLarge();
  }

  #tooLarge(): PeerloomError {
    return tooLarge(`A value of more than ${this.#bytesMax} bytes. Send it in pieces.`);
  }
}

/** A Date of whatever window or realm. */
function isDate(value: object): value is Date {
  return Object.prototype.toString.call(value) === "[object Date]";
}

function invalid(message: string): PeerloomError {
  return new PeerloomError("peerjs/value-invalid", message);
}

function tooLarge(message: string): PeerloomError {
  return new PeerloomError("peerjs/too-large", message);
}
