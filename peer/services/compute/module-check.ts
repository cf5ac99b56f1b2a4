/**
 * What a module may be, checked before anything of it is compiled: no imports, so that it can reach nothing; one plain memory and
 * plain tables, rewritten to end where the job says, so that growth past that fails; no shared memory and none of the
 * proposals by which it could allocate elsewhere (garbage-collected types, exceptions). The same bound holds at every worker, or
 * honest ones would disagree. What stays open: bit patterns of NaN, relaxed SIMD and the depth of the stack differ between engines.
 */
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { invalid, leb128, ModuleReader, SECTION } from "./module-reader.ts";

export const PAGE_BYTES = 65_536;
/** A module, bytes. What is larger carries data that should be input. */
export const MODULE_BYTES_MAX: number = 4 * 1024 * 1024;
/** Elements of one table, 8 bytes each, and tables. */
const TABLE_ELEMENTS_MAX = 65_536;
const TABLES_MAX = 16;

const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;
const I64 = 0x7e;
/** i32, i64, f32, f64, v128, funcref, externref. */
const VALUE_TYPES: ReadonlySet<number> = new Set([I32, I64, 0x7d, 0x7c, 0x7b, 0x70, 0x6f]);
const REFERENCE_TYPES: ReadonlySet<number> = new Set([0x70, 0x6f]);
const KIND = { function: 0, memory: 2 } as const;
const SIGNATURES: Readonly<Record<string, Signature>> = {
  alloc: { parameters: [I32], results: [I32] },
  run: { parameters: [I32, I32], results: [I64] },
};

interface Signature {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
}

interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}

interface Table extends Limits {
  readonly type: number;
}

export interface CheckedModule {
  /** Pages of 64 KiB that it begins with, and that it says it needs at most. */
  readonly pagesMin: number;
  readonly pagesMax: number | undefined;
  /**
   * The module with its memory bounded.
   * @throws PeerloomError `compute/memory-limit` when it begins with more
   */
  bound(pages: number): Uint8Array;
}

/** @throws PeerloomError `compute/module-invalid`, `compute/module-refused`, `compute/too-large` */
export function checkModule(bytes: Uint8Array): CheckedModule {
  if (bytes.length > MODULE_BYTES_MAX) {
    throw new PeerloomError(
      "compute/too-large",
      `The module has ${bytes.length} bytes; ${MODULE_BYTES_MAX} are the most. Give data as input.`,
    );
  }
  const parts = readParts(bytes);
  const [memory] = parts.memories;
  if (memory === undefined) throw invalid("it has no memory");
  checkInterface(parts);
  return {
    pagesMin: memory.min,
    pagesMax: memory.max,
    bound: (pages) => {
      if (memory.min <= pages) return bounded(bytes, parts, pages);
      throw new PeerloomError(
        "compute/memory-limit",
        `The module begins with ${memory.min} pages of memory, ${pages} are allowed. Allow more with memoryPages.`,
      );
    },
  };
}

interface Parts {
  types: readonly Signature[];
  functions: readonly number[];
  tables: readonly Table[];
  memories: readonly Limits[];
  exports: ReadonlyMap<string, { readonly kind: number; readonly index: number }>;
  /** Where the sections stand that are rewritten. */
  readonly places: Map<number, { readonly start: number; readonly end: number }>;
}

function readParts(bytes: Uint8Array): Parts {
  const parts: Parts = {
    types: [],
    functions: [],
    tables: [],
    memories: [],
    exports: new Map(),
    places: new Map(),
  };
  const reader = new ModuleReader(bytes);
  reader.header();
  for (let section = reader.section(); section !== undefined; section = reader.section()) {
    const { id, start, end, content } = section;
    if (id > SECTION.tag) throw invalid(`section ${id} is unknown`);
    if (parts.places.has(id)) throw invalid(`section ${id} comes twice`);
    parts.places.set(id, { start, end });
    const isRead = readSection(id, content, parts);
    if (isRead && !content.isAtEnd) throw invalid(`section ${id} has bytes left over`);
  }
  return parts;
}

/** @returns whether it is one that must be known */
function readSection(id: number, content: ModuleReader, parts: Parts): boolean {
  switch (id) {
    case SECTION.type:
      parts.types = content.list(() => readSignature(content));
      return true;
    case SECTION.import:
      if (content.u32() > 0) throw refused("it asks for imports; a module gets none");
      return true;
    case SECTION.function:
      parts.functions = content.list(() => content.u32());
      return true;
    case SECTION.table:
      parts.tables = content.list(() => readTable(content));
      if (parts.tables.length > TABLES_MAX) throw refused(`it has more than ${TABLES_MAX} tables`);
      return true;
    case SECTION.memory:
      parts.memories = content.list(() => readLimits(content));
      if (parts.memories.length > 1) throw refused("it has more than one memory");
      return true;
    case SECTION.export:
      parts.exports = new Map(
        content.list(() => [content.name(), { kind: content.byte(), index: content.u32() }] as const),
      );
      return true;
    case SECTION.tag:
      throw refused("it throws exceptions");
    default:
      return false;
  }
}

function readSignature(content: ModuleReader): Signature {
  if (content.byte() !== FUNCTION_TYPE) throw refused("it has types other than functions");
  const type = (): number => {
    const value = content.byte();
    if (!VALUE_TYPES.has(value)) throw refused("it has types other than numbers and plain references");
    return value;
  };
  return { parameters: content.list(type), results: content.list(type) };
}

function readTable(content: ModuleReader): Table {
  const type = content.byte();
  if (!REFERENCE_TYPES.has(type)) throw refused("it has a table of something else than plain references");
  const limits = readLimits(content);
  if (limits.min > TABLE_ELEMENTS_MAX)
    throw refused(`it has a table of more than ${TABLE_ELEMENTS_MAX} elements`);
  return { type, ...limits };
}

function readLimits(content: ModuleReader): Limits {
  const flags = content.byte();
  if (flags > 1) throw refused("it has shared or 64-bit memory");
  const min = content.u32();
  return { min, max: flags === 1 ? content.u32() : undefined };
}

function checkInterface({ types, functions, exports }: Parts): void {
  if (exports.get("memory")?.kind !== KIND.memory) throw invalid("it exports no memory");
  for (const [name, wanted] of Object.entries(SIGNATURES)) {
    const found = exports.get(name);
    // Nothing is imported, so functions are numbered as they are declared.
    const type = found?.kind === KIND.function ? types[functions[found.index] ?? types.length] : undefined;
    if (type === undefined) throw invalid(`it exports no function ${name}`);
    const isSame = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();
    if (!isSame(type.parameters, wanted.parameters) || !isSame(type.results, wanted.results))
      throw invalid(`its ${name} takes or gives something else`);
  }
}

/** The bytes with the sections of memory and tables written anew. */
function bounded(bytes: Uint8Array, { tables, memories, places }: Parts, pages: number): Uint8Array {
  const written = new Map<number, number[][]>([
    [SECTION.table, tables.map((table) => [table.type, ...limitBytes(table, TABLE_ELEMENTS_MAX)])],
    [SECTION.memory, memories.map((memory) => limitBytes(memory, pages))],
  ]);
  const pieces: Uint8Array[] = [];
  let kept = 0;
  for (const [id, { start, end }] of [...places].sort(([, a], [, b]) => a.start - b.start)) {
    const items = written.get(id);
    if (items === undefined) continue;
    const content = [...leb128(items.length), ...items.flat()];
    pieces.push(bytes.subarray(kept, start), Uint8Array.from([id, ...leb128(content.length), ...content]));
    kept = end;
  }
  return concatBytes(...pieces, bytes.subarray(kept));
}

function limitBytes({ min, max }: Limits, bound: number): number[] {
  return [1, ...leb128(min), ...leb128(Math.max(min, Math.min(max ?? bound, bound)))];
}

function refused(why: string): PeerloomError {
  return new PeerloomError("compute/module-refused", `The module is not run: ${why}.`);
}
