/** Who is closest to a key, among answers of which some are lies. Real hops and real liars: test/sim. */
import { expect, test } from "vitest";
import { encode } from "../../../shared/codec.ts";
import { findClosest, type LookupOptions } from "../../../peer/overlay/mesh/closest.ts";
import type { MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import type { MeshContact } from "../../../peer/overlay/mesh/openings.ts";
import type { Answer, RequestOptions } from "../../../peer/overlay/mesh/requester.ts";

const TARGET = 2 ** 40;
const REACH = 1_000;

function contactsOf(...keys: readonly MeshKey[]): Uint8Array {
  return encode([keys.map((key) => [key, Uint8Array.of(1)])]);
}

/** Each copy is answered by the test, as the requester would: what is not right is no answer. */
function ask(options: LookupOptions) {
  const copies: { readonly target: MeshKey; readonly body: Uint8Array; readonly options: RequestOptions }[] =
    [];
  const waiting: ((answer: Answer | undefined) => void)[] = [];
  const results: (MeshKey[] | undefined)[] = [];
  const host = {
    reach: () => REACH,
    request: (
      target: MeshKey,
      _exact: boolean,
      body: Uint8Array,
      given: RequestOptions,
      done: (answer: Answer | undefined) => void,
    ) => {
      copies.push({ target, body, options: given });
      waiting.push(done);
    },
  };
  const done = (found: readonly MeshContact[] | undefined): void => {
    results.push(found?.map(({ key }) => key));
  };
  findClosest(host, TARGET, options, done);
  return {
    copies,
    results,
    answer(body: Uint8Array | undefined) {
      const given = waiting.shift();
      given?.(body === undefined ? undefined : { body, hops: 2, rttMs: 90, firstTry: true });
    },
  };
}

test("one copy brings what the closest peer tells, by rising distance", () => {
  const { copies, results, answer } = ask({});
  expect(copies.map(({ target }) => target)).toEqual([TARGET]);
  answer(contactsOf(TARGET + 9, TARGET + 2));
  expect(results).toEqual([[TARGET + 2, TARGET + 9]]);
});

test("nobody near enough is no answer, nor is what cannot be read", () => {
  const { copies } = ask({});
  const isRight = copies[0]?.options.isRight as (body: Uint8Array) => boolean;
  expect(isRight(contactsOf(TARGET + 3 * REACH))).toBe(true);
  expect(isRight(contactsOf(TARGET + 3 * REACH + 1))).toBe(false);
  expect(isRight(contactsOf())).toBe(false);
  expect(isRight(Uint8Array.of(0xc1))).toBe(false);
});

test("copies go by different first hops to points beside each other, and their answers count together", () => {
  const { copies, results, answer } = ask({ copies: 3 });
  expect(copies.map(({ target }) => target - TARGET)).toEqual([0, REACH / 8, REACH / 4]);
  expect(new Set(copies.map(({ options }) => options.apart)).size).toBe(1);
  answer(contactsOf(TARGET + 40)); // Hides who is closer.
  answer(contactsOf(TARGET + 2, TARGET + 9));
  expect(results).toEqual([]);
  answer(contactsOf(TARGET + 9, TARGET + 2, TARGET + 11));
  expect(results).toEqual([[TARGET + 2, TARGET + 9, TARGET + 11, TARGET + 40]]);
});

test("more copies go out while no two name the same closest, nine at most", () => {
  const { copies, results, answer } = ask({ copies: 3 });
  for (const each of [5, 4, 3]) answer(contactsOf(TARGET + each));
  expect(copies).toHaveLength(5);
  for (const each of [2, 1]) answer(contactsOf(TARGET + each));
  expect(copies).toHaveLength(7);
  for (const each of [1, 1]) answer(contactsOf(TARGET + each));
  expect(results).toEqual([[TARGET + 1, TARGET + 2, TARGET + 3, TARGET + 4, TARGET + 5]]);

  const alone = ask({ copies: 3 });
  for (let i = 9; i > 0; i--) alone.answer(contactsOf(TARGET + i));
  expect(alone.copies).toHaveLength(9);
  expect(alone.results).toHaveLength(1);
});

test("no answer at all is told as such, after all copies", () => {
  const { copies, results, answer } = ask({ copies: 2 });
  for (let i = 0; i < 10; i++) answer(undefined);
  expect(copies.length).toBeLessThanOrEqual(10);
  expect(results).toEqual([undefined]);
});
