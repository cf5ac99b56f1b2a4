/**
 * A picture of the Mandelbrot set, a row a task, on whatever peers of the network work. The module is assembled here from its text; a
 * project of yours would compile it from C, Rust or AssemblyScript to the same interface: `memory`, `alloc`, `run`, no imports.
 */
import type { Peer } from "../../peer/node.ts";
import { assemble, pair } from "../wasm/assembler.ts";

/** Input: row, width, height (32 bits each, little-endian). Output: the steps of each point of the row, a byte each, 255 for those inside. */
export const mandelbrot: Uint8Array = assemble({
  // i32: 2 x, 3 steps, 4 row, 5 width, 6 height, 7 output. f64: 8 cr, 9 ci, 10 zr, 11 zi, 12 next zr.
  locals: { i32: 6, f64: 5 },
  run: `
    local.get 0 i32.load local.set 4
    local.get 0 i32.const 4 i32.add i32.load local.set 5
    local.get 0 i32.const 8 i32.add i32.load local.set 6
    local.get 0 local.get 1 i32.add local.set 7
    local.get 4 f64.convert_i32_u f64.const 2.4 f64.mul local.get 6 f64.convert_i32_u f64.div
    f64.const 1.2 f64.sub local.set 9
    block loop
      local.get 2 local.get 5 i32.ge_u br_if 1
      local.get 2 f64.convert_i32_u f64.const 3.2 f64.mul local.get 5 f64.convert_i32_u f64.div
      f64.const 2.2 f64.sub local.set 8
      f64.const 0 local.set 10  f64.const 0 local.set 11  i32.const 0 local.set 3
      block loop
        local.get 3 i32.const 255 i32.ge_u br_if 1
        local.get 10 local.get 10 f64.mul local.get 11 local.get 11 f64.mul f64.add f64.const 4 f64.gt br_if 1
        local.get 10 local.get 10 f64.mul local.get 11 local.get 11 f64.mul f64.sub local.get 8 f64.add local.set 12
        f64.const 2 local.get 10 f64.mul local.get 11 f64.mul local.get 9 f64.add local.set 11
        local.get 12 local.set 10
        local.get 3 i32.const 1 i32.add local.set 3
        br 0
      end end
      local.get 7 local.get 2 i32.add local.get 3 i32.store8
      local.get 2 i32.const 1 i32.add local.set 2
      br 0
    end end
    ${pair("local.get 7", "local.get 5")}`,
});

/** The picture's bytes, row by row; every row was computed alike by two peers. */
export async function render(peer: Peer, width: number, height: number): Promise<Uint8Array> {
  const picture = new Uint8Array(width * height);
  const rows = Array.from(
    { length: height },
    (_, row) => new Uint8Array(Uint32Array.of(row, width, height).buffer),
  );
  for await (const { index, value } of peer.compute.map(mandelbrot, rows, { copies: 2, agree: 2 }))
    picture.set(value, index * width);
  return picture;
}

/** As text, for a terminal. */
export function draw(picture: Uint8Array, width: number): string {
  const shades = " .:-=+*#%@";
  const shade = (steps: number): string => shades[Math.min(9, Math.floor(Math.log2(steps + 1) * 1.2))] ?? " ";
  return [...picture]
    .map((steps, i) => (i > 0 && i % width === 0 ? `\n${shade(steps)}` : shade(steps)))
    .join("");
}
