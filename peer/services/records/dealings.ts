/** How many records each neighbour may bring, and how many it may be given: all peers keep to the same figures. */
import { Allowance } from "../../overlay/allowance.ts";
import type { MeshKey } from "../../overlay/mesh/mesh-key.ts";
import type { Clock } from "../../runtime.ts";

/** A second, and at once. */
const WRITES_PER_SECOND = 20;
const WRITES_BURST = 200;

interface Dealing {
  readonly brought: Allowance;
  /** Slots it was asked for. It may bring them besides: they were counted when it was asked. */
  readonly wanted: Set<number>;
  readonly given: Allowance;
}

export class Dealings {
  readonly #clock: Clock;
  readonly #dealings = new Map<MeshKey, Dealing>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A neighbour brings a record, or a request to write one. @returns whether it may */
  bring(from: MeshKey, slot?: number): boolean {
    const { brought, wanted } = this.#with(from);
    return (slot !== undefined && wanted.delete(slot)) || brought.take(this.#clock.monotonicMs());
  }

  /** Whether a neighbour may be asked for a record now; it counts as brought then. */
  want(from: MeshKey, slot: number): boolean {
    const { brought, wanted } = this.#with(from);
    if (!brought.take(this.#clock.monotonicMs())) return false;
    // What was asked for long ago will not come.
    if (wanted.size >= WRITES_BURST) wanted.delete(wanted.values().next().value as number);
    wanted.add(slot);
    return true;
  }

  /** A neighbour was given a record. */
  gave(to: MeshKey): void {
    this.#with(to).given.take(this.#clock.monotonicMs());
  }

  /** Whether it takes another now. */
  takes(to: MeshKey): boolean {
    return this.#with(to).given.left(this.#clock.monotonicMs()) >= 1;
  }

  delete(gone: MeshKey): void {
    this.#dealings.delete(gone);
  }

  #with(key: MeshKey): Dealing {
    const known = this.#dealings.get(key);
    if (known !== undefined) return known;
    const nowMs = this.#clock.monotonicMs();
    const allowance = (): Allowance => new Allowance(WRITES_BURST, WRITES_PER_SECOND, nowMs);
    const dealing: Dealing = { brought: allowance(), wanted: new Set(), given: allowance() };
    this.#dealings.set(key, dealing);
    return dealing;
  }
}
