/** Modules that tests run: honest ones, and each way to be a nuisance. */
import { assemble, name, pair, vector } from "./assembler.ts";

/** Gives its input back. */
export const echo: Uint8Array = assemble({ run: pair("local.get 0", "local.get 1") });

/** Adds 1 to every byte. */
export const increment: Uint8Array = assemble({
  locals: { i32: 1 },
  run: `
    block loop
      local.get 2 local.get 1 i32.ge_u br_if 1
      local.get 0 local.get 2 i32.add
      local.get 0 local.get 2 i32.add i32.load8_u i32.const 1 i32.add
      i32.store8
      local.get 2 i32.const 1 i32.add local.set 2 br 0
    end end
    ${pair("local.get 0", "local.get 1")}`,
});

/** Counts down from its input (32 bits, little-endian) and gives nothing: takes as long as it is told. */
export const burn: Uint8Array = assemble({
  locals: { i32: 1 },
  run: `
    local.get 0 i32.load local.set 2
    block loop
      local.get 2 i32.eqz br_if 1
      local.get 2 i32.const 1 i32.sub local.set 2 br 0
    end end
    ${pair("local.get 0", "local.get 1")}`,
});

/** Never ends. */
export const spin: Uint8Array = assemble({ run: "loop br 0 end unreachable" });

/** Takes memory until there is none, and traps then. */
export const hog: Uint8Array = assemble({
  run: `loop i32.const 1 memory.grow 0 i32.const -1 i32.eq i32.eqz br_if 0 end unreachable`,
});

/** Takes memory for ever, whatever it is told. */
export const glutton: Uint8Array = assemble({
  run: "loop i32.const 1 memory.grow 0 drop br 0 end unreachable",
});

/** Grows by so many pages as its input's first byte says, and gives 1 when that was refused, else 0. */
export const grower: Uint8Array = assemble({
  run: `
    local.get 0
    local.get 0 i32.load8_u memory.grow 0 i32.const -1 i32.eq
    i32.store8
    ${pair("local.get 0", "i32.const 1")}`,
});

export const trap: Uint8Array = assemble({ run: "unreachable" });

/** Calls itself for ever. */
export const diver: Uint8Array = assemble({ run: "local.get 0 local.get 1 call 1" });

/** Traps when the input's first byte is 1, else gives it back. */
export const trapOnOne: Uint8Array = assemble({
  run: `
    local.get 0 i32.load8_u i32.const 1 i32.eq if unreachable end
    ${pair("local.get 0", "local.get 1")}`,
});

/** Says that its output has 1 GiB. */
export const chatterbox: Uint8Array = assemble({ run: pair("i32.const 0", "i32.const 1073741824") });

/** Says that its output lies outside of its memory. */
export const liar: Uint8Array = assemble({ run: pair("i32.const -16", "i32.const 64") });

/** Gives how often it has run in this instance, in one byte. */
export const counter: Uint8Array = assemble({
  run: `
    i32.const 0 i32.const 0 i32.load8_u i32.const 1 i32.add i32.store8
    ${pair("i32.const 0", "i32.const 1")}`,
});

/** Never ends, before anything of it is called. */
export const spinAtStart: Uint8Array = assemble({
  run: pair("local.get 0", "local.get 1"),
  start: "loop br 0 end",
});

/** Asks for the clock. */
export const importer: Uint8Array = assemble({
  run: pair("local.get 0", "local.get 1"),
  extra: [{ id: 2, bytes: vector([[...name("env"), ...name("now"), 0, 2]]) }],
});
