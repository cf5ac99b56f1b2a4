/**
 * A feed as an application holds it: entries appended, read and followed, and the state that its reducer makes of them. Everything that
 * changes it goes through one queue, so that entries, order and state never contradict each other.
 */
import { toHex } from "../../../shared/bytes.ts";
import { orUndefined, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { parsePeerId, type PeerId } from "../../../shared/ids.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { MessageReader } from "../files/protocol.ts";
import type { ServiceHost } from "../host.ts";
import { Appends } from "./appends.ts";
import { encodeDefinition, type FeedDefinition } from "./definition.ts";
import { type FeedEntry, type FeedValue, genesisOf } from "./entry.ts";
import type { Facts } from "./facts.ts";
import { decodeForkProof, type FeedFork, type ForkProof, isForkGenuine } from "./fork.ts";
import { type Advance, History, type Rules } from "./history.ts";
import { type Directory, Neighbourhood } from "./neighbourhood.ts";
import type { ProvedRange } from "./range.ts";
import { FeedSync, type SyncedFeed } from "./sync.ts";
import type { Place } from "./order.ts";
import { Turns } from "./turns.ts";
import {
  type FeedHead,
  type FeedReorganisation,
  type FeedStatus,
  type FeedStop,
  presentFork,
} from "./view.ts";
import type { Comparison, WriterLog } from "./writer-log.ts";

/** What has happened and is told when the state has followed. */
interface Unsettled {
  readonly writers: Set<number>;
  readonly stopped: Place[];
  /** Places concerned by changes of the order. */
  from: number;
  entries: number;
}

export interface FeedParts<State> {
  readonly host: ServiceHost;
  readonly directory: Directory;
  readonly address: Uint8Array;
  readonly definition: FeedDefinition;
  readonly rules: Rules<State>;
  readonly logs: readonly WriterLog[];
  readonly facts: Facts;
  readonly bytesMax: number;
  onClosed(): void;
}

/**
 * Events: `head` (CustomEvent<FeedHead>, a writer's log counts further than before, the state with it), `fork` (CustomEvent<FeedFork>, a writer
 * has signed two entries for one number; nothing of it counts from there on), `stopped` (CustomEvent<FeedStop>, the rules refuse a writer's entry),
 * `reorganised` (CustomEvent<FeedReorganisation>).
 *
 * @example
 * const feed = await peer.feeds.open("diary");
 * await feed.append("dear diary");
 * for await (const { value } of feed) console.log(value);
 */
export class Feed<State = undefined> extends EventTarget implements AsyncDisposable {
  /** SHA-256 of the definition, 64 hexadecimal digits: what others open it by. */
  readonly address: string;
  readonly #parts: FeedParts<State>;
  readonly #history: History<State>;
  readonly #neighbourhood: Neighbourhood;
  readonly #sync: FeedSync;
  readonly #appends: Appends<State> | undefined;
  readonly #turns: Turns;
  #unsettled: Unsettled = { writers: new Set(), stopped: [], from: 0, entries: 0 };
  /** Why nothing more can be stored. */
  #failure: PeerloomError | undefined;
  #followers = new Set<() => void>();
  #closed: Promise<void> | undefined;

  /** Takes in what the logs have, and begins to synchronise. */
  static async open<State>(parts: FeedParts<State>): Promise<Feed<State>> {
    const { host, definition, address, facts } = parts;
    const { hash } = host.runtime;
    const genesis = await Promise.all(definition.writers.map((writer) => genesisOf(hash, address, writer)));
    const feed = new Feed(parts, genesis);
    for (const proof of facts.forks) {
      if (await isForkGenuine(hash, address, definition.writers, proof)) await feed.#history.cut(proof);
    }
    await feed.#turns.take(async () => feed.#note(await feed.#history.advance()));
    feed.#neighbourhood.open();
    return feed;
  }

  private constructor(parts: FeedParts<State>, genesis: readonly Uint8Array[]) {
    super();
    const { host, definition, address, logs, rules, directory } = parts;
    const { clock, hash } = host.runtime;
    this.address = toHex(address);
    this.#parts = parts;
    this.#history = new History({
      definition,
      logs,
      genesis,
      rules,
      pause: () => new Promise((resolve) => clock.defer(resolve)),
    });
    const history = this.#history;
    const bytes = (): number => this.#bytes;
    const failure = (): PeerloomError | undefined => this.#failure;
    this.#turns = new Turns(clock, () => this.#settle());
    const synced: SyncedFeed = {
      address,
      writers: definition.writers,
      logs,
      wantedOf: (writer) => history.wantedOf(writer),
      validOf: (writer) => history.validOf(writer),
      forkOf: (writer) => history.forkOf(writer),
      get hasRoom() {
        return bytes() < parts.bytesMax && failure() === undefined;
      },
      take: (writer, range) => this.#take(writer, range),
      cut: (proof) => this.#cut(proof),
    };
    this.#neighbourhood = new Neighbourhood({
      host,
      directory,
      address,
      addressText: this.address,
      definition: encodeDefinition(definition),
      duties: {
        notices: (writers) => this.#sync.notices(writers),
        heads: (from, heads) => this.#sync.heads(from, heads),
        fork: (from, proof) => this.#sync.fork(from, proof),
        serve: (writer, from, count) => this.#sync.serve(writer, from, count),
      },
      onMet: (neighbour) => this.#sync.met(neighbour),
      onGone: () => this.#sync.pump(),
    });
    this.#sync = new FeedSync(synced, hash, this.#neighbourhood);
    const own = definition.writers.indexOf(host.id);
    if (own < 0) return;
    this.#appends = new Appends({
      host,
      address,
      definition,
      own,
      logs,
      history,
      genesis,
      rules,
      longest: () => this.#sync.longest(own),
      get hasRoom() {
        return synced.hasRoom;
      },
      stored: (work) => this.#stored(work),
    });
  }

  get name(): string {
    return this.#parts.definition.name;
  }

  get writers(): readonly PeerId[] {
    return this.#parts.definition.writers;
  }

  get rules(): string {
    return this.#parts.definition.rules;
  }

  /** Entries that count. */
  get length(): number {
    return this.#history.order.length;
  }

  /** What the reducer has made of them. As of the last `head`, `fork` or `reorganised` event. */
  get state(): State {
    return this.#history.state;
  }

  /**
   * Appends a value to this peer's own log: bytes, text or plain data, 64 KiB at most. It links to all entries that count here, so that
   * everybody puts it behind them. When it returns the entry is kept (on disk, where there is one); it needs others to survive this peer.
   * One identity must write a feed in one process only, and from a kept log: a second one would fork it.
   * @throws PeerloomError `feeds/not-writer`, `feeds/too-large`, `feeds/full`, `feeds/refused`, `feeds/forked`, `feeds/behind`, `feeds/closed`,
   *   `data/unwritable`, `usage/invalid`
   */
  async append(value: FeedValue): Promise<FeedEntry> {
    if (this.#closed !== undefined) throw closed();
    if (this.#failure !== undefined) throw this.#failure;
    const appends = this.#appends;
    if (appends === undefined) {
      throw new PeerloomError(
        "feeds/not-writer",
        "This peer is no writer of the feed. Its writers are part of its address: make a feed that names this peer too.",
      );
    }
    const appended = appends.add(value);
    const turn = this.#turns.take(async () => {
      if (appends.isEmpty) return; // It went with those before it.
      const tell = await appends.flush();
      this.#note(await this.#history.advance());
      await this.#history.settle();
      tell();
    });
    const [entry] = await Promise.all([appended, turn]);
    return entry;
  }

  /** The last entries that count, of each writer that has any. */
  heads(): readonly FeedHead[] {
    return [...this.writers.keys()]
      .filter((writer) => this.#history.validOf(writer) > 0)
      .map((each) => this.#head(each));
  }

  /** An entry that counts; undefined when there is none. @throws PeerloomError `data/unwritable` when the disk fails */
  async get(writer: string, seq: number): Promise<FeedEntry | undefined> {
    const id = parsePeerId(writer);
    const place = id === undefined ? -1 : this.writers.indexOf(id);
    if (place < 0 || !Number.isSafeInteger(seq) || seq < 0 || seq >= this.#history.validOf(place))
      return undefined;
    return this.#history.read({ writer: place, seq });
  }

  /** The entries that count now, in their order, from a place on. Ends with the last; what changes meanwhile may be seen or not. */
  async *entries(from = 0): AsyncGenerator<FeedEntry, void, undefined> {
    for (let position = from; position < this.length; position++)
      yield this.#history.read(this.#history.order.at(position));
  }

  /**
   * All entries, each once and causes before effects, and then those that come, until the feed is closed. A change of order is not seen
   * here: `reorganised` tells, `entries` reads again, `state` has followed.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<FeedEntry, void, undefined> {
    const seen = this.writers.map(() => 0);
    let { reorders } = this.#history;
    for (let position = 0; ;) {
      if (reorders !== this.#history.reorders) {
        reorders = this.#history.reorders;
        position = 0;
      }
      if (position < this.length) {
        const place = this.#history.order.at(position++);
        if (place.seq < (seen[place.writer] ?? 0)) continue;
        seen[place.writer] = place.seq + 1;
        yield this.#history.read(place);
      } else if (this.#closed !== undefined) return;
      else await new Promise<void>((resolve) => this.#followers.add(resolve));
    }
  }

  /** Forks that were proven, one a writer at most. */
  forks(): readonly FeedFork[] {
    return this.#parts.facts.forks.map((proof) => presentFork(this.writers, proof));
  }

  /**
   * Whether bytes, of whatever origin, prove that a writer of this feed has forked it.
   * @returns the fork, or undefined when they prove nothing
   */
  async checkFork(proof: Uint8Array): Promise<FeedFork | undefined> {
    const decoded = orUndefined(() => decodeForkProof(proof));
    if (decoded === undefined) return undefined;
    const { hash } = this.#parts.host.runtime;
    const isGenuine = await isForkGenuine(hash, this.#parts.address, this.writers, decoded);
    return isGenuine ? presentFork(this.writers, decoded) : undefined;
  }

  status(): FeedStatus {
    return {
      entries: this.length,
      bytes: this.#bytes,
      neighbours: this.#neighbourhood.all.map(({ id }) => id),
      blamed: this.#neighbourhood.blamed,
      failure: this.#failure?.code,
      stopped: this.writers.flatMap((writer, i) => {
        const seq = this.#history.stoppedAt(i);
        return seq === undefined ? [] : [{ writer, seq }];
      }),
    };
  }

  /** Synchronises no longer; what is on disk stays. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A stream of another peer that asks for this feed. */
  accept(stream: Stream, session: Session, reader: MessageReader): Promise<void> {
    return this.#neighbourhood.accept(stream, session, reader);
  }

  async #close(): Promise<void> {
    this.#parts.onClosed();
    this.#appends?.refuse(closed());
    await this.#neighbourhood.close();
    await this.#sync.close();
    await this.#turns.over();
    await Promise.all([...this.#parts.logs.map((log) => log.close()), this.#parts.facts.close()]);
    this.#wakeFollowers();
  }

  // --- changes, one after the other ---

  async #take(writer: number, range: ProvedRange): Promise<Comparison> {
    return this.#turns.take(async () => {
      const log = this.#parts.logs[writer] as WriterLog;
      if (range.from + range.entries.length <= log.length) return "fits";
      const comparison = log.compare(range);
      if (comparison !== "fits") return comparison;
      await this.#stored(() => log.append(range));
      this.#note(await this.#history.advance());
      return comparison;
    });
  }

  async #cut(proof: ForkProof): Promise<void> {
    await this.#turns.take(async () => {
      await this.#stored(() => this.#parts.facts.addFork(proof));
      const advance = await this.#history.cut(proof);
      this.#note(advance);
      // What others may have of us has become less, perhaps of several writers.
      this.#sync.changed(this.#parts.logs.keys());
      await this.#settle();
      const detail = presentFork(this.writers, proof);
      this.dispatchEvent(new CustomEvent<FeedFork>("fork", { detail }));
    });
  }

  /** Remembers what is to be told once the state has followed. */
  #note({ writers, moved, stopped }: Advance): void {
    const unsettled = this.#unsettled;
    for (const writer of writers) unsettled.writers.add(writer);
    unsettled.stopped.push(...stopped);
    if (moved !== undefined) {
      const { from, entries } = unsettled;
      unsettled.from = entries === 0 ? moved.from : Math.min(from, moved.from);
      unsettled.entries = Math.max(from + entries, moved.from + moved.entries) - unsettled.from;
    }
    if (writers.size > 0) this.#sync.changed(writers);
    if (writers.size > 0 || moved !== undefined) this.#wakeFollowers();
  }

  async #settle(): Promise<void> {
    await this.#history.settle();
    const { writers, stopped, from, entries } = this.#unsettled;
    this.#unsettled = { writers: new Set(), stopped: [], from: 0, entries: 0 };
    if (entries > 0) {
      const detail: FeedReorganisation = { from, entries };
      this.dispatchEvent(new CustomEvent<FeedReorganisation>("reorganised", { detail }));
    }
    for (const writer of writers) {
      if (this.#history.validOf(writer) === 0) continue;
      this.dispatchEvent(new CustomEvent<FeedHead>("head", { detail: this.#head(writer) }));
    }
    for (const { writer, seq } of stopped) {
      const detail: FeedStop = { writer: this.writers[writer] as PeerId, seq };
      this.dispatchEvent(new CustomEvent<FeedStop>("stopped", { detail }));
    }
  }

  /** A disk that fails fails the feed: it goes on giving what it has, and takes no more before it is opened again. */
  async #stored<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failure ??= toPeerloomError(error, "data/unwritable", "The feed could not be stored.");
      this.#parts.host.runtime.log.warn("feed not stored", { code: this.#failure.code });
      this.#appends?.refuse(this.#failure);
      throw this.#failure;
    }
  }

  #wakeFollowers(): void {
    const waiting = [...this.#followers];
    this.#followers.clear();
    for (const resolve of waiting) resolve();
  }

  get #bytes(): number {
    return this.#parts.logs.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #head(writer: number): FeedHead {
    const seq = this.#history.validOf(writer) - 1;
    const log = this.#parts.logs[writer] as WriterLog;
    return { writer: this.writers[writer] as PeerId, seq, hash: toHex(log.hashOf(seq)) };
  }
}

function closed(): PeerloomError {
  return new PeerloomError("feeds/closed", "The feed was closed: open it again.");
}
