import { afterEach, beforeEach, expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";

let clock: SimClock;
beforeEach(() => {
  clock = new SimClock();
});
afterEach(() => clock.close());

test("events happen by time, and in order of coming among equals", async () => {
  const happened: string[] = [];
  const note = (name: string, delayMs: number): void => {
    clock.setTimer(delayMs, () => happened.push(`${name}@${clock.monotonicMs()}`));
  };
  note("late", 20);
  note("first", 10);
  note("second", 10);
  clock.defer(() => happened.push("deferred"));
  await clock.run();
  expect(happened).toEqual(["deferred", "first@10", "second@10", "late@20"]);
});

test("many events in random order come out sorted", async () => {
  const random = seededRandom(5);
  const times: number[] = [];
  const timers = Array.from({ length: 500 }, () =>
    clock.schedule(random.integer(0, 100), () => times.push(clock.monotonicMs())),
  );
  for (const timer of timers.slice(0, 100)) timer.cancel();
  await clock.run();
  expect(times).toHaveLength(400);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
});

test("time moves exactly as far as it is told", async () => {
  let rang = 0;
  clock.setTimer(100, () => (rang += 1));
  await clock.advance(99.5);
  expect([rang, clock.monotonicMs()]).toEqual([0, 99.5]);
  await clock.advance(0.5);
  expect([rang, clock.monotonicMs(), clock.timersPending]).toEqual([1, 100, 0]);
});

test("a cancelled timer does not ring and is not pending; cancelling what has rung changes nothing", async () => {
  let rang = 0;
  const timer = clock.setTimer(5, () => (rang += 1));
  const other = clock.setTimer(7, () => (rang += 10));
  timer.cancel();
  timer.cancel();
  expect(clock.timersPending).toBe(1);
  await clock.run();
  other.cancel();
  expect([rang, clock.timersPending]).toEqual([10, 0]);
});

test("promises, Web streams and WebCrypto are over before time moves", async () => {
  const seen: string[] = [];
  const work = async (): Promise<void> => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const written = writer.write(new Uint8Array(10)).then(() => writer.close());
    for await (const chunk of readable) {
      await crypto.subtle.digest("SHA-256", chunk.slice());
      const pair = (await crypto.subtle.generateKey({ name: "X25519" }, false, [
        "deriveBits",
      ])) as CryptoKeyPair;
      await crypto.subtle.exportKey("raw", pair.publicKey);
    }
    await written;
    seen.push(`worked@${clock.monotonicMs()}`);
  };
  const working = work();
  clock.setTimer(1, () => seen.push("rang"));
  await clock.run();
  await working;
  expect(seen).toEqual(["worked@0", "rang"]);
});

test("WebCrypto answers in the order of the calls, whatever its threads do", async () => {
  const order: number[] = [];
  const sizes = [4_000_000, 10, 2_000_000, 10, 10];
  const calls = sizes.map((size, index) =>
    crypto.subtle.digest("SHA-512", new Uint8Array(size)).then(() => order.push(index)),
  );
  await clock.settle();
  expect(order).toEqual([0, 1, 2, 3, 4]);
  await Promise.all(calls);
});

test("a failing WebCrypto call fails its caller only", async () => {
  const bad = crypto.subtle.importKey("raw", new Uint8Array(3), { name: "X25519" }, false, []);
  const good = crypto.subtle.digest("SHA-256", new Uint8Array(1));
  await expect(bad).rejects.toThrow();
  await expect(good).resolves.toBeInstanceOf(ArrayBuffer);
  await clock.settle();
});

test("closing the last clock gives WebCrypto back", () => {
  const other = new SimClock();
  other.close();
  other.close();
  expect(Object.hasOwn(crypto.subtle, "digest")).toBe(true);
  clock.close();
  expect(Object.hasOwn(crypto.subtle, "digest")).toBe(false);
});

test("runUntil stops at the answer, and says when none can come", async () => {
  clock.setTimer(1_000, () => {});
  const answer = clock.sleep(10).then(() => "done");
  expect(await clock.runUntil(answer)).toBe("done");
  expect(clock.monotonicMs()).toBe(10);
  await expect(clock.runUntil(new Promise(() => {}), 500)).rejects.toThrow("500 ms of virtual time");
  await expect(clock.runUntil(new Promise(() => {}))).rejects.toThrow("nothing is left to happen");
});

test("sleep ends with its signal's reason and leaves no timer", async () => {
  const abort = new AbortController();
  const slept = clock.sleep(10_000, abort.signal);
  const outcome = expect(slept).rejects.toBe("enough");
  abort.abort("enough");
  await outcome;
  expect(clock.timersPending).toBe(0);
  await expect(clock.sleep(1, abort.signal)).rejects.toBe("enough");
});

test("an exception in an event reaches whoever drives the clock", async () => {
  clock.setTimer(1, () => {
    throw new Error("broken");
  });
  await expect(clock.run()).rejects.toThrow("broken");
});
