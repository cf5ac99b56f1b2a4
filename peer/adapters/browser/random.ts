/** Randomness from the browser. */
import type { Random } from "../../runtime.ts";

export const browserRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  unit: () => (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32,
};
