/**
 * How a publisher's messages spread, link by link. Small and rare ones are pushed over every link of the mesh: fast, and repeated. Large ones, and
 * those of a busy publisher, follow a tree that grows by itself as in Plumtree: a link that brings what is there already is told to tell only;
 * one that is asked for what it told of pushes from then on. One tree a publisher, bounded.
 */
import type { PeerId } from "../../../shared/ids.ts";

/** Past this a message is never pushed unasked over a link that has not asked before; encoded, bytes. */
export const SMALL_BYTES_MAX = 1_024;
/** Messages of one publisher within `BUSY_WINDOW_MS` past which it counts as busy: a tree of its own is worth while. */
const BUSY_MESSAGES = 3;
const BUSY_WINDOW_MS = 10_000;
/** Trees of one topic; past that the one not used for longest is forgotten, and grows again. */
export const TREES_MAX = 256;
/** A message is expected from the parent for so long after it was told of by another; a large one for longer. */
const PARENT_MS = 150;
const PARENT_LARGE_MS = 500;
const LARGE_BYTES: number = 64 * 1024;

/** Over one link: the message itself, word of it at once, or word of it with others. */
export type Gear = "push" | "tell" | "tell-later";

export class Tree {
  /** Who brought the last message first. */
  parent: PeerId | undefined;
  /** True: asked for; false: asked not to be. */
  readonly #links = new Map<PeerId, boolean>();
  readonly #times: number[] = [];

  /** A message of this publisher has come. */
  note(nowMs: number): void {
    this.#times.push(nowMs);
    if (this.#times.length > BUSY_MESSAGES) this.#times.shift();
  }

  isBusy(nowMs: number): boolean {
    return this.#times.length >= BUSY_MESSAGES && nowMs - (this.#times[0] as number) < BUSY_WINDOW_MS;
  }

  follow(neighbour: PeerId, on: boolean): void {
    this.#links.set(neighbour, on);
  }

  forget(neighbour: PeerId): void {
    this.#links.delete(neighbour);
    if (this.parent === neighbour) this.parent = undefined;
  }

  /** How a message goes over a link. */
  gear(neighbour: PeerId, bytes: number, nowMs: number): Gear {
    const isLarge = bytes > SMALL_BYTES_MAX;
    if (!isLarge && !this.isBusy(nowMs)) return "push";
    if (this.#links.get(neighbour) ?? !isLarge) return "push";
    return isLarge ? "tell" : "tell-later";
  }

  /** Whether a second copy means that its sender should only tell. */
  isTree(bytes: number, nowMs: number): boolean {
    return bytes > SMALL_BYTES_MAX || this.isBusy(nowMs);
  }

  /** How long to wait for the parent before whoever told of a message is asked for it. */
  patienceMs(teller: PeerId, bytes: number): number {
    if (this.parent === undefined || this.parent === teller) return 0;
    return bytes > LARGE_BYTES ? PARENT_LARGE_MS : PARENT_MS;
  }
}

export class Trees {
  readonly #all = new Map<PeerId, Tree>();

  of(publisher: PeerId): Tree {
    const tree = this.#all.get(publisher) ?? new Tree();
    this.#all.delete(publisher);
    this.#all.set(publisher, tree);
    if (this.#all.size > TREES_MAX) this.#all.delete(this.#all.keys().next().value as PeerId);
    return tree;
  }

  /** A neighbour has left the mesh. */
  forget(neighbour: PeerId): void {
    for (const tree of this.#all.values()) tree.forget(neighbour);
  }
}
