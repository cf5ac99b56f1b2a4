/** Modules from strangers: what may run, what is refused and by which code, and that a bound holds once it is written. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkModule, MODULE_BYTES_MAX } from "../../../peer/services/compute/module-check.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { assemble, name, vector } from "../../wasm/assembler.ts";
import { echo, importer, increment } from "../../wasm/modules.ts";

function codeOf(bytes: Uint8Array, pages = 256): string {
  try {
    checkModule(bytes).bound(pages);
    return "none";
  } catch (error) {
    return error instanceof PeerloomError ? error.code : `untyped: ${String(error)}`;
  }
}

const run = "unreachable";
const FUNCREF = 0x70;

const section = (id: number, ...items: number[][]): Uint8Array =>
  assemble({ run, extra: [{ id, bytes: vector(items) }] });

/** The bound of the memory that an instance of the bounded module really has, pages. */
function growsTo(module: Uint8Array, pages: number): number {
  const instance = new WebAssembly.Instance(
    new WebAssembly.Module(Uint8Array.from(checkModule(module).bound(pages))),
  );
  const memory = instance.exports["memory"] as WebAssembly.Memory;
  for (;;) {
    try {
      memory.grow(1);
    } catch {
      return memory.buffer.byteLength / 65_536;
    }
  }
}

test.each([
  ["without a maximum", { min: 2 }, 5, 5],
  ["with one above", { min: 1, max: 65_536 }, 300, 300],
  ["with one below", { min: 1, max: 3 }, 300, 3],
  ["that begins with all it may have", { min: 4, max: 9 }, 4, 4],
])("a memory %s ends at its bound", (_, memory, pages, expected) => {
  expect(growsTo(assemble({ run, memory }), pages)).toBe(expected);
});

test("an honest module is told by what it declares, and runs once it is bounded", () => {
  expect(checkModule(assemble({ run, memory: { min: 2, max: 7 } }))).toMatchObject({
    pagesMin: 2,
    pagesMax: 7,
  });
  for (const module of [echo, increment]) {
    expect(codeOf(module)).toBe("none");
    expect(WebAssembly.validate(Uint8Array.from(checkModule(module).bound(20)))).toBe(true);
  }
});

test("custom sections may stand anywhere", () => {
  const custom = [0, 4, 3, 0x61, 0x62, 0x63];
  const bytes = Uint8Array.from([...echo.subarray(0, 8), ...custom, ...echo.subarray(8), ...custom]);
  expect(codeOf(bytes)).toBe("none");
  expect(growsTo(bytes, 5)).toBe(5);
});

test("tables end at 65,536 elements", () => {
  const table = (limits: number[]): Uint8Array => section(4, [FUNCREF, ...limits]);
  expect(codeOf(table([0, 0x80, 0x80, 0x04]))).toBe("none"); // 65,536
  expect(codeOf(table([0, 0x81, 0x80, 0x04]))).toBe("compute/module-refused");
  const bounded = checkModule(
    assemble({
      run,
      extra: [
        { id: 4, bytes: vector([[FUNCREF, 0, 1]]) },
        {
          id: 7,
          bytes: vector([
            [...name("memory"), 2, 0],
            [...name("alloc"), 0, 0],
            [...name("run"), 0, 1],
            [...name("table"), 1, 0],
          ]),
        },
      ],
    }),
  ).bound(10);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bounded)));
  const grown = exports["table"] as WebAssembly.Table;
  expect(grown.grow(65_535)).toBe(1);
  expect(() => grown.grow(1)).toThrow(RangeError);
});

describe("refused", () => {
  const i32 = 0x7f;
  test.each<[string, string, Uint8Array]>([
    ["an import", "compute/module-refused", importer],
    ["shared memory", "compute/module-refused", section(5, [3, 1, 2])],
    ["64-bit memory", "compute/module-refused", section(5, [4, 1])],
    ["pages of another size", "compute/module-refused", section(5, [8, 1, 0])],
    ["two memories", "compute/module-refused", section(5, [0, 1], [0, 1])],
    ["a structure type", "compute/module-refused", section(1, [0x5f, 0])],
    ["an array type", "compute/module-refused", section(1, [0x5e, i32, 0])],
    ["a recursive type", "compute/module-refused", section(1, [0x4e, 1, 0x60, 0, 0])],
    ["a type that takes a typed reference", "compute/module-refused", section(1, [0x60, 1, 0x63, 0])],
    ["exceptions", "compute/module-refused", section(13, [0, 2])],
    ["a table of typed references", "compute/module-refused", section(4, [0x63, 0, 0, 1])],
    ["a table with an initial value", "compute/module-refused", section(4, [0x40, 0, FUNCREF, 0, 1])],
    ["17 tables", "compute/module-refused", section(4, ...Array.from({ length: 17 }, () => [FUNCREF, 0, 1]))],
    ["more memory than allowed", "compute/memory-limit", assemble({ run, memory: { min: 257 } })],
    ["no memory", "compute/module-invalid", section(5)],
    ["no exports", "compute/module-invalid", section(7)],
    ["memory that is a function", "compute/module-invalid", section(7, [...name("memory"), 0, 0])],
    [
      "run of another type",
      "compute/module-invalid",
      section(7, [...name("memory"), 2, 0], [...name("alloc"), 0, 0], [...name("run"), 0, 0]),
    ],
    [
      "run that is not there",
      "compute/module-invalid",
      section(7, [...name("memory"), 2, 0], [...name("alloc"), 0, 0], [...name("run"), 0, 9]),
    ],
    ["an unknown section", "compute/module-invalid", section(14)],
    ["nothing", "compute/module-invalid", new Uint8Array(0)],
    ["text", "compute/module-invalid", new TextEncoder().encode("(module)")],
    ["a component", "compute/module-invalid", Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0)],
    ["a section twice", "compute/module-invalid", Uint8Array.from([...echo, ...[5, 3, 1, 0, 1]])],
    ["a section that says too much", "compute/module-invalid", Uint8Array.from([...echo, 9, 0x7f])],
    [
      "a number without end",
      "compute/module-invalid",
      Uint8Array.from([...echo, 9, 255, 255, 255, 255, 255, 1]),
    ],
    [
      "bytes left over in a section",
      "compute/module-invalid",
      assemble({ run, extra: [{ id: 5, bytes: [1, 0, 1, 0] }] }),
    ],
    ["too many bytes", "compute/too-large", new Uint8Array(MODULE_BYTES_MAX + 1)],
  ])("%s: %s", (_, code, bytes) => {
    expect(codeOf(bytes)).toBe(code);
  });
});

test("nonsense and damaged modules are refused by code, or run within the bound", () => {
  const damaged = fc
    .tuple(
      fc.constantFrom(echo, increment, importer),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.nat(200),
    )
    .map(([module, changes, cut]) => {
      const bytes = Uint8Array.from(
        cut > 100 ? module : module.subarray(0, Math.max(8, module.length - cut)),
      );
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      expect(codeOf(bytes)).toMatch(/^(none|compute\/(module-invalid|module-refused|memory-limit))$/);
      if (codeOf(bytes) !== "none") return;
      const bounded = Uint8Array.from(checkModule(bytes).bound(256));
      if (!WebAssembly.validate(bounded)) return;
      expect(WebAssembly.Module.imports(new WebAssembly.Module(bounded))).toEqual([]);
    }),
    { numRuns: 3_000 },
  );
});
