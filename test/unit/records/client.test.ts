/** On how many ways a record is put, and when the writer is told. Real holders and real liars: test/sim. */
import { expect, test } from "vitest";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import type { Answer } from "../../../peer/overlay/mesh/requester.ts";
import { putRecord, type PutResult } from "../../../peer/services/records/client.ts";
import { encodeAnswer, type PutStatus } from "../../../peer/services/records/protocol.ts";
import { type KeyedRecord, RECORD_KEY_BYTES } from "../../../peer/services/records/record.ts";
import { TRUSTING } from "../../../peer/simulation/world.ts";

const RECORD: KeyedRecord = {
  kind: "immutable",
  key: new Uint8Array(RECORD_KEY_BYTES),
  expiresAtMs: 3_600_000,
  value: Uint8Array.of(1),
};

/** A put whose ways the test answers. @param size links of the writer */
function put(size = 32) {
  const clock = new SyncClock();
  const ways: ((answer: Answer | undefined) => void)[] = [];
  const results: PutResult[] = [];
  const mesh = {
    size,
    reach: 2 ** 20,
    ask: (_key: number, _body: Uint8Array, done: (answer: Answer | undefined) => void) => {
      ways.push(done);
    },
  };
  putRecord({ mesh, clock, check: TRUSTING }, RECORD, undefined, (result) => results.push(result));
  return {
    clock,
    ways,
    results,
    answer(way: number, status: PutStatus | undefined, copies = 8) {
      const body = status && encodeAnswer({ kind: "put", status, copies, current: undefined });
      ways[way]?.(body === undefined ? undefined : { body, hops: 2, rttMs: 90, firstTry: true });
    },
  };
}

test("the writer is told when two of four ways say that it is kept, and no more go out when all do", () => {
  const { clock, ways, results, answer } = put();
  expect(ways).toHaveLength(4);
  answer(2, "stored");
  expect(results).toEqual([]);
  answer(0, "stored");
  expect(results).toMatchObject([{ status: "stored", copies: 8 }]);
  answer(1, "stored");
  answer(3, "stored");
  clock.advance(10_000);
  expect(ways).toHaveLength(4);
  expect(results).toHaveLength(1);
});

test("while one of the four does not say so two more are taken, although the writer was told", () => {
  const { clock, ways, results, answer } = put();
  for (const way of [0, 1, 2]) answer(way, "stored");
  expect(results).toHaveLength(1);
  clock.advance(700);
  expect(ways).toHaveLength(6);
  for (const way of [3, 4, 5]) answer(way, undefined);
  expect(results).toHaveLength(1);
});

test("few copies are no word that it is kept, and what all ways brought together is told in the end", () => {
  const { ways, results, answer } = put();
  for (let way = 0; way < ways.length; way++) answer(way, way === 3 ? "stored" : undefined, 2);
  expect(ways).toHaveLength(6);
  expect(results).toMatchObject([{ status: "stored", copies: 2 }]);
});

test("where few peers are one way is enough", () => {
  const { results, answer } = put(3);
  answer(0, "stored", 2);
  expect(results).toMatchObject([{ status: "stored", copies: 2 }]);
});

test("where nobody answers, and where all are busy, it is said", () => {
  const silent = put();
  for (let way = 0; way < silent.ways.length; way++) silent.answer(way, undefined);
  expect(silent.results).toMatchObject([{ status: "unanswered", copies: 0 }]);
  const busy = put();
  for (let way = 0; way < busy.ways.length; way++) busy.answer(way, "busy", 0);
  expect(busy.results).toMatchObject([{ status: "busy" }]);
});
