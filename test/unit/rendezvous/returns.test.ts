/** Two thousand that lose their edge together, in simulated time: all come back within a minute, and never as a storm. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import {
  afterLoss,
  OVERLOADED_WAIT_MS_MAX,
  type RendezvousState,
  RETURN_SPREAD_MS_MAX,
  RETURNS_PER_SECOND,
} from "../../../peer/overlay/rendezvous-state.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { JOIN_TIMEOUT_MS } from "../../../shared/limits.ts";

const SEED = 7;
const lost = new PeerloomError("edge/unreachable", "the socket was lost");

interface Outcome {
  readonly allBackMs: number;
  /** In the busiest second: attempts while it is away, and joins. */
  readonly dialsPeak: number;
  readonly joinsPeak: number;
}

/** @param membersOf what client `index` was told at its join */
function returnOf(
  clients: number,
  awayMs: number,
  membersOf: (index: number) => number,
  seed = SEED,
): Outcome {
  const random = seededRandom(seed);
  const dials: number[] = [];
  const joins: number[] = [];
  for (let index = 0; index < clients; index++) {
    const members = membersOf(index);
    let state: RendezvousState = { phase: "joined", attempt: 0, sinceMs: -3_600_000, welcome: WELCOME };
    for (let nowMs = 0; ;) {
      const next = afterLoss(state, { error: lost, nowMs, everJoined: true, members }, random);
      if (next.phase === "stopped") throw new Error("a lost socket does not stop anybody");
      nowMs += next.delayMs;
      dials.push(nowMs);
      if (nowMs >= awayMs) {
        joins.push(nowMs);
        break;
      }
      state = { phase: "joining", attempt: next.attempt };
    }
  }
  return { allBackMs: Math.max(...joins), dialsPeak: busiest(dials), joinsPeak: busiest(joins) };
}

const WELCOME = { kind: "joined", beacons: [], keep: true, relay: true, members: 1, address: "" } as const;

function busiest(timesMs: readonly number[]): number {
  const bySecond = new Map<number, number>();
  for (const ms of timesMs) {
    const second = Math.floor(ms / 1000);
    bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
  }
  return Math.max(...bySecond.values());
}

describe(`2,000 clients, seed=${SEED}`, () => {
  test.each([0, 5_000, 20_000])("that know of each other, edge away for %i ms", (awayMs) => {
    const { allBackMs, dialsPeak, joinsPeak } = returnOf(2_000, awayMs, () => 2_000);
    expect(allBackMs - awayMs).toBeLessThanOrEqual(60_000);
    // As many in each second, and chance on top.
    const fair = (2_000 * 1000) / RETURN_SPREAD_MS_MAX;
    expect(Math.max(dialsPeak, joinsPeak)).toBeLessThan(2 * fair);
  });

  test.each([0, 5_000, 20_000])("that came one by one, edge away for %i ms", (awayMs) => {
    const { allBackMs, dialsPeak, joinsPeak } = returnOf(2_000, awayMs, (index) => index + 1);
    expect(allBackMs - awayMs).toBeLessThanOrEqual(60_000);
    // Client i of n is back within i / RETURNS_PER_SECOND: the harmonic sum of their densities, at the first moment.
    const atOnce = RETURNS_PER_SECOND * (1 + Math.log(2_000 / RETURNS_PER_SECOND));
    expect(Math.max(dialsPeak, joinsPeak)).toBeLessThan(2 * atOnce);
  });
});

/**
 * An edge that takes so many dials a second, in their order, and works for those too who have given up meanwhile, as workerd does: their
 * sockets are in the kernel's queue with all others.
 * @returns ms until all are in, and dials in all
 */
function returnToBusy(
  clients: number,
  perSecond: number,
): { readonly allBackMs: number; readonly dials: number } {
  const random = seededRandom(SEED);
  const error = lost;
  const first = afterLoss(
    { phase: "joined", attempt: 0, sinceMs: -3_600_000, welcome: WELCOME },
    { error, nowMs: 0, everJoined: true, members: clients },
    random,
  );
  if (first.phase === "stopped") throw new Error("a lost socket does not stop anybody");
  let waiting = Array.from({ length: clients }, () => ({
    atMs: random.unit() * RETURN_SPREAD_MS_MAX,
    attempt: first.attempt,
  }));
  let freeMs = 0;
  let dials = 0;
  let allBackMs = 0;
  while (waiting.length > 0) {
    waiting.sort((a, b) => a.atMs - b.atMs);
    // Nobody comes back from a refusal within this time, so its dials are in order.
    const untilMs = (waiting[0]?.atMs ?? 0) + JOIN_TIMEOUT_MS;
    const later = waiting.filter(({ atMs }) => atMs >= untilMs);
    for (const { atMs, attempt } of waiting.filter((one) => one.atMs < untilMs)) {
      dials += 1;
      freeMs = Math.max(freeMs, atMs) + 1_000 / perSecond;
      if (freeMs - atMs <= JOIN_TIMEOUT_MS) {
        allBackMs = Math.max(allBackMs, freeMs);
        continue;
      }
      const nowMs = atMs + JOIN_TIMEOUT_MS;
      const next = afterLoss(
        { phase: "joining", attempt },
        { error, nowMs, everJoined: true, members: clients, tooSlow: true },
        random,
      );
      if (next.phase === "stopped") throw new Error("an edge with too much to do stops nobody");
      later.push({ atMs: nowMs + next.delayMs, attempt: next.attempt });
    }
    waiting = later;
    if (dials > 100 * clients) throw new Error(`${waiting.length} are not in after ${dials} dials`);
  }
  return { allBackMs, dials };
}

test("an edge that manages half of what comes is not kept busy with those who have given up", () => {
  // Without longer waits for the slow this never ends: after 400,000 dials most are not in.
  const { allBackMs, dials } = returnToBusy(4_000, 60);
  expect(allBackMs).toBeLessThan(2 * OVERLOADED_WAIT_MS_MAX);
  expect(dials).toBeLessThan(4 * 4_000);
});

test("an edge that manages a little less than what comes has everybody back as fast as it can", () => {
  expect(returnToBusy(4_000, 100).allBackMs).toBeLessThanOrEqual(100_000);
});

test("a full rendezvous stays below what one object takes", () => {
  expect(returnOf(20_000, 0, () => 20_000).joinsPeak).toBeLessThan(1_000);
});

test("a few are back at once", () => {
  expect(returnOf(20, 0, () => 20).allBackMs).toBeLessThanOrEqual(500);
});
