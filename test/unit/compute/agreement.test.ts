/** What is believed of one task, exhaustively for few workers: every order of answers, every set of liars. */
import { expect, test } from "vitest";
import { Agreement, type Verdict } from "../../../peer/services/compute/agreement.ts";
import type { Outcome } from "../../../peer/services/compute/outcome.ts";
import type { ErrorCode } from "../../../shared/errors.ts";

const value = (byte: number): Outcome => ({ kind: "value", value: Uint8Array.of(byte) });
const failure = (code: ErrorCode): Outcome => ({ kind: "failure", code });
const RIGHT = value(1);

/** The verdict after these answers, each of the worker of that number. */
function after(agree: number, answers: readonly Outcome[]): Verdict<number> {
  const agreement = new Agreement<number>(agree);
  let verdict: Verdict<number> = { kind: "open" };
  for (const [worker, outcome] of answers.entries()) {
    verdict = agreement.vote(worker, outcome);
    if (verdict.kind !== "open") break;
  }
  return verdict;
}

function* sequences<T>(items: readonly T[], length: number): Generator<T[]> {
  if (length === 0) yield [];
  else for (const rest of sequences(items, length - 1)) for (const item of items) yield [...rest, item];
}

test.each([1, 2, 3])(
  "with fewer than %i liars nothing wrong is ever taken, and something right is",
  (agree) => {
    const lies = [value(2), value(3), failure("compute/trap"), failure("compute/time-limit")];
    let cases = 0;
    // As many workers as are needed to outvote them, each honest one saying what is right; null stands for a lie of any kind.
    for (const plan of sequences([RIGHT, ...lies], 2 * agree - 1)) {
      if (plan.filter((outcome) => outcome !== RIGHT).length >= agree) continue;
      cases += 1;
      const verdict = after(agree, plan);
      if (verdict.kind !== "agreed") throw new Error(`${verdict.kind} after ${JSON.stringify(plan)}`);
      expect(verdict.outcome).toBe(RIGHT);
      for (const worker of verdict.by) expect(plan[worker]).toBe(RIGHT);
      for (const worker of verdict.wrong) expect(plan[worker]).not.toBe(RIGHT);
      // Everybody who had answered otherwise by then is named, but for those who may only have been slow.
      const answered = plan.slice(0, Math.max(...verdict.by) + 1);
      const contradicted = answered.flatMap((outcome, worker) =>
        outcome !== RIGHT && outcome !== lies[3] ? [worker] : [],
      );
      expect(verdict.wrong).toEqual(contradicted);
    }
    expect(cases).toBeGreaterThan(0);
  },
);

test("a failure of the task needs two, a value needs only those that must agree", () => {
  const trap = failure("compute/trap");
  expect(after(1, [trap])).toEqual({ kind: "open" });
  expect(after(1, [trap, trap])).toMatchObject({ kind: "agreed", outcome: trap });
  expect(after(1, [trap, RIGHT])).toMatchObject({ kind: "agreed", outcome: RIGHT, wrong: [0] });
  expect(after(3, [trap, trap])).toEqual({ kind: "open" });
});

test("where nobody else is there, one failure is enough for who asked for one answer, and not for who asked for two", () => {
  for (const [agree, kind] of [
    [1, "agreed"],
    [2, "open"],
  ] as const) {
    const agreement = new Agreement<number>(agree);
    agreement.vote(0, failure("compute/time-limit"));
    expect(agreement.exhausted().kind).toBe(kind);
  }
});

test("a host with less stack than another does not lie", () => {
  const shallow = failure("compute/stack-limit");
  expect(after(2, [shallow, RIGHT, RIGHT])).toMatchObject({ kind: "agreed", outcome: RIGHT, wrong: [] });
  expect(after(2, [shallow, shallow])).toMatchObject({ kind: "agreed", outcome: shallow });
});

test("two that were too slow do not outvote one that was not", () => {
  const slow = failure("compute/time-limit");
  expect(after(2, [RIGHT, slow, slow])).toEqual({ kind: "open" });
  expect(after(2, [RIGHT, slow, slow, RIGHT])).toMatchObject({ kind: "agreed", by: [0, 3], wrong: [] });
  expect(after(2, [slow, slow])).toMatchObject({ kind: "agreed", outcome: slow });
});

test("a module that never gives the same twice is found out, with as many answers as liars could need", () => {
  expect(after(2, [value(1), value(2)])).toEqual({ kind: "open" });
  expect(after(2, [value(1), value(2), value(3)])).toEqual({ kind: "split" });
  expect(after(3, [value(1), value(2), value(3), value(4), value(5)])).toEqual({ kind: "split" });
});

test("who answers twice counts once, and who lied elsewhere not at all", () => {
  const agreement = new Agreement<string>(2);
  agreement.vote("a", RIGHT);
  expect(agreement.vote("a", RIGHT)).toEqual({ kind: "open" });
  expect(agreement.missing).toBe(1);
  agreement.discount("a");
  expect(agreement.missing).toBe(2);
  expect(agreement.vote("b", RIGHT)).toEqual({ kind: "open" });
  expect(agreement.vote("c", RIGHT)).toMatchObject({ kind: "agreed", by: ["b", "c"] });
});
