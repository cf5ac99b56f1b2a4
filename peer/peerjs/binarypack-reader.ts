/**
 * Values from `binarypack`. Strangers' bytes: nothing is allocated by a length that was declared, depth and items are counted,
 * what is short, long or unknown is refused whole. Numbers are what was packed, also where the stock client reads another one.
 */
import { utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { VALUE_DEPTH_MAX, VALUE_ITEMS_MAX } from "./limits.ts";

/** What the stock client's values are made of. Bytes come as ArrayBuffer, as they do there. */
export interface Unpacked {
  readonly value: unknown;
  /** Items in it, keys included. */
  readonly items: number;
}

/** @throws PeerloomError `wire/malformed` */
export function unpack(bytes: Uint8Array): Unpacked {
  const reader = new BinaryPackReader(bytes);
  const value = reader.read(0);
  reader.end();
  return { value, items: reader.items };
}

class BinaryPackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;
  items = 0;

  constructor(bytes: Uint8Array) {
    // A Buffer's `slice` would not copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) throw malformed("bytes are left over");
  }

  read(depth: number): unknown {
    this.items += 1;
    if (this.items > VALUE_ITEMS_MAX) throw malformed(`more than ${VALUE_ITEMS_MAX} items`);
    const code = this.#view.getUint8(this.#take(1));
    if (code < 0x80) return code;
    if (code >= 0xe0) return code - 0x100;
    switch (code & 0xf0) {
      case 0x80:
        return this.#map(code & 0x0f, depth);
      case 0x90:
        return this.#array(code & 0x0f, depth);
      case 0xa0:
        return this.#raw(code & 0x0f);
      case 0xb0:
        return this.#string(code & 0x0f);
      default:
        return this.#coded(code, depth);
    }
  }

  #coded(code: number, depth: number): unknown {
    const view = this.#view;
    switch (code) {
      case 0xc0:
        return null;
      case 0xc1:
        return undefined;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return view.getFloat32(this.#take(4));
      case 0xcb:
        return view.getFloat64(this.#take(8));
      case 0xcc:
        return view.getUint8(this.#take(1));
      case 0xcd:
        return this.#size16();
      case 0xce:
        return this.#size32();
      case 0xcf:
        return Number(view.getBigUint64(this.#take(8)));
      case 0xd0:
        return view.getInt8(this.#take(1));
      case 0xd1:
        return view.getInt16(this.#take(2));
      case 0xd2:
        return view.getInt32(this.#take(4));
      case 0xd3:
        return Number(view.getBigInt64(this.#take(8)));
      case 0xd8:
        return this.#string(this.#size16());
      case 0xd9:
        return this.#string(this.#size32());
      case 0xda:
        return this.#raw(this.#size16());
      case 0xdb:
        return this.#raw(this.#size32());
      case 0xdc:
        return this.#array(this.#size16(), depth);
      case 0xdd:
        return this.#array(this.#size32(), depth);
      case 0xde:
        return this.#map(this.#size16(), depth);
      case 0xdf:
        return this.#map(this.#size32(), depth);
      default:
        throw malformed(`the code ${code}`);
    }
  }

  #array(length: number, depth: number): unknown[] {
    this.#descend(depth);
    const values: unknown[] = [];
    for (let i = 0; i < length; i++) values.push(this.read(depth + 1));
    return values;
  }

  #map(length: number, depth: number): object {
    this.#descend(depth);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.read(depth + 1);
      if (typeof key !== "string") throw malformed("a key that is no string");
      const value = this.read(depth + 1);
      // As JSON has it: a key like any other, where an assignment would set the prototype.
      if (key === "__proto__")
        Object.defineProperty(map, key, { value, writable: true, enumerable: true, configurable: true });
      else map[key] = value;
    }
    return map;
  }

  #descend(depth: number): void {
    if (depth >= VALUE_DEPTH_MAX) throw malformed(`deeper than ${VALUE_DEPTH_MAX}`);
  }

  #string(length: number): string {
    const offset = this.#take(length);
    try {
      return utf8Decode(this.#bytes.subarray(offset, offset + length));
    } catch {
      throw malformed("a text that is not UTF-8");
    }
  }

  #raw(length: number): ArrayBuffer {
    const offset = this.#take(length);
    return this.#bytes.slice(offset, offset + length).buffer as ArrayBuffer;
  }

  #size16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  #size32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Where so many bytes begin that are there. */
  #take(bytes: number): number {
    const offset = this.#offset;
    if (this.#bytes.length - offset < bytes) throw malformed("it ends too soon");
    this.#offset = offset + bytes;
    return offset;
  }
}

function malformed(what: string): PeerloomError {
  return new PeerloomError("wire/malformed", `That is no PeerJS value: ${what}.`);
}
