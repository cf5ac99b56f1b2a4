/** Records put by some peers and read, much later, by others. */
import { assert } from "../../shared/errors.ts";
import type { SimRandom } from "../adapters/sim/random.ts";
import { getRecords, putRecord } from "../services/records/client.ts";
import { type KeyedRecord, RECORD_KEY_BYTES, TTL_MS_MAX } from "../services/records/record.ts";
import { quantile, rounded } from "./statistics.ts";
import { type SimPeer, TRUSTING, type World } from "./world.ts";

const VALUE_BYTES = 100;

export interface RecordFigures {
  readonly count: number;
  /** Of what was put, and of each version of it, the share of which the writer was told that it is kept. */
  readonly stored: number;
  /** Of what is kept as far as the writers know: read at the end, in the last version put. */
  readonly found: number;
  /** Until the writer knows of five copies, or of all there can be. */
  readonly putMsP50: number;
  readonly putMsP99: number;
  /** Of mutable records: the newest of several answers. */
  readonly getMsP50: number;
  readonly getMsP99: number;
}

/** Half are immutable, half mutable with two versions, the second put right behind the first. */
export class RecordTrial {
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #count: number;
  readonly #records: KeyedRecord[] = [];
  readonly #putMs: number[] = [];
  readonly #getMs: number[] = [];
  #puts = 0;
  #asked = 0;
  #found = 0;

  constructor(world: World, count: number) {
    this.#world = world;
    this.#random = world.random.fork("records");
    this.#count = count;
  }

  /** Puts all, spread over a time. */
  put(spanMs: number): void {
    for (let i = 0; i < this.#count; i++) {
      this.#world.clock.setTimer(this.#random.unit() * spanMs, () => {
        const writer = this.#world.pickReady();
        if (i % 2 === 0) this.#write(writer, this.#record("immutable", 0), true);
        else this.#write(writer, this.#record("mutable", 1), false);
      });
    }
  }

  /** Reads all, spread over a time. */
  get(spanMs: number): void {
    for (const record of this.#records)
      this.#world.clock.setTimer(this.#random.unit() * spanMs, () => this.#read(record));
  }

  result(): RecordFigures {
    this.#putMs.sort((a, b) => a - b);
    this.#getMs.sort((a, b) => a - b);
    return {
      count: this.#asked,
      stored: this.#puts === 0 ? 0 : rounded(this.#putMs.length / this.#puts, 5),
      found: this.#asked === 0 ? 0 : rounded(this.#found / this.#asked, 5),
      putMsP50: rounded(quantile(this.#putMs, 0.5), 0),
      putMsP99: rounded(quantile(this.#putMs, 0.99), 0),
      getMsP50: rounded(quantile(this.#getMs, 0.5), 0),
      getMsP99: rounded(quantile(this.#getMs, 0.99), 0),
    };
  }

  #write(writer: SimPeer, record: KeyedRecord, isLast: boolean): void {
    const { clock } = this.#world;
    const startedAtMs = clock.monotonicMs();
    this.#puts += 1;
    putRecord({ mesh: writer.mesh, clock, check: TRUSTING }, record, undefined, ({ status }) => {
      // Who dies meanwhile cannot hear.
      if (!writer.alive) this.#puts -= 1;
      else if (status === "stored") {
        this.#putMs.push(clock.monotonicMs() - startedAtMs);
        if (isLast) this.#records.push(record);
        else this.#write(writer, nextVersion(record), true);
      }
    });
  }

  #read(record: KeyedRecord): void {
    const { clock } = this.#world;
    const reader = this.#world.pickReady();
    const startedAtMs = clock.monotonicMs();
    this.#asked += 1;
    getRecords({ mesh: reader.mesh, clock, check: TRUSTING }, record.key, "value", ([found]) => {
      // Who dies meanwhile cannot hear.
      if (!reader.alive) this.#asked -= 1;
      else if (found !== undefined) {
        if (found.kind === "mutable") this.#getMs.push(clock.monotonicMs() - startedAtMs);
        if (seqOf(found) === seqOf(record)) this.#found += 1;
      }
    });
  }

  #record(kind: "immutable" | "mutable", seq: number): KeyedRecord {
    const common = {
      key: this.#random.bytes(RECORD_KEY_BYTES),
      expiresAtMs: this.#world.clock.nowMs() + TTL_MS_MAX,
      value: new Uint8Array(VALUE_BYTES),
    };
    return kind === "immutable"
      ? { kind, ...common }
      : {
          kind,
          ...common,
          publicKey: this.#random.bytes(32),
          name: new Uint8Array(8),
          seq,
          signature: new Uint8Array(64),
        };
  }
}

function nextVersion(record: KeyedRecord): KeyedRecord {
  assert(record.kind === "mutable", "only mutable records have a second version");
  return { ...record, seq: record.seq + 1 };
}

function seqOf(record: KeyedRecord): number {
  return record.kind === "mutable" ? record.seq : 0;
}
