/**
 * When newcomers can be found: some of them are looked for by others, a lookup every tenth of a second from their birth on, and count as findable
 * from the first of three in a row that the first copy of the request brought an answer to.
 */
import { quantile, rounded } from "./statistics.ts";
import type { SimPeer, World } from "./world.ts";

const EVERY_MS = 100;
/** A newcomer that is not found by then counts with this time. */
const UNTIL_MS = 4_000;
const IN_A_ROW = 3;
const LOOKUP_BYTES = 16;

export interface FindableFigures {
  /** Newcomers that were looked for, and lived as long. */
  readonly count: number;
  readonly msP50: number;
  readonly msP95: number;
}

interface Trial {
  readonly found: boolean[];
  /** It lived until all lookups of it were over, answers included. */
  isWhole: boolean;
}

export class Findable {
  readonly #world: World;
  readonly #max: number;
  readonly #trials: Trial[] = [];

  /** @param max newcomers that are looked for */
  constructor(world: World, max: number) {
    this.#world = world;
    this.#max = max;
  }

  /** Begins to look for one that has just been born. */
  watch(peer: SimPeer): void {
    if (this.#trials.length === this.#max) return;
    const found: boolean[] = [];
    const trial: Trial = { found, isWhole: false };
    this.#trials.push(trial);
    this.#world.clock.setTimer(2 * UNTIL_MS, () => (trial.isWhole = peer.alive));
    for (let i = 0; i < UNTIL_MS / EVERY_MS; i++) {
      found.push(false);
      this.#world.clock.setTimer(i * EVERY_MS, () => this.#look(peer, (isFound) => (found[i] = isFound)));
    }
  }

  result(): FindableFigures {
    const whole = this.#trials.filter(({ isWhole }) => isWhole);
    const ms = whole.map(({ found }) => findableAtMs(found)).sort((a, b) => a - b);
    return {
      count: ms.length,
      msP50: rounded(quantile(ms, 0.5), 0),
      msP95: rounded(quantile(ms, 0.95), 0),
    };
  }

  #look(peer: SimPeer, done: (isFound: boolean) => void): void {
    const from = this.#world.pickReady();
    if (from === peer || !peer.alive) return;
    from.mesh.deliver(peer.key, new Uint8Array(LOOKUP_BYTES), (answer) => done(answer?.firstTry === true));
  }
}

function findableAtMs(found: readonly boolean[]): number {
  const index = found.findIndex(
    (_, i) => i + IN_A_ROW <= found.length && found.slice(i, i + IN_A_ROW).every(Boolean),
  );
  return index < 0 ? UNTIL_MS : index * EVERY_MS;
}
