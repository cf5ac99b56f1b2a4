/**
 * Neighbours that are in one topic, and those of them that form its mesh here: who is asked in, let in, sent away, and left alone for a while.
 * What is said in the topic is none of its business.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Random } from "../../runtime.ts";
import type { TopicId } from "./envelope.ts";
import { chooseMesh, FULL_MESH_MAX, MESH_MAX, MESH_WANTED, shuffled } from "./mesh-choice.ts";
import type { GossipNeighbour } from "./neighbour.ts";
import { PEERS_MAX, type TopicMessage } from "./protocol.ts";

/** Who was pruned, or has pruned, is left alone for so long, */
const AWAY_MS = 60_000;
/** and at least for this. */
const AWAY_MS_MIN = 1_000;

export interface MembersOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly topic: TopicId;
  send(to: PeerId, message: TopicMessage): boolean;
  /** A neighbour belongs to the mesh now. */
  entered(id: PeerId): void;
  /** And does not any more. */
  left(id: PeerId): void;
  /** It was not to come again so soon. */
  excess(neighbour: GossipNeighbour): void;
}

interface Member {
  readonly neighbour: GossipNeighbour;
  /** This side asked for it. */
  readonly isOwn: boolean;
}

export class Members {
  readonly #options: MembersOptions;
  readonly #subscribers = new Map<PeerId, GossipNeighbour>();
  readonly #mesh = new Map<PeerId, Member>();
  readonly #away = new Map<PeerId, number>();

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Neighbours that are in the topic. */
  get subscribers(): ReadonlyMap<PeerId, GossipNeighbour> {
    return this.#subscribers;
  }

  /** Those in the mesh. */
  get mesh(): ReadonlyMap<PeerId, unknown> {
    return this.#mesh;
  }

  add(neighbours: readonly GossipNeighbour[]): void {
    for (const neighbour of neighbours) this.#subscribers.set(neighbour.id, neighbour);
    this.balance();
  }

  /** @returns false: it was not there */
  remove(id: PeerId): boolean {
    if (!this.#subscribers.delete(id)) return false;
    this.#leave(id);
    return true;
  }

  /** It asks for a link of the mesh. */
  grafted(neighbour: GossipNeighbour): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#subscribers.set(neighbour.id, neighbour);
    if (this.#mesh.has(neighbour.id)) return;
    const isAway = this.#isAway(neighbour.id, nowMs);
    if (isAway) this.#options.excess(neighbour);
    const isFull = this.#mesh.size >= MESH_MAX && this.#subscribers.size > FULL_MESH_MAX;
    if (isAway || isFull || neighbour.score.value(nowMs) < 0) this.#prune(neighbour.id);
    else this.#enter(neighbour, false);
  }

  pruned(id: PeerId, backoffMs: number): void {
    this.#leave(id);
    this.#away.set(id, this.#options.clock.monotonicMs() + Math.max(backoffMs, AWAY_MS_MIN));
  }

  /** Some of those in the topic, for a neighbour that looks for them. */
  others(than: PeerId): PeerId[] {
    const others = [...this.#subscribers.keys()].filter((id) => id !== than);
    return shuffled(others, this.#options.random).slice(0, PEERS_MAX);
  }

  /** To whom a message goes: the mesh, or as many where there is none. */
  targets(): readonly PeerId[] {
    if (this.#mesh.size > 0) return [...this.#mesh.keys()];
    return shuffled([...this.#subscribers.keys()], this.#options.random).slice(0, MESH_WANTED);
  }

  /** As many as are wanted, and none that is bad. */
  balance(): void {
    const { clock, random, topic, send } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [id, untilMs] of this.#away) if (untilMs <= nowMs) this.#away.delete(id);
    const candidates = [...this.#subscribers.values()].map(({ id, score }) => {
      const member = this.#mesh.get(id);
      return {
        id,
        score: score.value(nowMs),
        isInMesh: member !== undefined,
        isOwn: member?.isOwn ?? false,
        isAway: this.#isAway(id, nowMs),
      };
    });
    const { graft, prune } = chooseMesh(candidates, random);
    for (const id of prune) this.#prune(id);
    for (const id of graft) {
      const neighbour = this.#subscribers.get(id);
      if (neighbour !== undefined && send(id, { kind: "graft", topic })) this.#enter(neighbour, true);
    }
  }

  close(): void {
    for (const { neighbour } of this.#mesh.values()) neighbour.score.meshes -= 1;
  }

  #enter(neighbour: GossipNeighbour, isOwn: boolean): void {
    this.#mesh.set(neighbour.id, { neighbour, isOwn });
    neighbour.score.meshes += 1;
    this.#options.entered(neighbour.id);
  }

  #leave(id: PeerId): void {
    const member = this.#mesh.get(id);
    if (member === undefined) return;
    member.neighbour.score.meshes -= 1;
    this.#mesh.delete(id);
    this.#options.left(id);
  }

  #prune(id: PeerId): void {
    const { clock, topic, send } = this.#options;
    this.#leave(id);
    this.#away.set(id, clock.monotonicMs() + AWAY_MS);
    send(id, { kind: "prune", topic, backoffMs: AWAY_MS, peers: this.others(id) });
  }

  #isAway(id: PeerId, nowMs: number): boolean {
    return (this.#away.get(id) ?? Number.NEGATIVE_INFINITY) > nowMs;
  }
}
