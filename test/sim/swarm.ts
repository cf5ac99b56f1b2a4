/**
 * A swarm in simulated time: the real scheduler and uplink of every peer, and between them nothing but a delay. What a chunk costs in
 * processor time is left out, so that choices alone decide how long it takes.
 */
import { SimClock } from "../../peer/adapters/sim/clock.ts";
import { Bitfield } from "../../peer/services/files/bitfield.ts";
import { GivenCounts } from "../../peer/services/files/given-counts.ts";
import { Scheduler, type SourceState } from "../../peer/services/files/scheduler.ts";
import { type Taker, Uplink } from "../../peer/services/files/uplink.ts";
import { type PeerId, peerIdFromKey } from "../../shared/ids.ts";

const CHUNK_BYTES = 262_144;
const HAVE_EVERY_MS = 50;
const TICK_MS = 100;

export interface SwarmWorld {
  /** Bytes a second that each peer gives; complete ones first. */
  readonly sources: readonly number[];
  readonly getters: readonly number[];
  readonly chunks: number;
  readonly delayMs: number;
  readonly seed: number;
}

export interface SwarmOutcome {
  /** When the last getter had everything. */
  readonly lastMs: number;
  /** Chunks given by those who were complete at the start. */
  readonly givenBySources: number;
  /** Chunks that came in vain, as a share of all that were wanted. */
  readonly vainShare: number;
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

class Member {
  readonly id: PeerId;
  readonly bits: Bitfield;
  readonly uplink: Uplink;
  readonly given: GivenCounts;
  readonly asked: { readonly member: Member; readonly connection: Connection }[] = [];
  readonly scheduler: Scheduler;
  readonly connections = new Map<SourceState, Connection>();
  readonly #clock: SimClock;
  gave = 0;
  vain = 0;
  doneAtMs: number | undefined;

  constructor(clock: SimClock, number: number, bits: Bitfield, bytesPerSecond: number, unit: () => number) {
    this.id = peerIdFromKey(new Uint8Array(32).fill(number + 1));
    this.#clock = clock;
    this.bits = bits;
    this.given = new GivenCounts(bits.count);
    this.uplink = new Uplink(clock);
    this.uplink.limit(bytesPerSecond);
    this.scheduler = new Scheduler(Bitfield.full(bits.count), CHUNK_BYTES, unit);
  }

  pumpAll(): void {
    for (const connection of this.connections.values()) connection.pump();
  }

  received(connection: Connection, index: number): void {
    if (this.scheduler.arrived(connection.state, index, CHUNK_BYTES, this.#clock.monotonicMs()) !== "wanted")
      this.vain += 1;
    else {
      for (const other of this.scheduler.verified(index) ?? []) this.connections.get(other)?.cancel(index);
      this.scheduler.done(index);
      this.bits.add(index);
      for (const { connection: to } of this.asked) to.tell(index);
      if (this.scheduler.isComplete) this.doneAtMs ??= this.#clock.monotonicMs();
    }
    connection.pump();
  }
}

/** A getter's stream to a source. */
class Connection implements Taker {
  readonly peerId: PeerId;
  readonly state: SourceState;
  readonly #clock: SimClock;
  readonly #getter: Member;
  readonly #source: Member;
  readonly #delayMs: number;
  readonly #wanted = new Set<number>();
  readonly #haves: number[] = [];

  constructor(clock: SimClock, getter: Member, source: Member, delayMs: number) {
    this.#clock = clock;
    this.#getter = getter;
    this.#source = source;
    this.#delayMs = delayMs;
    this.peerId = getter.id;
    const bits = Bitfield.from(source.bits.toBytes(), source.bits.count) ?? new Bitfield(0);
    this.state = getter.scheduler.join(
      { bits, rttMs: () => 2 * delayMs, isLost: () => false },
      clock.monotonicMs(),
    );
    getter.connections.set(this.state, this);
    source.asked.push({ member: getter, connection: this });
    source.uplink.join(this);
  }

  pump(): void {
    for (;;) {
      const request = this.#getter.scheduler.take(this.state, this.#clock.monotonicMs());
      if (request === undefined) return;
      const { index, instead } = request;
      if (instead !== undefined) this.#getter.connections.get(instead)?.cancel(index);
      this.#clock.setTimer(this.#delayMs, () => {
        this.#wanted.add(index);
        this.#source.uplink.ready();
      });
    }
  }

  cancel(index: number): void {
    this.#clock.setTimer(this.#delayMs, () => this.#wanted.delete(index));
  }

  tell(index: number): void {
    this.#haves.push(index);
    if (this.#haves.length > 1) return;
    this.#clock.setTimer(HAVE_EVERY_MS + this.#delayMs, () => {
      for (const each of this.#haves.splice(0)) {
        const elsewhere = this.#getter.scheduler.tell(this.state, each, this.#clock.monotonicMs());
        if (elsewhere === undefined) this.pump();
        else {
          this.#getter.connections.get(elsewhere)?.cancel(each);
          this.#getter.pumpAll();
        }
      }
    });
  }

  due(): number | undefined {
    const index = this.#leastGiven();
    return index === undefined ? undefined : this.#source.given.beyondLeast(index);
  }

  give(): { readonly bytes: number; readonly sent: Promise<void> } {
    const index = this.#leastGiven() as number;
    this.#wanted.delete(index);
    this.#source.given.add(index);
    this.#source.gave += 1;
    this.#clock.setTimer(this.#delayMs, () => this.#getter.received(this, index));
    return { bytes: CHUNK_BYTES, sent: Promise.resolve() };
  }

  #leastGiven(): number | undefined {
    const given = (index: number): number => this.#source.given.beyondLeast(index);
    let least: number | undefined;
    for (const index of this.#wanted) if (least === undefined || given(index) < given(least)) least = index;
    return least;
  }
}

/** Everybody is connected from the start. */
export async function runSwarm(world: SwarmWorld): Promise<SwarmOutcome> {
  const { chunks, delayMs } = world;
  const clock = new SimClock();
  const unit = seeded(world.seed);
  const member = (number: number, bits: Bitfield, limit: number): Member =>
    new Member(clock, number, bits, limit, unit);
  const sources = world.sources.map((limit, at) => member(at, Bitfield.full(chunks), limit));
  const getters = world.getters.map((limit, at) => member(at + 100, new Bitfield(chunks), limit));
  for (const getter of getters)
    for (const source of [...sources, ...getters])
      if (source !== getter) new Connection(clock, getter, source, delayMs);
  for (const getter of getters) getter.pumpAll();
  const isOver = (): boolean => getters.every(({ doneAtMs }) => doneAtMs !== undefined);
  for (let ticks = 0; !isOver() && ticks < 36_000; ticks++) {
    await clock.advance(TICK_MS);
    for (const getter of getters) getter.pumpAll();
  }
  return {
    lastMs: Math.max(...getters.map(({ doneAtMs }) => doneAtMs ?? Number.POSITIVE_INFINITY)),
    givenBySources: sources.reduce((sum, { gave }) => sum + gave, 0),
    vainShare: getters.reduce((sum, { vain }) => sum + vain, 0) / (chunks * getters.length),
  };
}
