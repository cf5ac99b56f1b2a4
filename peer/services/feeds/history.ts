/**
 * What counts of all that the logs hold: entries are taken in one after the other, each when everything it links to has been taken in and the
 * rules accept it; from then on it has its place in the order, and the state follows. The rules see the state that the entry's writer could know
 * and nothing else, so that all peers judge alike whatever they have heard besides: a refusal is for ever, and stops that log.
 * A proven fork cuts its writer's log for everybody; all is judged again then, as if the rest had never been.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import type { FeedDefinition } from "./definition.ts";
import { type Entry, type FeedEntry, toFeedEntry } from "./entry.ts";
import { Fold, type Reducer } from "./fold.ts";
import type { ForkProof } from "./fork.ts";
import { type Counts, type FeedHeader, type ForkChoice, Order, type Place } from "./order.ts";
import type { WriterLog } from "./writer-log.ts";
import { orUndefined, PeerloomError } from "../../../shared/errors.ts";

/** Judges an entry by itself and by the state its writer could know. Must depend on nothing else. */
export type Validator<State> = (entry: FeedEntry, state: State) => "accept" | "reject";

export interface Rules<State> {
  readonly initial: State;
  readonly apply: Reducer<State> | undefined;
  readonly validate: Validator<State> | undefined;
  readonly choose: ForkChoice;
}

export interface HistoryOptions<State> {
  readonly definition: FeedDefinition;
  readonly logs: readonly WriterLog[];
  /** What stands before each writer's first entry. */
  readonly genesis: readonly Uint8Array[];
  readonly rules: Rules<State>;
  pause(): Promise<void>;
}

/** What an advance has done. */
export interface Advance {
  readonly writers: ReadonlySet<number>;
  /** Entries that had a place and have another now, or none: from which place on, and how many. */
  readonly moved: { readonly from: number; readonly entries: number } | undefined;
  /** Logs that the rules have stopped. */
  readonly stopped: readonly Place[];
}

interface Candidate {
  readonly place: Place;
  readonly entry: FeedEntry;
  readonly behind: Counts;
  readonly header: FeedHeader;
}

/** The event loop is let in after so many. */
const ENTRIES_AT_ONCE = 1_024;

export class History<State> {
  readonly #options: HistoryOptions<State>;
  readonly #forks: (ForkProof | undefined)[];
  readonly #stopped: (number | undefined)[] = [];
  /** Stopped since the last advance was reported. */
  #newlyStopped: Place[] = [];
  /** What each writer knew after its last entry; only kept for the rules' sake. */
  #known: (State | undefined)[] = [];
  /** What a writer's next entry links to and is not there yet, so that it need not be looked at before. */
  #awaited: ({ readonly writer: number; readonly length: number } | undefined)[] = [];
  #order: Order;
  #fold: Fold<State> | undefined;
  /** Counts the times that places changed, so that whoever goes through the order can notice. */
  reorders = 0;

  constructor(options: HistoryOptions<State>) {
    this.#options = options;
    this.#forks = options.definition.writers.map(() => undefined);
    this.#order = this.#newOrder();
    this.#fold = this.#newFold();
  }

  get order(): Order {
    return this.#order;
  }

  /** As far as it has been brought; `settle` brings it to the end. */
  get state(): State {
    return this.#fold?.state ?? this.#options.rules.initial;
  }

  /** Entries of a writer that count. */
  validOf(writer: number): number {
    return this.#order.countOf(writer);
  }

  /** The entry that the rules refused, when there is one. */
  stoppedAt(writer: number): number | undefined {
    return this.#stopped[writer];
  }

  forkOf(writer: number): ForkProof | undefined {
    return this.#forks[writer];
  }

  get forks(): readonly ForkProof[] {
    return this.#forks.filter((proof) => proof !== undefined);
  }

  /** Entries of a writer that are worth having: those before a fork or a refusal. */
  wantedOf(writer: number): number {
    return Math.min(this.#forks[writer]?.seq ?? Infinity, this.#stopped[writer] ?? Infinity);
  }

  /** An entry that counts. */
  read(place: Place): FeedEntry | Promise<FeedEntry> {
    const log = this.#log(place.writer);
    const present = (entry: Entry | undefined): FeedEntry => {
      if (entry === undefined)
        throw new PeerloomError("feeds/corrupt", "An entry that was taken in cannot be read.");
      return toFeedEntry(this.#options.definition, place.writer, log.hashOf(place.seq), entry);
    };
    const entry = log.entry(place.seq);
    return entry instanceof Promise ? entry.then(present) : present(entry);
  }

  /** Takes in what can be. Not twice at one time. */
  async advance(): Promise<Advance> {
    const writers = new Set<number>();
    const length = this.#order.length;
    let from = length;
    const candidates: (Candidate | undefined)[] = [];
    // Those that wait for others are looked at again whenever something was taken in.
    for (let taken = 0; ; taken++) {
      for (const writer of this.#options.logs.keys()) candidates[writer] ??= await this.#candidate(writer);
      const best = this.#best(candidates);
      if (best === undefined) break;
      candidates[best.place.writer] = undefined;
      if (!(await this.#isAccepted(best))) {
        this.#stop(best.place);
        continue;
      }
      const position = this.#order.add(best.place.writer, best.behind);
      if (position < this.#order.length - 1) {
        this.reorders += 1;
        this.#fold?.rewind(position);
      } else this.#fold?.push(best.place, best.entry);
      from = Math.min(from, position);
      writers.add(best.place.writer);
      if (taken % ENTRIES_AT_ONCE === ENTRIES_AT_ONCE - 1) await this.#options.pause();
    }
    const stopped = this.#newlyStopped;
    this.#newlyStopped = [];
    return { writers, stopped, moved: from < length ? { from, entries: length - from } : undefined };
  }

  /** Brings the state to the end of the order. */
  async settle(): Promise<void> {
    await this.#fold?.catchUp();
  }

  /** Cuts a log where its writer has forked it. The proof has been checked, and outranks the one there was. */
  async cut(proof: ForkProof): Promise<Advance> {
    const before = this.#forks[proof.writer];
    this.#forks[proof.writer] = proof;
    // Nothing of what counts is concerned, and nobody's link is judged otherwise than before.
    if (before?.seq === proof.seq) return { writers: new Set(), stopped: [], moved: undefined };
    const old = this.#order;
    this.reorders += 1;
    this.#order = this.#newOrder();
    this.#fold = this.#newFold();
    this.#known = [];
    this.#awaited = [];
    this.#stopped.length = 0;
    const { writers, stopped } = await this.advance();
    let from = 0;
    const isSame = (a: Place, b: Place): boolean => a.writer === b.writer && a.seq === b.seq;
    while (from < Math.min(old.length, this.#order.length) && isSame(old.at(from), this.#order.at(from)))
      from += 1;
    return { writers, stopped, moved: from < old.length ? { from, entries: old.length - from } : undefined };
  }

  #log(writer: number): WriterLog {
    return this.#options.logs[writer] as WriterLog;
  }

  #stop(place: Place): void {
    this.#stopped[place.writer] = place.seq;
    this.#newlyStopped.push(place);
  }

  /** A writer's next entry, if all it links to is there. What is no entry, or does not continue the log, stops it. */
  async #candidate(writer: number): Promise<Candidate | undefined> {
    const log = this.#log(writer);
    const seq = this.validOf(writer);
    if (seq >= log.length || seq >= this.wantedOf(writer)) return undefined;
    const awaited = this.#awaited[writer];
    if (awaited !== undefined && this.validOf(awaited.writer) < awaited.length) return undefined;
    const read = log.entry(seq);
    const entry = read instanceof Promise ? await read : read;
    const feedEntry = entry && this.#checked(writer, seq, entry);
    if (entry === undefined || feedEntry === undefined) {
      this.#stop({ writer, seq });
      return undefined;
    }
    const links = entry.links.map((link) => ({
      ...link,
      // What its writer forked away counts for nobody, and nobody has to have it.
      length: Math.min(link.length, this.#forks[link.writer]?.seq ?? Infinity),
      isCut: link.length > (this.#forks[link.writer]?.seq ?? Infinity),
    }));
    this.#awaited[writer] = links.find((link) => link.length > this.validOf(link.writer));
    // Another hash is of another branch: its turn comes when the fork is proven, or never.
    const isThere = ({ writer: other, length, hash, isCut }: (typeof links)[number]): boolean =>
      isCut || equalBytes(this.#log(other).hashOf(length - 1), hash);
    if (this.#awaited[writer] !== undefined || !links.every(isThere)) return undefined;
    const behind = this.#order.behindNext(writer, links);
    const weight = behind.reduce((sum, count) => sum + count, 0);
    const { hash, timeMs } = feedEntry;
    const header: FeedHeader = { writer: feedEntry.writer, seq, hash, timeMs, weight };
    return { place: { writer, seq }, entry: feedEntry, behind, header };
  }

  /** Undefined when it is none of this log. */
  #checked(writer: number, seq: number, entry: Entry): FeedEntry | undefined {
    const { definition, genesis } = this.#options;
    const log = this.#log(writer);
    const previous = seq === 0 ? (genesis[writer] as Uint8Array) : log.hashOf(seq - 1);
    if (entry.seq !== seq || !equalBytes(entry.previous, previous)) return undefined;
    const linked = new Set(entry.links.map((link) => link.writer));
    const isSound = linked.size === entry.links.length && !linked.has(writer);
    if (!isSound || entry.links.some((link) => link.writer >= definition.writers.length)) return undefined;
    return orUndefined(() => toFeedEntry(definition, writer, log.hashOf(seq), entry));
  }

  /** Taken in in their order as far as they are there, the entries need not be moved about later. */
  #best(candidates: readonly (Candidate | undefined)[]): Candidate | undefined {
    let best: Candidate | undefined;
    for (const each of candidates) {
      if (each !== undefined && (best === undefined || this.#order.isBefore(each.header, best.header)))
        best = each;
    }
    return best;
  }

  async #isAccepted({ place, entry, behind }: Candidate): Promise<boolean> {
    const { validate, apply } = this.#options.rules;
    if (validate === undefined) return true;
    const known = await this.knownBehind(place.writer, behind);
    if (validate(entry, known) !== "accept") return false;
    if (apply !== undefined) this.#known[place.writer] = apply(known, entry);
    return true;
  }

  /** The state that a writer could know. Mostly it is one that is at hand: of all, or of what a single writer knew last. */
  async knownBehind(own: number, behind: Counts): Promise<State> {
    const fold = this.#fold;
    if (fold === undefined) return this.#options.rules.initial;
    if (fold.isAll(behind)) return fold.state;
    for (const writer of [own, ...behind.keys()]) {
      const known = this.#known[writer];
      const count = this.validOf(writer);
      if (known === undefined || count === 0 || behind[writer] !== count) continue;
      const theirs = this.#order.behind({ writer, seq: count - 1 });
      theirs[writer] = count;
      if (theirs.every((each, i) => each === behind[i])) return known;
    }
    return fold.stateOf(behind);
  }

  #newOrder(): Order {
    const { definition, logs, rules } = this.#options;
    return new Order(
      {
        writers: definition.writers,
        hashOf: ({ writer, seq }) => (logs[writer] as WriterLog).hashOf(seq),
        timeMsOf: ({ writer, seq }) => (logs[writer] as WriterLog).timeMsOf(seq),
      },
      rules.choose,
    );
  }

  #newFold(): Fold<State> | undefined {
    const { initial, apply } = this.#options.rules;
    if (apply === undefined) return undefined;
    return new Fold({
      order: this.#order,
      initial,
      apply,
      read: (place) => this.read(place),
      pause: () => this.#options.pause(),
    });
  }
}
