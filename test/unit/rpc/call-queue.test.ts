import { expect, test } from "vitest";
import { CALL_BYTES_MAX, CallQueue, WAITING_MAX } from "../../../peer/services/rpc/call-queue.ts";

/** A call that ends when it is told to. */
function call() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const state = { started: false };
  return {
    state,
    end: resolve,
    run: () => {
      state.started = true;
      return promise;
    },
  };
}

const turn = (): Promise<void> => new Promise(setImmediate);

test("so many run, the others wait in order, and one that leaves is skipped", async () => {
  const queue = new CallQueue(2);
  const calls = Array.from({ length: 5 }, call);
  const leave = calls.map(({ run }) => queue.enter(1, run));
  const started = (): boolean[] => calls.map(({ state }) => state.started);
  expect(started()).toEqual([true, true, false, false, false]);
  leave[2]?.();
  calls[0]?.end();
  await turn();
  expect(started()).toEqual([true, true, false, true, false]);
  let isIdle = false;
  const idle = queue.idle().then(() => (isIdle = true));
  for (const { end } of calls) end();
  await idle;
  expect(started()).toEqual([true, true, false, true, true]);
  expect(isIdle).toBe(true);
});

test("more than may wait has no room, and neither have too many bytes", () => {
  const queue = new CallQueue(1);
  for (let i = 0; i < WAITING_MAX + 1; i++) expect(queue.enter(1, call().run)).toBeDefined();
  expect(queue.enter(1, call().run)).toBeUndefined();
  const other = new CallQueue(1);
  expect(other.enter(CALL_BYTES_MAX, call().run)).toBeDefined();
  expect(other.enter(1, call().run)).toBeUndefined();
});

test("bytes are given back when a call ends or leaves", async () => {
  const queue = new CallQueue(1);
  const first = call();
  queue.enter(CALL_BYTES_MAX - 1, first.run);
  const leave = queue.enter(1, call().run);
  expect(queue.enter(1, call().run)).toBeUndefined();
  leave?.();
  leave?.();
  expect(queue.enter(1, call().run)).toBeDefined();
  first.end();
  await turn();
  expect(queue.enter(CALL_BYTES_MAX - 1, call().run)).toBeDefined();
  expect(queue.enter(1, call().run)).toBeUndefined();
});
