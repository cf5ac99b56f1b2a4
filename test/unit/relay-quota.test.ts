/** What a relay channel may pass for a member with a quota, against an account that the test answers for. */
import { beforeEach, expect, test } from "vitest";
import { type RelayLoan, RelayQuota } from "../../edge/relay-quota.ts";

const MIB = 1024 * 1024;
/** A loan of it is 1 MiB. */
const QUOTA_BYTES = 16 * MIB;

let asked: RelayLoan[];
let answers: PromiseWithResolvers<number>[];
let waits: Promise<void>[];
beforeEach(() => {
  asked = [];
  answers = [];
  waits = [];
});

function quotaWith(leftBytes: number): RelayQuota {
  return new RelayQuota({
    quotaBytes: QUOTA_BYTES,
    leftBytes,
    lend: (loan) => {
      asked.push(loan);
      const answer = Promise.withResolvers<number>();
      answers.push(answer);
      return answer.promise;
    },
    waitUntil: (answered) => waits.push(answered),
  });
}

/** The account lends so much; undefined: it could not be asked. */
async function answer(bytes: number | undefined): Promise<void> {
  for (const each of answers.splice(0)) {
    if (bytes === undefined) each.reject(new Error("overloaded"));
    else each.resolve(bytes);
  }
  await Promise.all(waits);
}

test("it opens with a loan, and asks for the next when half of it is gone, once", async () => {
  const quota = quotaWith(0);
  const opened = quota.open();
  await answer(MIB);
  await opened;
  expect([quota.leftBytes, asked]).toEqual([MIB, [{ quotaBytes: QUOTA_BYTES, back: 0, wants: MIB }]]);
  expect(quota.take(MIB / 2)).toBe(true);
  expect(asked).toHaveLength(1);
  expect([quota.take(1), quota.take(1)]).toEqual([true, true]);
  expect(asked).toHaveLength(2);
  await answer(MIB);
  expect(quota.leftBytes).toBe(MIB + MIB / 2 - 2);
});

test("while the account does not answer it goes on for one loan more, then no further", () => {
  const quota = quotaWith(MIB);
  expect([quota.take(2 * MIB), quota.take(1)]).toEqual([true, false]);
  expect(quota.leftBytes).toBe(-MIB);
});

test("an account that could not be asked is asked again with the next frame", async () => {
  const quota = quotaWith(0);
  const opened = quota.open();
  await answer(undefined);
  await opened;
  expect(quota.take(1)).toBe(true);
  expect(asked).toHaveLength(2);
});

test("a day that is spent is not asked for again, and nothing is passed beyond what was lent", async () => {
  const quota = quotaWith(10);
  quota.take(1);
  await answer(0);
  expect([quota.take(9), quota.take(1)]).toEqual([true, false]);
  expect(asked).toHaveLength(1);
});

test.each([
  [MIB, 1_000, MIB - 1_000],
  [10, 1_000, -990],
])("of %i bytes, %i were used: %i go back at the end", async (lent, used, back) => {
  const quota = quotaWith(lent);
  quota.take(used);
  quota.settle();
  expect(asked.at(-1)).toEqual({ quotaBytes: QUOTA_BYTES, back, wants: 0 });
  await answer(0);
});

test("nothing is settled where nothing is left", () => {
  quotaWith(0).settle();
  expect(asked).toEqual([]);
});
