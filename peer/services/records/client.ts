/**
 * Puts records to the peers closest to their keys, and gets them from there. Each request goes several ways at once, by different first hops
 * and to different ends: one to the closest peer, the others to points beside the key, whose closest peers are among the
 * eight too. So neither a peer that drops what it should pass nor a closest one that keeps silent can hide a record (region
 * storage against eclipse, as in arXiv 2505.01139), and of mutable records the newest of several holders is taken.
 */
import { equalBytes } from "../../../shared/bytes.ts";
import type { Mesh } from "../../overlay/mesh/mesh.ts";
import { distance, type MeshKey, meshKeyOf } from "../../overlay/mesh/mesh-key.ts";
import { Apart } from "../../overlay/mesh/requester.ts";
import type { Clock, Timer } from "../../runtime.ts";
import type { RecordCheck } from "./check.ts";
import { COPIES_ENOUGH } from "./holder.ts";
import { REPLICAS } from "./upkeep.ts";
import { decodeAnswer, encodeRequest, type PutStatus, type RecordAnswer } from "./protocol.ts";
import { isNewer, type KeyedRecord } from "./record.ts";
import { slotOfRecord, type Wanted } from "./shelf.ts";

interface Plan {
  /** Where each way ends: at the key, and so far beside it, in parts of the distance over which this peer sees eight others. */
  readonly first: readonly number[];
  /** These are tried when others have failed, or take long. */
  readonly more: readonly number[];
}

const PUT_PLAN: Plan = { first: [0, 1 / 4, 1 / 2, 3 / 4], more: [1 / 8, 3 / 8] };
const GET_PLAN: Plan = { first: [0, 1 / 4, 1 / 2], more: [3 / 4, 1 / 8, 3 / 8, 1] };
const MORE_AFTER_MS = 700;
/** When one has answered the others are given half as long again, and no less than this. */
const QUORUM_MS_MIN = 100;
const QUORUM_SHARE = 0.5;

/** Ways that must say that a record is kept before the writer is told, for one may lead to a liar; unless all do, others are taken besides. */
const CONFIRMATIONS = 2;

export interface PutResult {
  /** `unanswered`: nobody said anything in time. */
  readonly status: PutStatus | "unanswered";
  /** Peers that keep it, as its coordinator says. */
  readonly copies: number;
  readonly current: KeyedRecord | undefined;
}

export interface ClientOptions {
  readonly mesh: Pick<Mesh, "size" | "reach" | "ask">;
  readonly clock: Clock;
  readonly check: RecordCheck;
}

/** `done` is called once. `cas`: the number that the version there must have. */
export function putRecord(
  { mesh, clock, check }: ClientOptions,
  record: KeyedRecord,
  cas: number | undefined,
  done: (result: PutResult) => void,
): void {
  const body = encodeRequest({ kind: "put", record, cas });
  const apart = new Apart();
  let best: PutResult = { status: "unanswered", copies: 0, current: undefined };
  let confirmed = 0;
  let isTold = false;
  // Few copies are all there can be where few peers are.
  const isSmall = mesh.size < REPLICAS;
  const one = (result: PutResult | undefined): void => {
    if (ways.isOver) return;
    if (result !== undefined && isBetter(result, best)) best = result;
    if (result?.status === "stored" && (result.copies >= COPIES_ENOUGH || isSmall)) confirmed += 1;
    const isKept = confirmed === PUT_PLAN.first.length;
    if (isKept || best.status === "stale" || ways.ended()) ways.stop();
    if (isTold || !(ways.isOver || confirmed >= (isSmall ? 1 : CONFIRMATIONS))) return;
    isTold = true;
    done(best);
  };
  const take = (answer: RecordAnswer | undefined): void => {
    if (answer?.kind !== "put") one(undefined);
    else if (answer.status !== "stale") one(answer);
    else if (answer.current === undefined) one({ ...answer, status: "refused" });
    else {
      const { current } = answer;
      // Only a genuine newer version makes ours stale; a liar's word does not.
      check.check(current, (isValid) => {
        one(isValid && slotOfRecord(current) === slotOfRecord(record) ? answer : undefined);
      });
    }
  };
  const ways = new Ways(clock, PUT_PLAN, (offset) => {
    mesh.ask(
      wayTo(mesh, record.key, offset),
      body,
      (answer) => take(answer === undefined ? undefined : decodeAnswer(answer.body)),
      { open: offset !== 0, apart, isRight: isAnswerTo("put") },
    );
  });
  ways.start();
}

function isAnswerTo(kind: RecordAnswer["kind"]): (body: Uint8Array) => boolean {
  return (body) => decodeAnswer(body)?.kind === kind;
}

/** Requests for one thing on their several ways. */
class Ways {
  readonly #clock: Clock;
  readonly #plan: Plan;
  readonly #go: (offset: number) => void;
  #left: number;
  #timer: Timer | undefined;
  #isAll = false;
  isOver = false;

  constructor(clock: Clock, plan: Plan, go: (offset: number) => void) {
    this.#clock = clock;
    this.#plan = plan;
    this.#go = go;
    this.#left = plan.first.length;
  }

  start(): void {
    this.#timer = this.#clock.setTimer(MORE_AFTER_MS, () => this.#more());
    this.#run(this.#plan.first);
  }

  /** One has ended. @returns whether none is left to wait for */
  ended(): boolean {
    this.#left -= 1;
    if (this.#left === 0) this.#more();
    return this.#left === 0;
  }

  stop(): void {
    this.isOver = true;
    this.#timer?.cancel();
  }

  #more(): void {
    if (this.#isAll || this.isOver) return;
    this.#isAll = true;
    this.#timer?.cancel();
    this.#left += this.#plan.more.length;
    this.#run(this.#plan.more);
  }

  #run(offsets: readonly number[]): void {
    for (const offset of offsets) if (!this.isOver) this.#go(offset);
  }
}

/** The key itself, or a point so far beside it. */
function wayTo(mesh: ClientOptions["mesh"], key: Uint8Array, offset: number): MeshKey {
  return distance(meshKeyOf(key), Math.floor(mesh.reach * offset));
}

function isBetter(a: PutResult, b: PutResult): boolean {
  const order = ["unanswered", "busy", "refused", "stored", "stale"];
  return order.indexOf(a.status) > order.indexOf(b.status) || (a.status === b.status && a.copies > b.copies);
}

/** `done` is called once, with checked records: at most one for `value`. */
export function getRecords(
  { mesh, clock, check }: ClientOptions,
  key: Uint8Array,
  wanted: Wanted,
  done: (records: readonly KeyedRecord[]) => void,
): void {
  const body = encodeRequest({ kind: "get", key, wanted });
  const apart = new Apart();
  const found = new Map<number, KeyedRecord>();
  const startedAtMs = clock.monotonicMs();
  let timer: Timer | undefined;
  const finish = (): void => {
    if (ways.isOver) return;
    ways.stop();
    timer?.cancel();
    done([...found.values()]);
  };
  const one = (): void => {
    if (ways.isOver) return;
    // A hash says all there is to say; of what changes others may know a later version.
    const isFinal = [...found.values()].some((record) => record.kind === "immutable");
    if (isFinal || ways.ended()) finish();
    else if (found.size > 0) {
      const elapsedMs = clock.monotonicMs() - startedAtMs;
      timer ??= clock.setTimer(Math.max(elapsedMs * QUORUM_SHARE, QUORUM_MS_MIN), finish);
    }
  };
  const take = (records: readonly KeyedRecord[]): void => {
    let unchecked = records.length;
    if (unchecked === 0) one();
    for (const record of records) {
      check.check(record, (isValid) => {
        const slot = slotOfRecord(record);
        const before = found.get(slot);
        const isWanted = isValid && equalBytes(record.key, key) && isOfKind(record, wanted);
        if (isWanted && (before === undefined || isNewer(record, before))) found.set(slot, record);
        unchecked -= 1;
        if (unchecked === 0) one();
      });
    }
  };
  const ways = new Ways(clock, GET_PLAN, (offset) => {
    mesh.ask(
      wayTo(mesh, key, offset),
      body,
      (answer) => {
        const said = answer === undefined ? undefined : decodeAnswer(answer.body);
        take(said?.kind === "get" ? said.records : []);
      },
      { open: offset !== 0 || wanted === "value", apart, isRight: isAnswerTo("get") },
    );
  });
  ways.start();
}

function isOfKind(record: KeyedRecord, wanted: Wanted): boolean {
  return wanted === "providers" ? record.kind === "provider" : record.kind !== "provider";
}
