/** One end of a simulated link: reliable and in order, as every real kind of link is. What a path loses, it delivers late. */
import type { Random } from "../runtime.ts";
import { lateByMs } from "../adapters/sim/loss.ts";
import type { SyncClock } from "../adapters/sim/sync-clock.ts";
import type { MeshKey } from "../overlay/mesh/mesh-key.ts";
import type { MeshLink } from "../overlay/mesh/neighbour.ts";
import type { SimPeer } from "./world.ts";

/** Of each message's time, at random. */
const JITTER = 0.1;

/** What a link needs of its world. */
export interface PipeWorld {
  readonly clock: SyncClock;
  readonly random: Random;
  /** Share of packets that are lost. */
  readonly loss: number;
  /** Whether nothing passes between two peers now. */
  isCut(a: SimPeer, b: SimPeer): boolean;
  arrived(pipe: Pipe, message: Uint8Array): void;
}

export class Pipe implements MeshLink {
  readonly key: MeshKey;
  readonly contact: Uint8Array;
  readonly owner: SimPeer;
  readonly peer: SimPeer;
  readonly #world: PipeWorld;
  readonly #oneWayMs: number;
  #lastMs = 0;
  other: Pipe | undefined;
  open = true;

  constructor(world: PipeWorld, owner: SimPeer, peer: SimPeer, oneWayMs: number) {
    this.#world = world;
    this.owner = owner;
    this.peer = peer;
    this.key = peer.key;
    this.contact = peer.contact;
    this.#oneWayMs = oneWayMs;
  }

  send(message: Uint8Array): void {
    if (!this.open) return;
    this.#travel(() => {
      const other = this.other;
      if (other?.open === true && this.peer.alive && !this.#world.isCut(this.owner, this.peer))
        this.#world.arrived(other, message);
    });
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.owner.links.delete(this.key);
    this.#travel(() => {
      if (!this.#world.isCut(this.owner, this.peer)) this.other?.closedByOther();
    });
  }

  closedByOther(): void {
    if (!this.open || !this.owner.alive) return;
    this.open = false;
    this.owner.links.delete(this.key);
    this.owner.mesh.remove(this);
  }

  /** In order, as links are: what follows a lost packet waits for it. */
  #travel(arrive: () => void): void {
    const { clock, random, loss } = this.#world;
    const nowMs = clock.monotonicMs();
    const onTimeMs = this.#oneWayMs * (1 + JITTER * (2 * random.unit() - 1));
    const takesMs = onTimeMs + lateByMs(random, loss, this.#oneWayMs);
    this.#lastMs = Math.max(this.#lastMs, nowMs + takesMs);
    clock.setTimer(this.#lastMs - nowMs, arrive);
  }
}
