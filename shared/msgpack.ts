/**
 * The part of msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) that messages are made of: null, booleans, numbers, text,
 * bytes, arrays, maps with text for keys; no extensions. Each value has one encoding, the shortest. What is decoded was
 * scanned before (codec.ts), so that nothing here can run past the end, too deep or into what is not allowed.
 */
import { utf8, utf8Decode } from "./bytes.ts";
import { PeerloomError } from "./errors.ts";

/** Kept for the next message; a longer one gets memory of its own. */
const POOLED_BYTES = 8_192;
/** Shorter text is written and read character by character: a TextDecoder's call costs more than that. */
const SHORT_TEXT = 24;

/** Encodes one value into memory of its own. @throws PeerloomError `internal/assertion` for what no message is made of */
export function pack(value: unknown): Uint8Array {
  const packer = idle ?? new Packer();
  // A getter may pack something itself meanwhile.
  idle = undefined;
  packer.length = 0;
  packer.value(value);
  const packed = packer.bytes.slice(0, packer.length);
  if (packer.bytes.length <= POOLED_BYTES) idle = packer;
  return packed;
}

/** Decodes what `scan` has let through. Bytes are copies. */
export function unpack(bytes: Uint8Array): unknown {
  return new Unpacker(bytes).value();
}

class Packer {
  bytes = new Uint8Array(POOLED_BYTES);
  length = 0;
  #view = new DataView(this.bytes.buffer);

  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.#text(value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        this.#head(value ? 0xc3 : 0xc2);
        return;
      case "bigint":
        this.#bigint(value);
        return;
      case "object":
        if (value === null) this.#head(0xc0);
        else if (Array.isArray(value)) this.#array(value);
        else if (value instanceof Uint8Array) this.#byteString(value);
        else this.#map(Object.entries(value));
        return;
      default:
        throw new PeerloomError(
          "internal/assertion",
          `A message holds no ${typeof value}. Please report this.`,
        );
    }
  }

  #number(value: number): void {
    if (value >>> 0 === value) {
      if (value < 0x80) this.#head(value);
      else if (value < 0x100) this.#head8(0xcc, value);
      else if (value < 0x1_0000) this.#head16(0xcd, value);
      else this.#head32(0xce, value);
    } else if (value >> 0 === value) {
      if (value >= -0x20) this.#head(value & 0xff);
      else if (value >= -0x80) this.#head8(0xd0, value);
      else if (value >= -0x8000) this.#head16(0xd1, value);
      else this.#head32(0xd2, value);
    } else {
      const at = this.#take(9);
      this.bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
    }
  }

  #bigint(value: bigint): void {
    const at = this.#take(9);
    const isSigned = value < 1n << 63n;
    this.bytes[at] = isSigned ? 0xd3 : 0xcf;
    if (isSigned) this.#view.setBigInt64(at + 1, value);
    else this.#view.setBigUint64(at + 1, value);
  }

  #text(text: string): void {
    if (text.length < SHORT_TEXT && this.#shortAscii(text)) return;
    const bytes = utf8(text);
    const { length } = bytes;
    if (length < 0x20) this.#head(0xa0 | length);
    else if (length < 0x100) this.#head8(0xd9, length);
    else if (length < 0x1_0000) this.#head16(0xda, length);
    else this.#head32(0xdb, length);
    this.#raw(bytes);
  }

  /** @returns false, with nothing written, when it is not ASCII */
  #shortAscii(text: string): boolean {
    const start = this.length;
    const at = this.#take(1 + text.length);
    this.bytes[at] = 0xa0 | text.length;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit >= 0x80) {
        this.length = start;
        return false;
      }
      this.bytes[at + 1 + index] = unit;
    }
    return true;
  }

  #byteString(bytes: Uint8Array): void {
    if (bytes.length < 0x100) this.#head8(0xc4, bytes.length);
    else if (bytes.length < 0x1_0000) this.#head16(0xc5, bytes.length);
    else this.#head32(0xc6, bytes.length);
    this.#raw(bytes);
  }

  #array(items: readonly unknown[]): void {
    if (items.length < 0x10) this.#head(0x90 | items.length);
    else if (items.length < 0x1_0000) this.#head16(0xdc, items.length);
    else this.#head32(0xdd, items.length);
    for (const item of items) this.value(item);
  }

  #map(entries: readonly (readonly [string, unknown])[]): void {
    if (entries.length < 0x10) this.#head(0x80 | entries.length);
    else if (entries.length < 0x1_0000) this.#head16(0xde, entries.length);
    else this.#head32(0xdf, entries.length);
    for (const [key, value] of entries) {
      this.#text(key);
      this.value(value);
    }
  }

  #head(head: number): void {
    const at = this.#take(1);
    this.bytes[at] = head;
  }

  #head8(head: number, value: number): void {
    const at = this.#take(2);
    this.bytes[at] = head;
    this.bytes[at + 1] = value;
  }

  #head16(head: number, value: number): void {
    const at = this.#take(3);
    this.bytes[at] = head;
    this.#view.setUint16(at + 1, value);
  }

  #head32(head: number, value: number): void {
    const at = this.#take(5);
    this.bytes[at] = head;
    this.#view.setUint32(at + 1, value);
  }

  #raw(bytes: Uint8Array): void {
    // First the room: it may be in other memory.
    const at = this.#take(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** Room for so many bytes. @returns where it begins */
  #take(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

let idle: Packer | undefined;

class Unpacker {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): unknown {
    const head = this.#view.getUint8(this.#skip(1));
    if (head <= 0x7f) return head;
    if (head <= 0x8f) return this.#map(head & 0x0f);
    if (head <= 0x9f) return this.#array(head & 0x0f);
    if (head <= 0xbf) return this.#text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#byteString(this.#size(head - 0xc4));
      case 0xca:
        return this.#view.getFloat32(this.#skip(4));
      case 0xcb:
        return this.#view.getFloat64(this.#skip(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#size(head - 0xcc);
      case 0xcf:
        return numberOf(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return this.#view.getInt8(this.#skip(1));
      case 0xd1:
        return this.#view.getInt16(this.#skip(2));
      case 0xd2:
        return this.#view.getInt32(this.#skip(4));
      case 0xd3:
        return numberOf(this.#view.getBigInt64(this.#skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#size(head - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#size(head - 0xdb));
      case 0xde:
      case 0xdf:
        return this.#map(this.#size(head - 0xdd));
      default:
        throw new PeerloomError("wire/malformed", "Malformed message: extension types are not allowed.");
    }
  }

  /** Of 1, 2 or 4 bytes. */
  #size(power: number): number {
    if (power === 0) return this.#view.getUint8(this.#skip(1));
    return power === 1 ? this.#view.getUint16(this.#skip(2)) : this.#view.getUint32(this.#skip(4));
  }

  #skip(count: number): number {
    const at = this.#offset;
    this.#offset += count;
    return at;
  }

  #text(length: number): string {
    const at = this.#skip(length);
    if (length < SHORT_TEXT) {
      let text = "";
      for (let index = at; index < at + length; index++) {
        const unit = this.#bytes[index] as number;
        if (unit >= 0x80) return utf8Decode(this.#bytes.subarray(at, at + length));
        text += String.fromCharCode(unit);
      }
      return text;
    }
    return utf8Decode(this.#bytes.subarray(at, at + length));
  }

  #byteString(length: number): Uint8Array {
    const at = this.#skip(length);
    // Not `slice`: that of a Buffer is a view.
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  #array(count: number): unknown[] {
    const items: unknown[] = [];
    for (let index = 0; index < count; index++) items.push(this.value());
    return items;
  }

  #map(count: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) map[String(this.value())] = this.value();
    return map;
  }
}

/** Past what a number holds exactly it stays what it is, and no field takes it. */
function numberOf(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
