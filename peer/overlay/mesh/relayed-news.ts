/** What a neighbour over a relay has not been told yet of the others: at first it is told of each change, later of all together, since each message is billed to somebody. */
import { Allowance } from "../allowance.ts";
import { DIGEST_ENTRIES_MAX } from "./digest.ts";
import type { MeshKey } from "./mesh-key.ts";

/** Tellings: so many at once, and one a minute. */
const AT_ONCE = 8;
const PER_SECOND: number = 1 / 60;

/** Changes of a table: who has come or moved, and who is gone. No key is in both. */
export interface TableChanges {
  readonly changed: ReadonlySet<MeshKey>;
  readonly gone: ReadonlySet<MeshKey>;
}

export class RelayedNews {
  readonly #allowance: Allowance;
  #changed = new Set<MeshKey>();
  #gone = new Set<MeshKey>();

  constructor(nowMs: number) {
    this.#allowance = new Allowance(AT_ONCE, PER_SECOND, nowMs);
  }

  add({ changed, gone }: TableChanges): void {
    for (const key of changed) {
      this.#gone.delete(key);
      this.#changed.add(key);
    }
    for (const key of gone) {
      this.#changed.delete(key);
      this.#gone.add(key);
      // As many as one message may name; whom the oldest names is asked for in vain, and that is all.
      if (this.#gone.size > DIGEST_ENTRIES_MAX) this.#gone.delete(this.#gone.keys().next().value as MeshKey);
    }
  }

  /** @returns what is to be told now, which counts as told; undefined where that is nothing, or has to wait */
  take(nowMs: number): TableChanges | undefined {
    const [changed, gone] = [this.#changed, this.#gone];
    if (changed.size + gone.size === 0 || !this.#allowance.take(nowMs)) return undefined;
    this.#changed = new Set();
    this.#gone = new Set();
    return { changed, gone };
  }
}
