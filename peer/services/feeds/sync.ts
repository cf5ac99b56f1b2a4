/**
 * Keeps a feed equal with its neighbours': heads first, then what is missing, in ranges from all of them at once. Each range is proved
 * against a signed head before it is kept, whoever brought it; who brings what proves nothing is dropped. Where two signed heads
 * contradict each other their writer has forked, and the place is found by halving.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { HashProvider } from "../../runtime.ts";
import {
  decodeForkProof,
  encodeForkProof,
  type ForkProof,
  isForkGenuine,
  makeForkProof,
  outranks,
} from "./fork.ts";
import { type Head, isHeadGenuine } from "./head.ts";
import { type Neighbour, type NeighbourDuties, REQUESTS_MAX } from "./neighbour.ts";
import type { Neighbourhood } from "./neighbourhood.ts";
import type { HeadNotice } from "./protocol.ts";
import { type ProvedRange, proveRange, type Range } from "./range.ts";
import { type Want, Wants } from "./wants.ts";
import type { Comparison, WriterLog } from "./writer-log.ts";

/** Heads whose signatures were checked, so that the same one from many neighbours costs one check. */
const GENUINE_MAX = 1_024;
/** Of ranges that came before those in front of them; past that only what is next is asked for. */
const EARLY_BYTES_MAX: number = 16 * 1024 * 1024;

/** What a feed is to those who synchronise it. */
export interface SyncedFeed {
  readonly address: Uint8Array;
  readonly writers: readonly PeerId[];
  readonly logs: readonly WriterLog[];
  /** So many entries of a writer are worth having. */
  wantedOf(writer: number): number;
  /** So many of those here may be passed on. */
  validOf(writer: number): number;
  forkOf(writer: number): ForkProof | undefined;
  readonly hasRoom: boolean;
  /** Appends a range that fits, and takes in what can be. */
  take(writer: number, range: ProvedRange): Promise<Comparison>;
  /** @returns after the proof has been kept, and the log cut */
  cut(proof: ForkProof): Promise<void>;
}

interface Early {
  readonly want: Want;
  readonly range: ProvedRange;
  readonly by: Neighbour;
  readonly bytes: number;
}

export class FeedSync implements NeighbourDuties {
  readonly #feed: SyncedFeed;
  readonly #hash: HashProvider;
  readonly #neighbourhood: Pick<Neighbourhood, "all" | "blame">;
  readonly #wants = new Wants();
  readonly #early = new Map<number, Early[]>();
  readonly #draining = new Set<number>();
  readonly #genuine = new Set<string>();
  readonly #searching = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  #earlyBytes = 0;
  #isClosed = false;

  constructor(feed: SyncedFeed, hash: HashProvider, neighbourhood: Pick<Neighbourhood, "all" | "blame">) {
    this.#feed = feed;
    this.#hash = hash;
    this.#neighbourhood = neighbourhood;
  }

  /** Everything that is known, to one who has just come. */
  met(neighbour: Neighbour): void {
    for (const writer of this.#feed.logs.keys()) {
      const proof = this.#feed.forkOf(writer);
      if (proof !== undefined) neighbour.tellFork(writer, encodeForkProof(proof));
    }
    neighbour.tellHeads(this.#feed.logs.keys());
  }

  /** More of these writers may be passed on than before, or less. */
  changed(writers: Iterable<number>): void {
    const list = [...writers];
    for (const neighbour of this.#neighbourhood.all) neighbour.tellHeads(list);
    this.pump();
  }

  /** The longest log of a writer that somebody can give. */
  longest(writer: number): number {
    return Math.max(0, ...this.#neighbourhood.all.map(({ told }) => told.get(writer)?.have ?? 0));
  }

  /** Resolves when nothing is under way; the neighbours must be gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Asks for what is missing, from whoever has it and has room for a question. */
  pump(): void {
    if (this.#isClosed || !this.#feed.hasRoom) return;
    for (let isAsking = true; isAsking;) {
      isAsking = false;
      // One question each in turn, so that the work is spread.
      for (const neighbour of this.#neighbourhood.all) {
        const want = neighbour.owed < REQUESTS_MAX ? this.#wantOf(neighbour) : undefined;
        if (want === undefined) continue;
        isAsking = true;
        this.#run(this.#fetch(neighbour, want));
      }
    }
  }

  // --- what neighbours say ---

  notices(writers: Iterable<number>): readonly HeadNotice[] {
    const notices: HeadNotice[] = [];
    for (const writer of writers) {
      const head = this.#feed.logs[writer]?.head;
      if (head !== undefined) notices.push({ writer, head, have: this.#feed.validOf(writer) });
    }
    return notices;
  }

  async heads(from: Neighbour, heads: readonly HeadNotice[]): Promise<void> {
    for (const { writer, head, have } of heads) {
      if (!(await this.#isGenuine(writer, head))) {
        this.#neighbourhood.blame(from, "a head that its writer did not sign");
        return;
      }
      const log = this.#feed.logs[writer] as WriterLog;
      if (!(await log.contradicts(head))) continue;
      // Behind a fork that is known they may differ; before it they may not.
      const below = Math.min(have, this.#feed.forkOf(writer)?.seq ?? Infinity);
      if (from.agreed.get(writer) !== below) this.#search(from, writer, below);
    }
    this.pump();
  }

  async fork(from: Neighbour, bytes: Uint8Array): Promise<void> {
    const proof = decodeForkProof(bytes);
    if (!outranks(proof, this.#feed.forkOf(proof.writer))) return;
    if (await isForkGenuine(this.#hash, this.#feed.address, this.#feed.writers, proof))
      await this.#cut(proof);
    else this.#neighbourhood.blame(from, "a proof that proves nothing");
  }

  async serve(writer: number, from: number, count: number): Promise<Range | undefined> {
    const to = Math.min(from + count, this.#feed.validOf(writer));
    return from < to ? this.#feed.logs[writer]?.range(from, to) : undefined;
  }

  // --- what is missing ---

  #wantOf(neighbour: Neighbour): Want | undefined {
    const offers = [...neighbour.told.values()].map(({ writer, have }) => ({
      writer,
      here: this.#feed.logs[writer]?.length ?? 0,
      there: Math.min(have, this.#feed.wantedOf(writer)),
    }));
    return this.#wants.take(offers, this.#earlyBytes > EARLY_BYTES_MAX);
  }

  async #fetch(neighbour: Neighbour, want: Want): Promise<void> {
    const range = await this.#proved(neighbour, want.writer, want.from, want.to - want.from);
    this.#wants.release(want);
    if (range === undefined) {
      const notice = neighbour.told.get(want.writer);
      // Until it says more, it has no more.
      if (notice !== undefined && notice.have > want.from)
        neighbour.told.set(want.writer, { ...notice, have: want.from });
    } else {
      const got = { ...want, to: want.from + range.entries.length };
      const bytes = range.entries.reduce((sum, entry) => sum + entry.length, 0);
      this.#wants.cover(got);
      this.#earlyBytes += bytes;
      const early = this.#early.get(want.writer) ?? [];
      early.push({ want: got, range, by: neighbour, bytes });
      this.#early.set(want.writer, early);
      await this.#drain(want.writer);
    }
    this.pump();
  }

  /** A range with its head's signature and its own proof checked. Who sends another is blamed. */
  async #proved(
    neighbour: Neighbour,
    writer: number,
    from: number,
    count: number,
  ): Promise<ProvedRange | undefined> {
    const range = await neighbour.request(writer, from, count);
    if (range === undefined) return undefined;
    const proved = range.from === from ? await proveRange(this.#hash, range) : undefined;
    if (proved !== undefined && (await this.#isGenuine(writer, range.head))) return proved;
    this.#neighbourhood.blame(neighbour, "entries that no signature certifies");
    return undefined;
  }

  /** Appends what is next, as long as there is something. */
  async #drain(writer: number): Promise<void> {
    if (this.#draining.has(writer)) return;
    this.#draining.add(writer);
    try {
      for (
        let next = this.#nextOf(writer);
        next !== undefined && !this.#isClosed;
        next = this.#nextOf(writer)
      ) {
        this.#early.set(
          writer,
          (this.#early.get(writer) ?? []).filter((each) => each !== next),
        );
        this.#earlyBytes -= next.bytes;
        const { length } = this.#feed.logs[writer] as WriterLog;
        let fits: Comparison = "fits";
        try {
          if (next.want.to > length) fits = await this.#feed.take(writer, next.range);
        } finally {
          this.#wants.release(next.want);
        }
        if (fits !== "fits") this.#search(next.by, writer, fits === "before" ? next.want.from : fits + 1);
      }
    } finally {
      this.#draining.delete(writer);
    }
  }

  #nextOf(writer: number): Early | undefined {
    const { length } = this.#feed.logs[writer] as WriterLog;
    return this.#early.get(writer)?.find(({ want }) => want.from <= length);
  }

  // --- forks ---

  /** What this neighbour has is of another branch: asks it until the first entry that differs is found. */
  #search(neighbour: Neighbour, writer: number, below: number): void {
    const key = `${neighbour.id}/${writer}`;
    if (this.#feed.forkOf(writer) === undefined) neighbour.told.delete(writer);
    if (this.#searching.has(key)) return;
    this.#searching.add(key);
    this.#run(this.#findFork(neighbour, writer, below).finally(() => this.#searching.delete(key)));
  }

  async #findFork(neighbour: Neighbour, writer: number, below: number): Promise<void> {
    const log = this.#feed.logs[writer] as WriterLog;
    let low = 0;
    let high = Math.min(below, log.length);
    // The last first: when that fits all before it does.
    for (let middle = high - 1; low < high; middle = (low + high) >> 1) {
      const theirs = await this.#proved(neighbour, writer, middle, 1);
      if (theirs === undefined) return;
      const fits = log.compare(theirs);
      if (fits === "fits") low = middle + 1;
      else if (fits === "before") high = middle;
      else {
        const proof = await makeForkProof(
          this.#hash,
          writer,
          await log.range(fits, fits + 1),
          withoutProof(theirs),
        );
        if (proof !== undefined) await this.#cut(proof);
        return;
      }
    }
    neighbour.agreed.set(writer, below);
  }

  async #cut(proof: ForkProof): Promise<void> {
    if (!outranks(proof, this.#feed.forkOf(proof.writer))) return;
    await this.#feed.cut(proof);
    const bytes = encodeForkProof(proof);
    for (const neighbour of this.#neighbourhood.all) neighbour.tellFork(proof.writer, bytes);
  }

  // --- plumbing ---

  async #isGenuine(writer: number, head: Head): Promise<boolean> {
    const id = this.#feed.writers[writer];
    if (id === undefined) return false;
    const key = `${writer}/${head.length}/${toHex(head.root)}/${toHex(head.signature)}`;
    if (this.#genuine.has(key)) return true;
    if (!(await isHeadGenuine(this.#feed.address, id, head))) return false;
    this.#genuine.add(key);
    if (this.#genuine.size > GENUINE_MAX) this.#genuine.delete(this.#genuine.keys().next().value as string);
    return true;
  }

  #run(work: Promise<void>): void {
    const running = work
      .catch((error: unknown) => {
        // The feed knows that it cannot store, and asks for no more; nothing else may fail here.
        if (!(error instanceof PeerloomError)) throw error;
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}

/** As it goes over the wire, and into a file. */
function withoutProof({ head, from, entries, left, right }: ProvedRange): Range {
  return { head, from, entries, left, right };
}
