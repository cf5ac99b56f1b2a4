/** Overlay messages as a neighbour that lies would make them. */
import { randomBytes } from "node:crypto";
import type { Forward, Place } from "../../peer/overlay/mesh/mesh-messages.ts";

export const aPlace: Place = { x: 0, y: 0, height: 1 };

/** A request that any peer answers or passes on, changed as wished. */
export function aForward(change: Partial<Forward>): Forward {
  return {
    kind: "forward",
    mid: Math.floor(Math.random() * 2 ** 52),
    target: 5,
    exact: false,
    greedy: false,
    open: true,
    strays: 0,
    ttl: 24,
    budgetMs: 4_000,
    origin: 1,
    promise: 2 ** 52,
    path: [1],
    dead: [],
    body: Uint8Array.from(randomBytes(100)),
    ...change,
  };
}
