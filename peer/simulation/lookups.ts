/** Peers that look for each other and for random keys, spread over a time, and what came of it. */
import { distance } from "../overlay/mesh/mesh-key.ts";
import { quantile, rounded } from "./statistics.ts";
import { isGenuine, type World } from "./world.ts";

export interface LookupFigures {
  readonly count: number;
  /** Answered by the peer looked for, by the first copy of the request. */
  readonly firstTry: number;
  readonly success: number;
  readonly hopsMean: number;
  readonly rttMsP50: number;
  readonly rttMsP99: number;
  /** Of lookups of random keys, those answered by the very closest peer, and by one of the eight. */
  readonly root: number;
  readonly closestEight: number;
}

export class Lookups {
  readonly #world: World;
  readonly #copies: number;
  readonly #hops: number[] = [];
  readonly #rttsMs: number[] = [];
  #asked = 0;
  #firstTry = 0;
  #found = 0;
  #keys = 0;
  #root = 0;
  #eight = 0;

  constructor(world: World, count: number, spanMs: number, copies: number) {
    this.#world = world;
    this.#copies = copies;
    for (let i = 0; i < count; i++) {
      world.clock.setTimer(world.random.unit() * spanMs, () =>
        i % 2 === 0 ? this.#find() : this.#findKey(),
      );
    }
  }

  result(): LookupFigures {
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : rounded(part / whole, 5));
    this.#rttsMs.sort((a, b) => a - b);
    return {
      count: this.#asked + this.#keys,
      firstTry: share(this.#firstTry, this.#asked),
      success: share(this.#found, this.#asked),
      hopsMean: rounded(this.#hops.reduce((sum, each) => sum + each, 0) / Math.max(this.#hops.length, 1), 2),
      rttMsP50: rounded(quantile(this.#rttsMs, 0.5), 0),
      rttMsP99: rounded(quantile(this.#rttsMs, 0.99), 0),
      root: share(this.#root, this.#keys),
      closestEight: share(this.#eight, this.#keys),
    };
  }

  /** One peer looks for another. */
  #find(): void {
    const from = this.#world.pickReady();
    const to = this.#world.pickReady();
    if (from === to) return;
    this.#asked += 1;
    from.mesh.deliver(
      to.key,
      new Uint8Array(16),
      (answer) => {
        // Who dies meanwhile cannot answer, and who asked cannot hear.
        if (!to.alive || !from.alive) this.#asked -= 1;
        else if (answer !== undefined) {
          this.#found += 1;
          if (answer.firstTry) this.#firstTry += 1;
          this.#hops.push(answer.hops);
          this.#rttsMs.push(answer.rttMs);
        }
      },
      { copies: this.#copies, isProved: isGenuine },
    );
  }

  #findKey(): void {
    const from = this.#world.pickReady();
    const target = Math.floor(this.#world.random.unit() * 2 ** 52);
    this.#keys += 1;
    from.mesh.lookup(
      target,
      (found) => {
        if (!from.alive) {
          this.#keys -= 1;
          return;
        }
        const root = found?.[0]?.key;
        if (root === undefined) return;
        const away = distance(root, target);
        let closer = 0;
        for (const peer of this.#world.alive) {
          if (peer.readyAtMs !== undefined && distance(peer.key, target) < away) closer += 1;
        }
        if (closer === 0) this.#root += 1;
        if (closer < 8) this.#eight += 1;
      },
      { copies: this.#copies },
    );
  }
}
