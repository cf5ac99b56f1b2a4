/** What each neighbour is told of the others, which is what look-ahead routing counts on: all of them at first, then changes. */
import type { Clock, Timer } from "../../runtime.ts";
import type { OwnCoordinate } from "./coordinate.ts";
import { DIGEST_ENTRIES_MAX, type DigestEntry } from "./digest.ts";
import type { LinkTable } from "./link-table.ts";
import { encodeMesh, MESH_VERSION } from "./mesh-messages.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";
import type { TableChanges } from "./relayed-news.ts";

/** Changes of the table are told together, and soon: others find a newcomer by them. */
const DELTA_DELAY_MS = 100;
/** Others are told when a neighbour has moved so far, or its round trip has changed by this share. */
const MOVED_MS = 30;
const MOVED_SHARE = 0.5;
const MOVED_AFTER_MS = 120_000;

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly table: LinkTable;
  readonly place: OwnCoordinate;
  send(neighbour: Neighbour, message: Uint8Array, kind: "greet" | "delta"): void;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #changed = new Set<MeshKey>();
  readonly #gone = new Set<MeshKey>();
  #timer: Timer | undefined;
  #closed = false;
  /** Whether this peer introduces newcomers. */
  isBeacon = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Tells one all that there is. */
  greet(neighbour: Neighbour): void {
    const { place } = this.#options;
    const entries = this.#entriesFor(neighbour.key);
    const { isBeacon: beacon } = this;
    const greeting = encodeMesh({
      kind: "greet",
      version: MESH_VERSION,
      beacon,
      place,
      error: place.error,
      entries,
    });
    this.#options.send(neighbour, greeting, "greet");
  }

  /** Where and how far a neighbour is was measured: all are told when that is new, or no longer what they know. */
  located(neighbour: Neighbour): void {
    if (!isNews(neighbour, this.#options.clock.monotonicMs())) return;
    this.#gone.delete(neighbour.key);
    this.#changed.add(neighbour.key);
    this.#plan();
  }

  gone(key: MeshKey): void {
    this.#changed.delete(key);
    this.#gone.add(key);
    // As many as one message may name.
    if (this.#gone.size === DIGEST_ENTRIES_MAX) this.#tellAll();
    else this.#plan();
  }

  /** Tells those that are not told of each change what they do not know yet, as far as it is time; called regularly. */
  catchUp(): void {
    for (const neighbour of this.#options.table.neighbours.values()) this.#tellLate(neighbour);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #plan(): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.setTimer(DELTA_DELAY_MS, () => {
      this.#timer = undefined;
      this.#tellAll();
    });
  }

  #tellAll(): void {
    const changes = { changed: new Set(this.#changed), gone: new Set(this.#gone) };
    this.#changed.clear();
    this.#gone.clear();
    const delta = this.#delta(changes);
    if (delta === undefined) return;
    for (const neighbour of this.#options.table.neighbours.values()) {
      if (neighbour.news === undefined) this.#options.send(neighbour, delta, "delta");
      else {
        neighbour.news.add(changes);
        this.#tellLate(neighbour);
      }
    }
  }

  #tellLate(neighbour: Neighbour): void {
    const changes = neighbour.news?.take(this.#options.clock.monotonicMs());
    const delta = changes && this.#delta(changes);
    if (delta !== undefined) this.#options.send(neighbour, delta, "delta");
  }

  /** Undefined where nothing is left of it. */
  #delta({ changed, gone }: TableChanges): Uint8Array | undefined {
    const { clock, table, place } = this.#options;
    const entries: DigestEntry[] = [];
    for (const key of changed) {
      const neighbour = table.neighbours.get(key);
      if (neighbour !== undefined) entries.push(tell(neighbour, clock.monotonicMs()));
    }
    if (entries.length + gone.size === 0) return undefined;
    return encodeMesh({ kind: "delta", place, entries, gone: [...gone] });
  }

  #entriesFor(reader: MeshKey): DigestEntry[] {
    const { clock, table } = this.#options;
    const entries: DigestEntry[] = [];
    for (const neighbour of table.neighbours.values()) {
      if (neighbour.key !== reader && neighbour.told !== undefined)
        entries.push(tell(neighbour, clock.monotonicMs()));
    }
    return entries;
  }
}

/** What others are told of a neighbour, remembered so that they are told again when it is no longer true. */
function tell(neighbour: Neighbour, nowMs: number): DigestEntry {
  const { key, rttMs } = neighbour;
  const { x, y, height } = neighbour.place;
  neighbour.told = { x, y, height, rttMs, atMs: nowMs };
  return { key, rttMs: Math.round(rttMs), x, y, height };
}

function isNews({ told, place, rttMs }: Neighbour, nowMs: number): boolean {
  if (told === undefined) return true;
  if (nowMs - told.atMs < MOVED_AFTER_MS) return false;
  const movedMs = Math.hypot(told.x - place.x, told.y - place.y) + Math.abs(told.height - place.height);
  return movedMs > MOVED_MS || Math.abs(told.rttMs - rttMs) > Math.max(MOVED_SHARE * told.rttMs, MOVED_MS);
}
