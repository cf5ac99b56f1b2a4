/**
 * Records are looked after by those who hold them: each offers what it has to those of the eight closest that are not known to have it, now and
 * then and when neighbours have changed, gives up what others keep, and hands over in parting. Quiet costs nothing.
 */
import { spreadMs } from "../../overlay/backoff.ts";
import type { MeshKey } from "../../overlay/mesh/mesh-key.ts";
import type { Mesh } from "../../overlay/mesh/mesh.ts";
import type { Clock, Random, Timer } from "../../runtime.ts";
import { OFFERED_MAX, type RecordNote, type Version } from "./protocol.ts";
import type { Shelf, Shelved } from "./shelf.ts";

/** Peers that keep a record. All of them must die inside one sweep to lose it. */
export const REPLICAS = 8;
/** Past so many closer peers a record is given up: they have it. */
export const KEEP_RANK_MAX = 16;
const SWEEP_EVERY_MS = 30_000;
/** After a change of neighbours, so that a few changes are seen together. */
const SWEEP_AFTER_MS = 1_000;
/** What was handed over is offered again after so long, unless it is held by then, and each time that it was not after so many times as long. */
const AGAIN_AFTER_MS = 10_000;
const AGAIN_FACTOR = 4;
/** Handed over in parting. */
const PARTING_MAX = 512;

export interface UpkeepOptions {
  readonly mesh: Pick<Mesh, "closest" | "rankOf" | "has">;
  readonly clock: Clock;
  readonly random: Random;
  readonly shelf: Shelf;
  tell(key: MeshKey, note: RecordNote): void;
  /** Whether a neighbour may bring that record now; if so, it counts as brought. */
  wants(key: MeshKey, slot: number): boolean;
  /** Whether a neighbour takes another record now. */
  takes(key: MeshKey): boolean;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  #sweepTimer: Timer | undefined;
  #soonTimer: Timer | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#planSweep();
  }

  /** Neighbours are others than before. */
  changed(): void {
    const { clock, random, shelf } = this.#options;
    if (shelf.size === 0) return;
    this.#soonTimer ??= clock.setTimer(spreadMs(SWEEP_AFTER_MS, random), () => {
      this.#soonTimer = undefined;
      this.#sweep();
    });
  }

  /** A neighbour has these versions, and may lack others or newer ones. */
  takeOffer(from: MeshKey, versions: readonly Version[]): void {
    const { mesh, shelf, tell, wants } = this.#options;
    const slots: number[] = [];
    const held: number[] = [];
    for (const version of versions) {
      const there = shelf.at(version.slot);
      const difference = there === undefined ? -1 : compare(versionOf(there), version);
      if (there === undefined || difference < 0) {
        // What is too much now is offered again at the next sweep.
        if (wants(from, version.slot)) slots.push(version.slot);
        continue;
      }
      if (difference === 0) noteHeld(there, from);
      else tell(from, { kind: "push", id: 0, record: there.record });
      held.push(version.slot);
    }
    if (mesh.has(from)) tell(from, { kind: "want", slots, held });
  }

  /** What a neighbour has of an offer, and what it wants. */
  takeWant(from: MeshKey, { slots, held }: Extract<RecordNote, { kind: "want" }>): void {
    const { clock, shelf, tell, takes } = this.#options;
    for (const slot of held) {
      const there = shelf.at(slot);
      if (there !== undefined) noteHeld(there, from);
    }
    for (const slot of slots) {
      const there = shelf.at(slot);
      if (there === undefined || there.holders.has(from) || !this.#isDue(there, from)) continue;
      // One of a version before wants more than it takes.
      if (!takes(from)) return;
      // Only its word at the next offer says that it is kept.
      const times = (there.tried.get(from)?.times ?? 0) + 1;
      there.tried.set(from, { times, atMs: clock.monotonicMs() });
      tell(from, { kind: "push", id: 0, record: there.record });
    }
  }

  /** This peer leaves. */
  handOver(): void {
    const { mesh, shelf, tell } = this.#options;
    let left = PARTING_MAX;
    for (const { record, place, holders } of shelf.entries()) {
      for (const key of mesh.closest(place, REPLICAS)) {
        if (left === 0) return;
        if (holders.has(key)) continue;
        left -= 1;
        tell(key, { kind: "push", id: 0, record });
      }
    }
  }

  close(): void {
    this.#sweepTimer?.cancel();
    this.#soonTimer?.cancel();
  }

  #planSweep(): void {
    const { clock, random } = this.#options;
    this.#sweepTimer = clock.setTimer(spreadMs(SWEEP_EVERY_MS, random), () => {
      this.#planSweep();
      this.#sweep();
    });
  }

  /** Offers what others should have, gives up what is others' to keep, and forgets what is over. */
  #sweep(): void {
    const { mesh, clock, shelf, tell } = this.#options;
    shelf.expire(clock.nowMs());
    const offers = new Map<MeshKey, Version[]>();
    for (const shelved of [...shelf.entries()]) {
      const lacking = mesh.closest(shelved.place, REPLICAS).filter((key) => !shelved.holders.has(key));
      for (const key of lacking) {
        if (!this.#isDue(shelved, key)) continue;
        const versions = offers.get(key) ?? [];
        offers.set(key, versions);
        versions.push(versionOf(shelved));
      }
      if (lacking.length === 0 && mesh.rankOf(shelved.place) >= KEEP_RANK_MAX) shelf.delete(shelved);
    }
    for (const [key, versions] of offers) {
      for (let i = 0; i < versions.length; i += OFFERED_MAX)
        tell(key, { kind: "offer", versions: versions.slice(i, i + OFFERED_MAX) });
    }
  }

  /** Whether a neighbour may be offered it (again): it may have no room, or none for this record ever. */
  #isDue({ tried }: Shelved, key: MeshKey): boolean {
    const last = tried.get(key);
    if (last === undefined) return true;
    const pauseMs = AGAIN_AFTER_MS * AGAIN_FACTOR ** (last.times - 1);
    return this.#options.clock.monotonicMs() >= last.atMs + pauseMs;
  }
}

/** A neighbour has this version. */
function noteHeld({ holders, tried }: Shelved, by: MeshKey): void {
  holders.add(by);
  tried.delete(by);
}

function versionOf({ slot, record }: Shelved): Version {
  const seq = record.kind === "mutable" ? record.seq : 0;
  return { slot, seq, expiresAtS: Math.floor(record.expiresAtMs / 1_000) };
}

function compare(a: Version, b: Version): number {
  return a.seq === b.seq ? a.expiresAtS - b.expiresAtS : a.seq - b.seq;
}
