/** What a reader gets: one sender's messages in order, a bounded queue, and a judge that lets nobody crowd out the others. */
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";
import { generateIdentity } from "../../../peer/identity/identity.ts";
import { type Envelope, sealEnvelope } from "../../../peer/services/topics/envelope.ts";
import { Inbox, INBOX_MAX } from "../../../peer/services/topics/inbox.ts";
import { Judge, NEIGHBOUR_SHARE, requireVerdict, VALIDATE_MS } from "../../../peer/services/topics/judge.ts";
import { FIRST_MS, GAP_MS, GAP_MS_MAX, HELD_MAX, SenderOrder } from "../../../peer/services/topics/order.ts";
import { PAST_MS, PastFirst, type PastItem } from "../../../peer/services/topics/past-first.ts";
import type { Verdict } from "../../../peer/services/topics/topic-duties.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";

const random = seededRandom(2);
const publisher = peerIdFromKey(random.bytes(32));

describe("one sender's order", () => {
  function order(isAwaited: (announcedByMs: number) => boolean = () => false): {
    clock: SyncClock;
    got: number[];
    add(...seqs: number[]): void;
    all: SenderOrder<Item>;
  } {
    const clock = new SyncClock();
    const got: number[] = [];
    const all = new SenderOrder<Item>({
      clock,
      isAwaited: (_, announcedByMs) => isAwaited(announcedByMs),
      emit: ({ seq, runMs }) => got.push(runMs * 1_000 + seq),
    });
    return {
      clock,
      got,
      add: (...seqs) => seqs.forEach((seq) => all.add({ publisher, runMs: 0, seq })),
      all,
    };
  }
  interface Item {
    readonly publisher: typeof publisher;
    readonly runMs: number;
    readonly seq: number;
  }

  test("is kept, whatever order they come in", () => {
    const { got, add } = order();
    add(0, 3, 1, 2, 5, 4);
    expect(got).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("what is missing is waited for, then passed over", () => {
    const { clock, got, add, all } = order();
    add(0, 2, 3);
    clock.advance(GAP_MS - 1);
    expect(got).toEqual([0]);
    clock.advance(1);
    add(1);
    expect(got).toEqual([0, 2, 3]);
    expect(all.missed).toBe(1);
    add(4);
    expect(got).toEqual([0, 2, 3, 4]);
  });

  test("what is announced is waited for until it comes, or its time is over", () => {
    let isAnnounced = true;
    const { clock, got, add, all } = order((byMs) => isAnnounced && byMs >= 0);
    add(0, 2);
    clock.advance(GAP_MS_MAX - 1_000);
    expect(got).toEqual([0]);
    add(1);
    expect(got).toEqual([0, 1, 2]);
    add(4);
    clock.advance(GAP_MS + 500);
    isAnnounced = false;
    clock.advance(100);
    expect(got).toEqual([0, 1, 2, 4]);
    isAnnounced = true;
    add(6);
    clock.advance(GAP_MS_MAX + 100);
    expect(got).toEqual([0, 1, 2, 4, 6]);
    add(3, 5);
    expect(all.missed).toBe(2);
  });

  test("what is missing has its whole time, whatever was missing before it", () => {
    const { clock, got, add, all } = order();
    add(0, 2);
    clock.advance(GAP_MS - 1);
    add(4, 1);
    clock.advance(GAP_MS - 1);
    add(3);
    expect(got).toEqual([0, 1, 2, 3, 4]);
    add(6, 8);
    clock.advance(GAP_MS);
    expect(got).toEqual([0, 1, 2, 3, 4, 6, 8]);
    expect(all.missed).toBe(2);
  });

  test("a number that brings nothing holds nobody up", () => {
    const { got, add, all } = order();
    add(0, 2);
    all.none({ publisher, runMs: 0, seq: 1 });
    all.none({ publisher, runMs: 0, seq: 3 });
    add(4);
    expect([got, all.missed]).toEqual([[0, 2, 4], 0]);
  });

  test("of one not heard before, the earliest of a short time is the first", () => {
    const { clock, got, add } = order();
    add(8, 7);
    expect(got).toEqual([]);
    clock.advance(FIRST_MS);
    expect(got).toEqual([7, 8]);
  });

  test("what waits is bounded", () => {
    const { got, add } = order();
    add(0, ...Array.from({ length: HELD_MAX + 1 }, (_, i) => i + 2));
    expect(got).toHaveLength(HELD_MAX + 2);
  });

  test("goes on after the past, and begins anew with a new run", () => {
    const { got, all, add } = order();
    all.passed({ publisher, runMs: 0, seq: 6 });
    add(5, 7);
    all.add({ publisher, runMs: 1, seq: 0 });
    add(8);
    expect(got).toEqual([7, 1_000]);
  });
});

describe("the past", () => {
  function past(): { clock: SyncClock; got: string[]; past: PastFirst<PastItem>; say(seq: number): void } {
    const clock = new SyncClock();
    const got: string[] = [];
    const all = new PastFirst(clock, 2, ({ seq }: PastItem) => got.push(`past ${seq}`));
    const say = (seq: number): void => all.after(() => got.push(`new ${seq}`));
    return { clock, got, past: all, say };
  }
  const item = (seq: number): PastItem => ({ publisher, seq, message: { timeMs: seq } });

  test("is given out before what is new, however long there was no neighbour to tell it", () => {
    const { clock, got, past: all, say } = past();
    clock.advance(10 * PAST_MS);
    for (const seq of [3, 1, 2]) all.told(item(seq));
    say(4);
    expect(got).toEqual([]);
    all.over();
    say(5);
    expect(got).toEqual(["past 2", "past 3", "new 4", "new 5"]);
  });

  test("does not hold up what is new for long", () => {
    const { clock, got, past: all, say } = past();
    clock.advance(10 * PAST_MS);
    say(2);
    clock.advance(PAST_MS - 1);
    all.told(item(1));
    expect(got).toEqual([]);
    clock.advance(1);
    expect(got).toEqual(["past 1", "new 2"]);
  });
});

describe("a reader's queue", () => {
  test("waits, keeps what is unread, and ends", async () => {
    const inbox = new Inbox<number>();
    const first = inbox.next();
    inbox.add(1, 1);
    inbox.add(2, 1);
    inbox.end();
    inbox.add(3, 1);
    expect(await first).toEqual({ done: false, value: 1 });
    const rest: number[] = [];
    for await (const each of inbox) rest.push(each);
    expect(rest).toEqual([2]);
  });

  test("is bounded, the oldest are left out", async () => {
    const inbox = new Inbox<number>();
    for (let i = 0; i < INBOX_MAX + 5; i++) inbox.add(i, 1);
    expect(inbox.missed).toBe(5);
    expect((await inbox.next()).value).toBe(5);
    inbox.add(0, 16 * 1024 * 1024);
    expect(inbox.missed).toBeGreaterThan(INBOX_MAX - 10);
  });

  test("ends with the reason, for those that wait too", async () => {
    const inbox = new Inbox<number>();
    const waiting = inbox.next();
    inbox.end(new PeerloomError("topics/closed", "over"));
    await expect(waiting).rejects.toMatchObject({ code: "topics/closed" });
    await expect(inbox.next()).rejects.toMatchObject({ code: "topics/closed" });
  });
});

describe("the judge", () => {
  const key = random.bytes(32);
  const log = { debug: (): void => {}, warn: (): void => {} };

  async function envelopeOf(): Promise<Envelope> {
    const identity = await generateIdentity(random);
    const fields = { publisher: identity.id, runMs: 1, seq: 0, timeMs: 1, body: Uint8Array.of(1, 0x61) };
    return sealEnvelope(key, { kind: "value", ...fields }, (bytes) => identity.sign(bytes));
  }

  async function verdict(validate: () => Verdict | Promise<Verdict>, envelope?: Envelope): Promise<string> {
    const clock = new SyncClock();
    const judge = new Judge({
      clock,
      log,
      topicKey: () => key,
      validate: () => {
        const word = validate();
        clock.setTimer(0, () => {});
        queueMicrotask(() => clock.advance(VALIDATE_MS));
        return word;
      },
    });
    const subject = { from: publisher, id: "", envelope: envelope ?? (await envelopeOf()), isPast: false };
    return new Promise((resolve) => judge.take(subject, resolve));
  }

  test("tells a forgery before the application hears of it", async () => {
    const envelope = await envelopeOf();
    const changed = {
      ...envelope,
      bytes: Uint8Array.from(envelope.bytes, (byte, i) => (i === 134 ? byte ^ 1 : byte)),
    };
    let asked = 0;
    expect(await verdict(() => (asked++, "accept"), changed)).toBe("forged");
    expect(asked).toBe(0);
    expect(await verdict(() => "accept", envelope)).toBe("accept");
  });

  test("an application that throws, or does not decide, has ignored it", async () => {
    const fails = (): Verdict => {
      throw new Error("a mistake");
    };
    expect(await verdict(fails)).toBe("ignore");
    expect(await verdict(() => Promise.reject(new Error("a mistake")))).toBe("ignore");
    expect(await verdict(() => new Promise<Verdict>(() => {}))).toBe("ignore");
    expect(await verdict(() => Promise.resolve("reject"))).toBe("reject");
  });

  test("an application that says what is no verdict has ignored it, and blames no neighbour", async () => {
    const nothing = (() => {}) as unknown as () => Verdict;
    expect(await verdict(nothing)).toBe("ignore");
    expect(await verdict(() => Promise.resolve().then(nothing))).toBe("ignore");
    expect(await verdict(() => true as unknown as Verdict)).toBe("ignore");
    expect(await verdict(() => "fine" as Verdict)).toBe("ignore");
    expect(() => requireVerdict(undefined)).toThrow(expect.objectContaining({ code: "usage/invalid" }));
  });

  test("one neighbour has its share, and waits for itself alone", async () => {
    const decide: ((verdict: Verdict) => void)[] = [];
    const judge = new Judge({
      clock: new SyncClock(),
      log,
      topicKey: () => key,
      validate: () => new Promise((resolve) => decide.push(resolve)),
    });
    const envelope = await envelopeOf();
    const verdicts: Promise<string>[] = [];
    for (let i = 0; i < NEIGHBOUR_SHARE; i++) {
      expect(judge.room(publisher)).toBeUndefined();
      const subject = { from: publisher, id: "", envelope, isPast: false };
      verdicts.push(new Promise((resolve) => expect(judge.take(subject, resolve)).toBe(true)));
    }
    const room = judge.room(publisher);
    expect(room).toBeInstanceOf(Promise);
    expect(judge.room(peerIdFromKey(random.bytes(32)))).toBeUndefined();
    while (decide.length < NEIGHBOUR_SHARE) await new Promise((resolve) => setImmediate(resolve));
    for (const each of decide) each("accept");
    await room;
    expect(new Set(await Promise.all(verdicts))).toEqual(new Set(["accept"]));
    expect(judge.room(publisher)).toBeUndefined();
  });
});
