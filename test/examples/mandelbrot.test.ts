/** The example renders what the same arithmetic gives in JavaScript, on two peers that work. */
import { expect, test } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { openCircle } from "../integration/work.ts";
import { draw, render } from "./mandelbrot.ts";

function expected(width: number, height: number): Uint8Array {
  const picture = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [cr, ci] = [(x * 3.2) / width - 2.2, (y * 2.4) / height - 1.2];
      let [zr, zi, steps] = [0, 0, 0];
      while (steps < 255 && zr * zr + zi * zi <= 4) {
        [zr, zi] = [zr * zr - zi * zi + cr, 2 * zr * zi + ci];
        steps += 1;
      }
      picture[y * width + x] = steps;
    }
  }
  return picture;
}

test("a Mandelbrot set, rendered by other peers", async () => {
  const [peer, a, b] = (await openCircle(3)) as [Peer, Peer, Peer];
  for (const worker of [a, b]) await worker.compute.work({ slots: 1 });
  const [width, height] = [120, 60];
  const picture = await render(peer, width, height);
  expect(draw(picture, width)).toBe(draw(expected(width, height), width));
  expect(picture).toEqual(expected(width, height));
});
