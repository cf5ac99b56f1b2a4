/**
 * This peer as one that keeps records. Whoever is closest to a key coordinates: it checks a record, keeps it and has the others of the eight
 * closest keep it too. Later they look after it among themselves (upkeep.ts). Free of promises, as the mesh is, so that the simulator runs it.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { Mesh } from "../../overlay/mesh/mesh.ts";
import type { KeyRequest, MeshService } from "../../overlay/mesh/mesh-service.ts";
import { type MeshKey, meshKeyOf } from "../../overlay/mesh/mesh-key.ts";
import type { Clock, Random, Timer } from "../../runtime.ts";
import type { RecordCheck } from "./check.ts";
import { Dealings } from "./dealings.ts";
import {
  decodeAnswer,
  mayHaveRecords,
  decodeNote,
  decodeRequest,
  encodeAnswer,
  encodeNote,
  type PutStatus,
  type RecordNote,
  type RecordRequest,
} from "./protocol.ts";
import { type ImmutableRecord, isNewer, isSame, type KeyedRecord } from "./record.ts";
import { Shelf, slotOfRecord, type Wanted } from "./shelf.ts";
import { KEEP_RANK_MAX, REPLICAS, Upkeep } from "./upkeep.ts";

/** Enough to answer the writer. */
export const COPIES_ENOUGH = 5;
/** The slowest of the others is not waited for longer. */
const RECEIPTS_WAIT_MS = 1_500;
/** A peer that has just come asks those beside it. */
const FETCH_WAIT_MS = 600;
const FETCH_FROM = 3;
/** Puts and fetches under way; past that newcomers are told to come again. */
const PENDING_MAX = 512;
/** Records checked at one time. */
const CHECKS_MAX = 256;
/** Values of immutable records that have passed, kept for those who ask next. */
const CACHE_MAX = 512;
const CACHE_MS = 60_000;

export interface HolderOptions {
  readonly mesh: Mesh;
  readonly clock: Clock;
  readonly random: Random;
  readonly check: RecordCheck;
}

interface PendingPut {
  readonly record: KeyedRecord;
  readonly awaited: Set<MeshKey>;
  /** Of those, who has shown another record, which is being checked. */
  readonly showing: Set<MeshKey>;
  copies: number;
  readonly timer: Timer;
  done(status: PutStatus, copies: number, current?: KeyedRecord): void;
}

interface PendingFetch {
  readonly awaited: Set<MeshKey>;
  readonly timer: Timer;
  done(): void;
}

export class RecordHolder implements MeshService {
  readonly shelf: Shelf;
  readonly #options: HolderOptions;
  readonly #upkeep: Upkeep;
  readonly #puts = new Map<number, PendingPut>();
  readonly #fetches = new Map<number, PendingFetch>();
  readonly #cache = new Map<string, { readonly record: ImmutableRecord; readonly untilMs: number }>();
  readonly #dealings: Dealings;
  #nextId = 1;
  #checking = 0;
  #closed = false;
  /** Records and requests that were refused: forged, expired, misplaced, too many. */
  refused = 0;

  constructor(options: HolderOptions) {
    this.#options = options;
    this.shelf = new Shelf(options.mesh.key);
    this.#dealings = new Dealings(options.clock);
    this.#upkeep = new Upkeep({
      ...options,
      shelf: this.shelf,
      tell: (key, note) => this.#tell(key, note),
      wants: (key, slot) => this.#dealings.want(key, slot),
      takes: (key) => this.#dealings.takes(key),
    });
  }

  close(): void {
    this.#closed = true;
    this.#upkeep.close();
    for (const { timer } of [...this.#puts.values(), ...this.#fetches.values()]) timer.cancel();
    this.#puts.clear();
    this.#fetches.clear();
  }

  // --- what the overlay brings ---

  serve(request: KeyRequest, answer: (body: Uint8Array) => void): boolean {
    let asked: RecordRequest;
    try {
      asked = decodeRequest(request.body);
    } catch (error) {
      if (!(error instanceof PeerloomError)) throw error;
      this.refused += 1;
      return true; // Nobody else makes more of it.
    }
    return asked.kind === "put"
      ? this.#servePut(request, asked, answer)
      : this.#serveGet(request, asked, answer);
  }

  receive(from: MeshKey, bytes: Uint8Array): void {
    const note = decodeNote(bytes);
    if (note === undefined) this.refused += 1;
    else if (!this.#closed) this.#operate(from, note);
  }

  passed(body: Uint8Array): void {
    if (!mayHaveRecords(body)) return;
    const answer = decodeAnswer(body);
    if (answer?.kind !== "get" || answer.records.length !== 1) return;
    const [record] = answer.records;
    if (record?.kind !== "immutable" || this.#cache.has(toHex(record.key))) return;
    this.#checked(record, () => {
      const untilMs = this.#options.clock.monotonicMs() + CACHE_MS;
      this.#cache.set(toHex(record.key), { record, untilMs });
      if (this.#cache.size > CACHE_MAX) this.#cache.delete(this.#cache.keys().next().value as string);
    });
  }

  changed(gone: MeshKey | undefined): void {
    if (gone !== undefined) {
      this.#dealings.delete(gone);
      for (const { holders, tried } of this.shelf.entries()) {
        holders.delete(gone);
        tried.delete(gone);
      }
      for (const pending of [...this.#puts.values()]) this.#answered(pending, gone, false);
      for (const pending of [...this.#fetches.values()]) this.#fetched(pending, gone);
    }
    if (!this.#closed) this.#upkeep.changed();
  }

  leave(): void {
    this.#upkeep.handOver();
  }

  // --- requests ---

  #servePut(
    { ends, from, origin }: KeyRequest,
    { record, cas }: Extract<RecordRequest, { kind: "put" }>,
    answer: (body: Uint8Array) => void,
  ): boolean {
    const isHere = this.#options.mesh.rankOf(meshKeyOf(record.key)) < REPLICAS;
    if (!ends && !isHere) return false;
    const reply = (status: PutStatus, copies: number, current?: KeyedRecord): void =>
      answer(encodeAnswer({ kind: "put", status, copies, current }));
    if (!isHere) {
      this.refused += 1;
      reply("refused", 0);
    } else if (this.#puts.size >= PENDING_MAX || (from !== undefined && !this.#dealings.bring(from))) {
      reply("busy", 0);
    } else {
      this.#checked(
        record,
        () => this.#coordinate(record, cas, origin, reply),
        () => reply("refused", 0),
      );
    }
    return true;
  }

  #coordinate(
    record: KeyedRecord,
    cas: number | undefined,
    origin: MeshKey,
    reply: (status: PutStatus, copies: number, current?: KeyedRecord) => void,
  ): void {
    const { mesh, clock } = this.#options;
    const [current] = record.kind === "mutable" ? this.#here(record.key, "value") : [];
    // The same put may have come another way before.
    const isThere = current !== undefined && isSame(current, record);
    if (cas !== undefined && current?.kind === "mutable" && current.seq !== cas && !isThere) {
      reply("stale", 0, current);
      return;
    }
    const outcome = this.shelf.put(record, clock.nowMs());
    if (outcome === "stale" || outcome === "conflict") {
      reply("stale", 0, this.shelf.last(slotOfRecord(record)));
      return;
    }
    if (outcome === "full" || outcome === "expired") {
      reply("refused", 0);
      return;
    }
    const others = mesh.closest(meshKeyOf(record.key), REPLICAS - 1);
    // The writer keeps its record too, but is no copy: it may be gone in a moment.
    const awaited = new Set(others.filter((key) => key !== origin));
    const own = origin === mesh.key ? 0 : 1;
    const id = this.#nextId++;
    for (const key of others) this.#tell(key, { kind: "push", id, record });
    if (awaited.size === 0) {
      reply("stored", own);
      return;
    }
    const pending: PendingPut = {
      record,
      awaited,
      showing: new Set(),
      copies: own,
      timer: clock.setTimer(RECEIPTS_WAIT_MS, () => pending.done("stored", pending.copies)),
      done: (status, copies, there) => {
        if (!this.#puts.delete(id)) return;
        pending.timer.cancel();
        reply(status, copies, there);
      },
    };
    this.#puts.set(id, pending);
  }

  #serveGet(
    { ends, from }: KeyRequest,
    { key, wanted }: Extract<RecordRequest, { kind: "get" }>,
    answer: (body: Uint8Array) => void,
  ): boolean {
    const reply = (records: readonly KeyedRecord[]): void => answer(encodeAnswer({ kind: "get", records }));
    const inRegion = this.#options.mesh.rankOf(meshKeyOf(key)) < REPLICAS;
    const here = this.#here(key, wanted);
    // Beyond the closest eight a version may be old, but a hash is a hash.
    if (here.length > 0 && (inRegion || here[0]?.kind === "immutable")) {
      reply(here);
      return true;
    }
    const cached = wanted === "value" ? this.#cached(key) : undefined;
    if (cached !== undefined) {
      reply([cached]);
      return true;
    }
    if (!ends) return false;
    this.#fetch(key, wanted, from, () => reply(this.#here(key, wanted)));
    return true;
  }

  /** Asks a few of those beside this peer, which may have what it, newly come, has not yet. */
  #fetch(key: Uint8Array, wanted: Wanted, asker: MeshKey | undefined, done: () => void): void {
    const { mesh, clock } = this.#options;
    const beside = mesh
      .closest(meshKeyOf(key), FETCH_FROM + 1)
      .filter((each) => each !== asker)
      .slice(0, FETCH_FROM);
    if (beside.length === 0 || this.#fetches.size >= PENDING_MAX) {
      done();
      return;
    }
    const id = this.#nextId++;
    const pending: PendingFetch = {
      awaited: new Set(beside),
      timer: clock.setTimer(FETCH_WAIT_MS, () => pending.done()),
      done: () => {
        if (!this.#fetches.delete(id)) return;
        pending.timer.cancel();
        done();
      },
    };
    this.#fetches.set(id, pending);
    for (const each of beside) this.#tell(each, { kind: "fetch", id, key, wanted });
  }

  #here(key: Uint8Array, wanted: Wanted): KeyedRecord[] {
    return this.shelf.get(key, wanted, this.#options.clock.nowMs());
  }

  #cached(key: Uint8Array): ImmutableRecord | undefined {
    const cached = this.#cache.get(toHex(key));
    if (cached === undefined || cached.untilMs > this.#options.clock.monotonicMs()) return cached?.record;
    this.#cache.delete(toHex(key));
    return undefined;
  }

  // --- notes of neighbours ---

  #operate(from: MeshKey, note: RecordNote): void {
    switch (note.kind) {
      case "push":
        this.#takePush(from, note.id, note.record);
        return;
      case "receipt":
        this.#takeReceipt(from, note);
        return;
      case "offer":
        this.#upkeep.takeOffer(from, note.versions);
        return;
      case "want":
        this.#upkeep.takeWant(from, note);
        return;
      case "fetch":
        this.#tell(from, { kind: "fetched", id: note.id, records: this.#here(note.key, note.wanted) });
        return;
      case "fetched":
        this.#takeFetched(from, note);
        return;
    }
  }

  #takePush(from: MeshKey, id: number, record: KeyedRecord): void {
    const { clock, mesh } = this.#options;
    const answer = (kept: boolean, current?: KeyedRecord): void => {
      if (id !== 0) this.#tell(from, { kind: "receipt", id, kept, current });
      else if (current !== undefined) this.#tell(from, { kind: "push", id: 0, record: current });
    };
    const isAllowed = this.#dealings.bring(from, slotOfRecord(record));
    if (!isAllowed || mesh.rankOf(meshKeyOf(record.key)) >= KEEP_RANK_MAX) {
      answer(false);
      return;
    }
    this.#checked(
      record,
      () => {
        const outcome = this.shelf.put(record, clock.nowMs());
        const slot = slotOfRecord(record);
        const kept = outcome === "stored" || outcome === "known";
        if (kept) this.shelf.at(slot)?.holders.add(from);
        const isOutdated = outcome === "stale" || outcome === "conflict";
        answer(kept, isOutdated ? this.shelf.last(slot) : undefined);
      },
      () => answer(false),
    );
  }

  #takeReceipt(from: MeshKey, { id, kept, current }: Extract<RecordNote, { kind: "receipt" }>): void {
    const pending = this.#puts.get(id);
    if (pending === undefined || !pending.awaited.has(from) || pending.showing.has(from)) return;
    if (current === undefined) {
      if (kept) this.shelf.at(slotOfRecord(pending.record))?.holders.add(from);
      this.#answered(pending, from, kept);
      return;
    }
    // A holder knows better, if what it shows is genuine; until then it has not answered.
    pending.showing.add(from);
    const isLying = (): void => this.#answered(pending, from, false);
    this.#checked(
      current,
      () => {
        if (!equalBytes(current.key, pending.record.key) || !isNewer(current, pending.record)) isLying();
        else {
          this.shelf.put(current, this.#options.clock.nowMs());
          pending.done("stale", 0, current);
        }
      },
      isLying,
    );
  }

  #answered(pending: PendingPut, from: MeshKey, kept: boolean): void {
    if (!pending.awaited.delete(from)) return;
    if (kept) pending.copies += 1;
    if (pending.copies >= COPIES_ENOUGH || pending.awaited.size === 0) pending.done("stored", pending.copies);
  }

  #takeFetched(from: MeshKey, { id, records }: Extract<RecordNote, { kind: "fetched" }>): void {
    const pending = this.#fetches.get(id);
    if (pending === undefined || !pending.awaited.has(from)) return;
    let unchecked = records.length;
    if (unchecked === 0) this.#fetched(pending, from);
    const one = (isValid: boolean, record: KeyedRecord): void => {
      if (isValid) this.shelf.put(record, this.#options.clock.nowMs());
      unchecked -= 1;
      // The first that has something is believed, for it was checked.
      if (isValid && unchecked === 0) pending.done();
      else if (unchecked === 0) this.#fetched(pending, from);
    };
    for (const record of records) {
      this.#checked(
        record,
        () => one(true, record),
        () => one(false, record),
      );
    }
  }

  #fetched(pending: PendingFetch, from: MeshKey): void {
    if (!pending.awaited.delete(from)) return;
    if (pending.awaited.size === 0) pending.done();
  }

  #tell(key: MeshKey, note: RecordNote): void {
    const isTold = this.#options.mesh.tell(key, encodeNote(note));
    if (isTold && note.kind === "push") this.#dealings.gave(key);
  }

  #checked(record: KeyedRecord, valid: () => void, invalid: () => void = () => {}): void {
    if (this.#checking >= CHECKS_MAX) {
      invalid();
      return;
    }
    this.#checking += 1;
    this.#options.check.check(record, (isValid) => {
      this.#checking -= 1;
      if (this.#closed) return;
      if (isValid) valid();
      else {
        this.refused += 1;
        invalid();
      }
    });
  }
}
