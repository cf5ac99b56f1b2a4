/** The arithmetic of growth: it follows the measured units, and its parts agree with the list prices by hand. */
import { expect, test } from "vitest";
import {
  breaksAt,
  dollarsPerMillionPeerHours,
  growth,
  joinDollars,
  type MeasuredUnits,
  OBJECT_REQUESTS_PER_SECOND,
  readUnits,
  relayDollarsPerGiB,
  shardLoad,
  shardsFor,
} from "../../../infra/scale.ts";

const units: MeasuredUnits = {
  messagesPerJoin: 12,
  messagesPerPeerHour: 0,
  cpuUsPerJoin: 2_000,
  joinsPerSecondLocal: 400,
  idleKiB: 140,
};
const habits = { sessionMinutes: 60, relayedShare: 0.1, relayedMiB: 100 };

test("a join and a GiB cost what the price list says, by hand", () => {
  // 0.30 + 0.15 + 12/20 x 0.15 + 3 ms CPU 0.06 + 12 ms of an object 0.0192 dollars a million.
  expect(joinDollars(units) * 1e6).toBeCloseTo(0.6192, 4);
  // 16,384 frames and 4,096 acknowledgements, 20 a request; 215 s of an object.
  expect(relayDollarsPerGiB()).toBeCloseTo((20_480 / 20) * 0.15e-6 + 214.7 * 1.6e-6, 6);
});

test("peer-hours: nothing idle, joins by session, relay by share", () => {
  expect(dollarsPerMillionPeerHours(units, { ...habits, relayedShare: 0 })).toMatchObject({
    upkeep: 0,
    relay: 0,
  });
  const long = dollarsPerMillionPeerHours(units, habits);
  const short = dollarsPerMillionPeerHours(units, { ...habits, sessionMinutes: 6 });
  expect(short.joins).toBeCloseTo(10 * long.joins, 6);
});

test("shards: few until one is full, and then none help, because they ask each other", () => {
  expect(shardsFor(units, 10)).toBe(1);
  expect(shardsFor(units, OBJECT_REQUESTS_PER_SECOND)).toBe(1);
  expect(shardsFor(units, 5_000)).toBeUndefined();
  expect(shardLoad(units, 100, 32)).toBeGreaterThan(shardLoad(units, 100, 1));
});

test("growth to ten millions is more networks, at a price that grows no faster than peers", () => {
  const [small, large] = [growth(units, habits, 1_000_000), growth(units, habits, 10_000_000)];
  expect(large.networks).toBeGreaterThan(1);
  expect((large.dollarsPerMonth - 5) / (small.dollarsPerMonth - 5)).toBeCloseTo(10, 6);
  const breaks = breaksAt(units, habits);
  expect(breaks.map(({ peers }) => peers)).toEqual(
    breaks.map(({ peers }) => peers).toSorted((a, b) => a - b),
  );
});

test("units are read from the benchmark's and the simulator's lines, or it is said what is missing", () => {
  const edge = (figures: Record<string, unknown>): string =>
    JSON.stringify({ stacks: { "shards-1": figures } });
  const sim = JSON.stringify({ join: { edgeMessages: 9 }, edgeMessagesPerPeerHour: 0.5 });
  const figures = { cpuUsAJoin: { median: 1 }, joinsPerSecond: { median: 2 }, idleKiB: { median: 3 } };
  expect(readUnits(edge(figures), sim)).toEqual({
    messagesPerJoin: 9,
    messagesPerPeerHour: 0.5,
    cpuUsPerJoin: 1,
    joinsPerSecondLocal: 2,
    idleKiB: 3,
  });
  expect(() => readUnits(edge({}), sim)).toThrow("no cpuUsAJoin");
});
