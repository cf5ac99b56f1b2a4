/** Own requests of the overlay: which copy counts as the first, when others follow, and what denials do. Real hops: test/sim. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import type { Forward, Reply } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { Neighbour } from "../../../peer/overlay/mesh/neighbour.ts";
import { distance, type MeshKey } from "../../../peer/overlay/mesh/mesh-key.ts";
import { UNBOUNDED } from "../../../peer/overlay/mesh/next-hop.ts";
import { type Answer, Apart, Requester, type RequestOptions } from "../../../peer/overlay/mesh/requester.ts";

const OWN = 7;
const TARGET = 99;

function neighbour(key: number): Neighbour {
  return new Neighbour({ key, contact: new Uint8Array(0), send: () => {}, close: () => {} }, 0);
}

/** @param seconds whom each first hop counts on, in turn; without them none says */
function scripted(seconds: readonly MeshKey[] = []): {
  readonly clock: SyncClock;
  readonly requester: Requester;
  readonly sent: Forward[];
  readonly hops: Neighbour[];
  ask(options?: RequestOptions): { answers: (Answer | undefined)[] };
  answer(copy: number, found?: boolean, body?: Uint8Array): void;
} {
  const clock = new SyncClock();
  const hops = [1, 2, 3, 4, 5, 6, 7, 8].map(neighbour);
  const sent: Forward[] = [];
  const requester = new Requester({
    own: OWN,
    clock,
    random: seededRandom("requester"),
    start: (copy, apart) => {
      sent.push(copy);
      const neighbour = hops.find((one) => !apart.isNear(one));
      const second = seconds[sent.length - 1];
      const promise = second === undefined ? UNBOUNDED : distance(copy.target, second);
      return neighbour === undefined ? undefined : { neighbour, promise };
    },
  });
  return {
    clock,
    requester,
    sent,
    hops,
    ask(options = {}) {
      const answers: (Answer | undefined)[] = [];
      requester.request(TARGET, true, new Uint8Array(1), options, (answer) => answers.push(answer));
      return { answers };
    },
    answer(copy, found = true, body = new Uint8Array(0)) {
      const { mid } = sent[copy] as Forward;
      const reply: Reply = {
        kind: "reply",
        mid,
        origin: OWN,
        path: [],
        hops: 3,
        found,
        body,
      };
      requester.answered(reply);
    },
  };
}

test("the first copy's answer is one at the first try, even when others have followed it", () => {
  const { clock, sent, ask, answer } = scripted();
  const { answers } = ask();
  clock.advance(460);
  expect(sent).toHaveLength(3);
  answer(0);
  expect(answers).toMatchObject([{ rttMs: 460, firstTry: true }]);
  answer(1);
  expect(answers).toHaveLength(1);
});

test("an answer that a later copy brought is none at the first try, and the silent hop answers for it", () => {
  const { clock, sent, hops, ask, answer } = scripted();
  const { answers } = ask();
  clock.advance(500);
  answer(2);
  expect(answers).toMatchObject([{ rttMs: 500, firstTry: false }]);
  expect(hops.map(({ answered }) => answered < 1).slice(0, 3)).toEqual([true, false, false]);
  expect(sent.every(({ path, target }) => path.length === 0 && target === TARGET)).toBe(true);
});

test("where all answers are slow, others follow later", () => {
  const { clock, sent, ask, answer } = scripted();
  for (let i = 0; i < 20; i++) {
    ask();
    const first = sent.length - 1;
    clock.advance(700);
    answer(first);
  }
  const before = sent.length;
  ask();
  clock.advance(700);
  expect(sent).toHaveLength(before + 1);
});

test("a denial sends two others at once, and is believed when all agree once more", () => {
  const { clock, sent, ask, answer } = scripted();
  const { answers } = ask();
  answer(0, false);
  expect(sent).toHaveLength(3);
  answer(1, false);
  answer(2, false);
  expect(answers).toEqual([]);
  clock.advance(500);
  answer(3, false);
  expect(answers).toEqual([undefined]);
});

test("silence ends a request after five seconds, and closing ends it at once", () => {
  const { clock, requester, ask } = scripted();
  const first = ask();
  clock.advance(4_999);
  expect(first.answers).toEqual([]);
  clock.advance(1);
  expect(first.answers).toEqual([undefined]);
  const second = ask();
  requester.close();
  expect(second.answers).toEqual([undefined]);
  expect(ask().answers).toEqual([undefined]);
});

test("an answer that cannot be right ends nothing: another first hop is asked at once, and the liar's is blamed", () => {
  const { clock, sent, hops, ask, answer } = scripted();
  const { answers } = ask({ isRight: (body) => body[0] === 1 });
  answer(0);
  // Once, however often it is said, and what comes by that copy counts no more.
  answer(0);
  answer(0, true, new Uint8Array([1]));
  expect(answers).toEqual([]);
  expect(sent).toHaveLength(2);
  expect((hops[0] as Neighbour).answered).toBeLessThan((hops[1] as Neighbour).answered);
  answer(1, true, new Uint8Array([1]));
  expect(answers).toMatchObject([{ firstTry: false, body: new Uint8Array([1]) }]);
  // Who hears lies alone asks no more than so often, and has no answer in the end.
  const before = sent.length;
  const lied = ask({ isRight: () => false });
  for (let copy = before; copy < sent.length; copy++) answer(copy);
  expect(sent.length - before).toBe(9);
  clock.advance(6_000);
  expect(lied.answers).toEqual([undefined]);
});

test("where one lies, others are still believed when they agree that nobody is there", () => {
  const { clock, sent, ask, answer } = scripted();
  const { answers } = ask({ isRight: () => false });
  answer(0);
  for (let copy = 1; copy < 4; copy++) answer(copy, false);
  expect(answers).toEqual([]);
  clock.advance(500);
  expect(sent).toHaveLength(5);
  answer(4, false);
  expect(answers).toEqual([undefined]);
});

/** An answer of one byte is the peer's own when that is 1. */
const proving: RequestOptions = { isProved: (body, done) => done(body[0] === 1) };
const OWN_WORD = Uint8Array.of(1);
const CLAIM = Uint8Array.of(2);

test("what the peer asked does not show to be its own ends nothing: two others are asked at once, and who brought it is blamed", () => {
  const { sent, hops, ask, answer } = scripted();
  const { answers } = ask(proving);
  answer(0, true, CLAIM);
  // Once, however often it is said.
  answer(0, true, CLAIM);
  expect(sent).toHaveLength(3);
  expect(hops.every(({ answered }) => answered === 1)).toBe(true);
  answer(1, false);
  expect(answers).toEqual([]);
  answer(2, true, OWN_WORD);
  expect(answers).toMatchObject([{ body: OWN_WORD, firstTry: false }]);
  expect(hops.map(({ answered }) => answered < 1).slice(0, 3)).toEqual([true, false, false]);
});

test("where all say it, by seven ways, it is believed: an older peer proves nothing", () => {
  const { clock, sent, hops, ask, answer } = scripted();
  const { answers } = ask(proving);
  for (let copy = 0; copy < 3; copy++) answer(copy, true, CLAIM);
  expect(sent).toHaveLength(3);
  clock.advance(500);
  expect(sent).toHaveLength(7);
  for (let copy = 3; copy < 7; copy++) {
    expect(answers).toEqual([]);
    answer(copy, true, CLAIM);
  }
  expect(answers).toMatchObject([{ body: CLAIM }]);
  expect(sent).toHaveLength(7);
  expect(hops.every(({ answered }) => answered === 1)).toBe(true);
});

test.each([
  [3, undefined],
  [4, CLAIM],
])("%i who claim against the rest of seven who deny: %s", (claims, body) => {
  const { clock, ask, answer } = scripted();
  const { answers } = ask(proving);
  for (let copy = 0; copy < 7; copy++) {
    if (copy === 3) clock.advance(500);
    answer(copy, copy < claims, CLAIM);
  }
  expect(answers.map((each) => each?.body)).toEqual([body]);
});

test("a claim with silence all around is believed when the time is over, and a proof may take its time", () => {
  const { clock, ask, answer } = scripted();
  const silent = ask(proving);
  answer(0, true, CLAIM);
  clock.advance(5_000);
  expect(silent.answers).toMatchObject([{ body: CLAIM, rttMs: 0 }]);
  const late: ((isProved: boolean) => void)[] = [];
  const other = scripted();
  const { answers } = other.ask({ isProved: (_, done) => late.push(done) });
  other.answer(0);
  other.answer(0);
  expect(late).toHaveLength(1);
  other.clock.advance(10);
  late[0]?.(true);
  late[0]?.(true);
  expect(answers).toMatchObject([{ rttMs: 0, firstTry: true }]);
});

test("requests for one thing go apart, by the first step and by the second, but never around the peer looked for", () => {
  const { sent, hops, ask } = scripted([1_001, 1_002, TARGET, neighbour(4).key]);
  const apart = new Apart();
  for (let i = 0; i < 5; i++) ask({ apart });
  expect([...apart.first]).toEqual(hops.slice(0, 5).map(({ key }) => key));
  expect(sent.map(({ dead }) => dead)).toEqual([[], [1_001], [1_001, 1_002], [1_001, 1_002], [1_001, 1_002]]);
  ask();
  expect(sent.at(-1)?.dead).toEqual([]);
});

test("a denial that is repeated sends nothing more", () => {
  const { sent, ask, answer } = scripted();
  const { answers } = ask();
  for (let i = 0; i < 300; i++) answer(0, false);
  expect(sent).toHaveLength(3);
  expect(answers).toEqual([]);
});

test("so many requests may be under way, however many copies each has", () => {
  const { ask, clock } = scripted();
  const asked = Array.from({ length: 256 }, () => ask({ copies: 3 }));
  expect(asked.filter(({ answers }) => answers.length > 0)).toEqual([]);
  expect(ask().answers).toEqual([undefined]);
  clock.advance(5_000);
  expect(ask().answers).toEqual([]);
});
