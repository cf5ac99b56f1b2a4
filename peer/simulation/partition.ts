/** Half of all peers cut off from the other half, and how long the two take to be one network again. */
import { canLink, type SimPeer, type World } from "./world.ts";

/** Peers of the one half that meet one of the other when the cut is over, as beacons and remembered addresses bring about. */
const INTRODUCTIONS = 3;
/** Where all are behind NATs no two may meet. */
const DRAWS_MAX = 1_000;
/** Lookups across at each look. */
const LOOKUPS = 100;
const LOOK_EVERY_MS = 2_000;
const LOOKUP_MS = 5_500;
const GIVE_UP_MS = 120_000;

export class Partition {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Nothing passes from one half to the other any more; newcomers fall on either side. */
  begin(): void {
    this.#world.isCut = (a, b) => isLeft(a) !== isLeft(b);
  }

  /** @returns ms until a round of lookups across was begun of which all were answered; undefined when that took too long */
  heal(advance: (ms: number) => void): number | undefined {
    const { clock } = this.#world;
    this.#world.isCut = () => false;
    let introduced = 0;
    for (let drawn = 0; introduced < INTRODUCTIONS && drawn < DRAWS_MAX; drawn++) {
      const [left, right] = [this.#pick(true), this.#pick(false)];
      if (!canLink(left, right)) continue;
      this.#world.connect(left, right);
      introduced += 1;
    }
    const healedAtMs = clock.monotonicMs();
    while (clock.monotonicMs() - healedAtMs < GIVE_UP_MS) {
      const begunAtMs = clock.monotonicMs();
      if (this.#isOne(advance)) return begunAtMs - healedAtMs;
      advance(LOOK_EVERY_MS);
    }
    return undefined;
  }

  #isOne(advance: (ms: number) => void): boolean {
    let missing = 0;
    for (let i = 0; i < LOOKUPS; i++) {
      const [from, to] = [this.#pick(i % 2 === 0), this.#pick(i % 2 === 1)];
      from.mesh.deliver(to.key, new Uint8Array(1), (answer) => {
        // Who dies meanwhile cannot answer, and who asked cannot hear.
        if (answer === undefined && from.alive && to.alive) missing += 1;
      });
    }
    advance(LOOKUP_MS);
    return missing === 0;
  }

  #pick(left: boolean): SimPeer {
    for (;;) {
      const peer = this.#world.pickReady();
      if (isLeft(peer) === left) return peer;
    }
  }
}

/** Keys are random, so any bit of them is a coin; this one is low enough to leave both halves all over the key space. */
function isLeft({ key }: SimPeer): boolean {
  return Math.floor(key / 2 ** 24) % 2 === 0;
}
