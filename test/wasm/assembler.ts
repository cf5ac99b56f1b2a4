/**
 * A tiny assembler for WebAssembly: enough to write the modules of these tests as text, one instruction a word, without a toolchain.
 * https://webassembly.github.io/spec/core/binary/
 */

const I32 = 0x7f;
const I64 = 0x7e;

/** Opcodes by name; what follows an instruction is in `IMMEDIATES`. */
const OPCODES: Readonly<Record<string, number>> = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  return: 0x0f,
  call: 0x10,
  drop: 0x1a,
  "local.get": 0x20,
  "local.set": 0x21,
  "local.tee": 0x22,
  "global.get": 0x23,
  "global.set": 0x24,
  "i32.load": 0x28,
  "i32.load8_u": 0x2d,
  "i32.store": 0x36,
  "i32.store8": 0x3a,
  "memory.size": 0x3f,
  "memory.grow": 0x40,
  "i32.const": 0x41,
  "i64.const": 0x42,
  "f64.const": 0x44,
  "i32.eqz": 0x45,
  "i32.ge_u": 0x4f,
  "i32.lt_u": 0x49,
  "i32.eq": 0x46,
  "f64.gt": 0x64,
  "i32.add": 0x6a,
  "i32.sub": 0x6b,
  "i32.mul": 0x6c,
  "i32.and": 0x71,
  "i32.xor": 0x73,
  "i64.or": 0x84,
  "i64.shl": 0x86,
  "f64.add": 0xa0,
  "f64.sub": 0xa1,
  "f64.mul": 0xa2,
  "f64.div": 0xa3,
  "i64.extend_i32_u": 0xad,
  "f64.convert_i32_u": 0xb8,
};

type Immediate = "block" | "index" | "number32" | "number64" | "double" | "memory" | "zero";
const IMMEDIATES: Readonly<Record<string, Immediate>> = {
  block: "block",
  loop: "block",
  if: "block",
  br: "index",
  br_if: "index",
  call: "index",
  "local.get": "index",
  "local.set": "index",
  "local.tee": "index",
  "global.get": "index",
  "global.set": "index",
  "i32.const": "number32",
  "i64.const": "number64",
  "f64.const": "double",
  "i32.load": "memory",
  "i32.load8_u": "memory",
  "i32.store": "memory",
  "i32.store8": "memory",
  "memory.size": "zero",
  "memory.grow": "zero",
};

export interface ModuleText {
  /** Body of `alloc(n) -> ptr`. @default gives page 1's beginning, grown to fit */
  readonly alloc?: string;
  /** Body of `run(ptr, len) -> i64`, locals 0 and 1. */
  readonly run: string;
  /** Further i32 and f64 locals of `run`, numbered from 2, the i32 first. */
  readonly locals?: { readonly i32?: number; readonly f64?: number };
  readonly memory?: { readonly min: number; readonly max?: number };
  /** Sections put in front of those after the first, raw: for what the assembler has no words for. */
  readonly extra?: readonly { readonly id: number; readonly bytes: readonly number[] }[];
  /** Runs at instantiation: `[] -> []`. */
  readonly start?: string;
}

/** Input lies at the beginning of page 1; memory grows until it fits. */
const ALLOC = `
  block loop
    memory.size 0 i32.const 65536 i32.mul  local.get 0 i32.const 65536 i32.add  i32.ge_u br_if 1
    i32.const 1 memory.grow 0 i32.const -1 i32.eq if unreachable end br 0
  end end
  i32.const 65536`;

/** `ptr << 32 | len` of two locals. */
export const pair = (pointer: string, length: string): string =>
  `${pointer} i64.extend_i32_u i64.const 32 i64.shl ${length} i64.extend_i32_u i64.or`;

export function assemble(text: ModuleText): Uint8Array {
  const { memory = { min: 2 }, extra = [], locals = {} } = text;
  const functions = [functionBody(text.alloc ?? ALLOC, {}), functionBody(text.run, locals)];
  if (text.start !== undefined) functions.push(functionBody(text.start, {}));
  const sections: { readonly id: number; readonly bytes: readonly number[] }[] = [
    {
      id: 1,
      bytes: vector([
        [0x60, 1, I32, 1, I32],
        [0x60, 2, I32, I32, 1, I64],
        [0x60, 0, 0],
      ]),
    },
    { id: 3, bytes: vector(functions.map((_, index) => [index])) },
    { id: 5, bytes: vector([limits(memory)]) },
    {
      id: 7,
      bytes: vector([
        [...name("memory"), 2, 0],
        [...name("alloc"), 0, 0],
        [...name("run"), 0, 1],
      ]),
    },
    ...(text.start === undefined ? [] : [{ id: 8, bytes: [2] }]),
    { id: 10, bytes: vector(functions) },
  ];
  // What is given stands in place of the assembler's own; a tag section (13) comes before the globals (6).
  const order = (id: number): number => (id === 13 ? 5.5 : id);
  const all = [...sections.filter(({ id }) => !extra.some((each) => each.id === id)), ...extra].sort(
    (a, b) => order(a.id) - order(b.id),
  );
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...all.flatMap(({ id, bytes }) => [id, ...unsigned(bytes.length), ...bytes]),
  ]);
}

export function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

export function name(text: string): number[] {
  return vector([...new TextEncoder().encode(text)].map((byte) => [byte]));
}

function limits({ min, max }: { readonly min: number; readonly max?: number }): number[] {
  return max === undefined ? [0, ...unsigned(min)] : [1, ...unsigned(min), ...unsigned(max)];
}

function functionBody(text: string, { i32 = 0, f64 = 0 }: NonNullable<ModuleText["locals"]>): number[] {
  const body = [
    ...vector([
      [...unsigned(i32), I32],
      [...unsigned(f64), 0x7c],
    ]),
    ...instructions(text),
    0x0b,
  ];
  return [...unsigned(body.length), ...body];
}

function instructions(text: string): number[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  const bytes: number[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const opcode = OPCODES[word];
    if (opcode === undefined) throw new Error(`"${word}" is no instruction here`);
    bytes.push(opcode, ...immediate(IMMEDIATES[word], words));
  }
  return bytes;
}

function immediate(kind: Immediate | undefined, words: string[]): number[] {
  if (kind === undefined) return [];
  if (kind === "block") return [0x40];
  // Alignment 0, no offset.
  if (kind === "memory") return [0, 0];
  const value = Number(words.shift());
  if (kind === "index" || kind === "zero") return unsigned(value);
  if (kind === "double") return [...new Uint8Array(new Float64Array([value]).buffer)];
  return signed(BigInt(value));
}

function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...unsigned(Math.floor(value / 128))];
}

function signed(value: bigint): number[] {
  const low = Number(value & 0x7fn);
  const rest = value >> 7n;
  const isLast = (rest === 0n && low < 64) || (rest === -1n && low >= 64);
  return isLast ? [low] : [low + 128, ...signed(rest)];
}
