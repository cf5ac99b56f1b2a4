/** More puts and gets than the overlay has requests for: they wait, and are told when it is too long or too many. */
import { expect, test } from "vitest";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { Turns, TURNS_MAX, WAITING_MAX } from "../../../peer/services/records/turns.ts";

/** Works that the test ends. */
function begin(count: number, signal?: AbortSignal) {
  const clock = new SyncClock();
  const turns = new Turns(clock);
  const ends: (() => void)[] = [];
  const one = (id: number): Promise<number> =>
    turns.run(() => new Promise((resolve) => ends.push(() => resolve(id))), signal);
  const all = Array.from({ length: count }, (_, id) => one(id));
  return { clock, one, all, ends };
}

test("so many run at once, the others one by one after them, and all are done", async () => {
  const { all, ends } = begin(200);
  expect(ends).toHaveLength(TURNS_MAX);
  for (const [id, done] of all.entries()) {
    ends[id]?.();
    expect(await done).toBe(id);
    expect(ends.length).toBeLessThanOrEqual(id + 1 + TURNS_MAX);
  }
  expect(ends).toHaveLength(200);
});

test("one that fails leaves its turn to the next", async () => {
  const turns = new Turns(new SyncClock());
  const failed = Array.from({ length: 3 * TURNS_MAX }, () =>
    turns.run(() => Promise.reject(new Error("no"))),
  );
  for (const { status } of await Promise.allSettled(failed)) expect(status).toBe("rejected");
  await expect(turns.run(() => Promise.resolve(1))).resolves.toBe(1);
});

test("who is aborted waits no longer", async () => {
  const controller = new AbortController();
  const { all, ends } = begin(TURNS_MAX + 2, controller.signal);
  controller.abort(new Error("enough"));
  await expect(all[TURNS_MAX]).rejects.toThrow("enough");
  await expect(all[TURNS_MAX + 1]).rejects.toThrow("enough");
  for (const end of ends) end();
  await expect(all[0]).resolves.toBe(0);
});

test("too many, and too long a wait, have a code of their own", async () => {
  const { clock, one, all } = begin(TURNS_MAX + WAITING_MAX);
  await expect(one(-1)).rejects.toMatchObject({ code: "records/busy" });
  const last = all
    .slice(TURNS_MAX)
    .map((each) => expect(each).rejects.toMatchObject({ code: "records/busy" }));
  clock.advance(30_000);
  await Promise.all(last);
});

test("ways that outlast who took them keep others from beginning until they end", async () => {
  const turns = new Turns(new SyncClock());
  const silent: (() => void)[] = [];
  const mesh = turns.over({
    size: 32,
    reach: 1,
    ask: (_key, _body, done) => silent.push(() => done(undefined)),
  });
  let begun = 0;
  const one = (): Promise<void> =>
    turns.run(() => {
      begun += 1;
      for (let way = 0; way < 2; way++) mesh.ask(0, new Uint8Array(0), () => {});
      return Promise.resolve();
    });
  const all = Array.from({ length: 100 }, one);
  await all[63];
  expect(begun).toBe(64);
  while (silent.length > 0) {
    silent.shift()?.();
    await new Promise(setImmediate);
    // The last to begin takes two where there was room for one.
    expect(silent.length).toBeLessThanOrEqual(2 * 64 + 1);
  }
  await Promise.all(all);
  expect(begun).toBe(100);
});
