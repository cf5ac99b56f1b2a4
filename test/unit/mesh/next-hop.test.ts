import { expect, test } from "vitest";
import { chooseHop, closestHop } from "../../../peer/overlay/mesh/next-hop.ts";
import { type MeshLink, Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";

const TOP = 2 ** 51;
const ANYTHING = 2 ** 52;

function neighbour(
  key: number,
  rttMs: number,
  knows: readonly (readonly [key: number, rttMs: number])[] = [],
): Neighbour {
  const link: MeshLink = { key, contact: new Uint8Array(0), send: () => {}, close: () => {} };
  const made = new Neighbour(link, 0);
  made.measured(rttMs);
  for (const [each, rtt] of knows) made.digest.set({ key: each, rttMs: rtt, x: 0, y: 0, height: 1 });
  return made;
}

const question = { own: 0, target: TOP, below: TOP, path: [], dead: [], promise: ANYTHING, greedy: false };

test("whoever knows somebody closer goes before whoever is closer alone", () => {
  const near = neighbour(TOP + 2 ** 40, 50);
  const knowing = neighbour(5, 50, [[TOP + 1, 50]]);
  const choice = chooseHop([near, knowing], question);
  expect(choice?.neighbour).toBe(knowing);
  expect(choice?.promise).toBe(1);
});

test("of two that promise the same, the nearer in time", () => {
  const slow = neighbour(5, 300, [[TOP, 10]]);
  const quick = neighbour(6, 20, [[TOP, 10]]);
  expect(chooseHop([slow, quick], question)?.neighbour).toBe(quick);
});

test("a promise must be kept or beaten", () => {
  const knowing = neighbour(5, 20, [[TOP + 8, 10]]);
  expect(chooseHop([knowing], { ...question, promise: 8 })).toBeUndefined();
  expect(chooseHop([knowing], { ...question, promise: 9 })?.promise).toBe(8);
  // The peer that was promised is taken, though it promises no more.
  const promised = neighbour(TOP + 8, 20);
  expect(chooseHop([promised], { ...question, promise: 8 })?.neighbour).toBe(promised);
});

test("nobody is visited twice, and neither the dead nor the suspect are counted on", () => {
  const first = neighbour(TOP + 4, 20);
  const second = neighbour(7, 20, [[TOP + 4, 10]]);
  expect(chooseHop([first, second], { ...question, path: [TOP + 4] })).toBeUndefined();
  expect(chooseHop([first, second], { ...question, dead: [TOP + 4] })).toBeUndefined();
  first.suspectSinceMs = 1;
  expect(chooseHop([first], question)).toBeUndefined();
  expect(chooseHop([second], { ...question, avoid: ({ key }) => key === 7 })).toBeUndefined();
});

test("greedy steps are plain: only a closer neighbour counts", () => {
  const knowing = neighbour(5, 20, [[TOP, 10]]);
  expect(chooseHop([knowing], { ...question, own: TOP + 2, below: 2, greedy: true })).toBeUndefined();
  const closer = neighbour(TOP + 1, 500);
  expect(chooseHop([knowing, closer], { ...question, own: TOP + 2, below: 2, greedy: true })?.neighbour).toBe(
    closer,
  );
  expect(closestHop([knowing, closer], question, Number.POSITIVE_INFINITY, [TOP + 1])?.neighbour).toBe(
    knowing,
  );
});
