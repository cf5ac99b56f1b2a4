/**
 * Reads a WebAssembly binary (W3C core specification, section 5) as far as it must be known before it runs: sections, limits and
 * signatures. What is in function bodies is left to the engine's own validation.
 */
import { PeerloomError } from "../../../shared/errors.ts";

export const SECTION = { type: 1, import: 2, function: 3, table: 4, memory: 5, export: 7, tag: 13 } as const;
const SECTION_CUSTOM = 0;
/** `\0asm`, version 1. */
const HEADER: readonly number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const LEB_BYTES_MAX = 5;

export interface Section {
  readonly id: number;
  /** Where its id stands, and where the next section begins. */
  readonly start: number;
  readonly end: number;
  readonly content: ModuleReader;
}

/** Takes values from a part of a module, one after the other. */
export class ModuleReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #offset: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
  }

  get offset(): number {
    return this.#offset;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#end;
  }

  /** @throws PeerloomError `compute/module-invalid`, as all that follow */
  byte(): number {
    return this.#bytes[this.skip(1)] as number;
  }

  /** An unsigned LEB128 of 32 bits. */
  u32(): number {
    let value = 0;
    for (let i = 0; i < LEB_BYTES_MAX; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw invalid("a number is too large");
  }

  /** @returns where the bytes that are passed over begin */
  skip(count: number): number {
    const start = this.#offset;
    if (count > this.#end - start) throw invalid("it is cut short");
    this.#offset += count;
    return start;
  }

  /** A vector of so many bytes, as one character each: names are only compared with ASCII. */
  name(): string {
    const length = this.u32();
    const start = this.skip(length);
    let text = "";
    for (let i = start; i < start + length; i++) text += String.fromCharCode(this.#bytes[i] as number);
    return text;
  }

  /** A vector; every element takes a byte at least, so its length is bounded by the module's. */
  list<T>(read: () => T): T[] {
    const items: T[] = [];
    for (let left = this.u32(); left > 0; left--) items.push(read());
    return items;
  }

  header(): void {
    for (const expected of HEADER)
      if (this.byte() !== expected) throw invalid("it does not begin as a module of version 1 does");
  }

  /** The next section that is no custom one. */
  section(): Section | undefined {
    while (!this.isAtEnd) {
      const start = this.#offset;
      const id = this.byte();
      const size = this.u32();
      const from = this.skip(size);
      const content = new ModuleReader(this.#bytes, from, this.#offset);
      if (id !== SECTION_CUSTOM) return { id, start, end: this.#offset, content };
    }
    return undefined;
  }
}

/** 32 bits as LEB128. */
export function leb128(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

export function invalid(why: string): PeerloomError {
  return new PeerloomError(
    "compute/module-invalid",
    `This is no WebAssembly module that can be run: ${why}. It exports memory, alloc(n: i32) -> i32 and run(pointer: i32, length: i32) -> i64.`,
  );
}
