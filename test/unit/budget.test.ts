/** The day's account: what is lent counts as spent, stages follow, and nothing is granted past the limit. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BAN_FIRST_MS, BAN_MAX_MS, AddressBans, STRIKES_MAX } from "../../edge/address-bans.ts";
import { type Account, LedgerBook } from "../../edge/ledger-book.ts";
import { addUsage, dollarsOf, NO_USAGE, STAGES, unitsOf } from "../../shared/budget.ts";

const NOON_MS = Date.UTC(2026, 10, 28, 12);
const account = (change: Partial<Account>): Account => ({
  holder: "rendezvous:demo/0",
  network: "demo",
  isNew: false,
  spent: NO_USAGE,
  wants: 0,
  isAsked: false,
  sockets: 0,
  members: 0,
  ...change,
});
const units = (count: number): Account["spent"] => ({ ...NO_USAGE, objectRequests: count });

describe("money", () => {
  test("a million of each at list price", () => {
    const of = (usage: Partial<typeof NO_USAGE>): number =>
      Number(dollarsOf(unitsOf(addUsage(NO_USAGE, usage))).toFixed(6));
    const million = 1_000_000;
    expect([
      of({ requests: million }),
      of({ objectRequests: million }),
      of({ messages: 20 * million }),
      of({ awakeMs: 1_000 * million }),
      of({ rowsWritten: million }),
      of({ rowsRead: million }),
      of({ relayedBytes: million }),
    ]).toEqual([0.3, 0.15, 0.15, 1.6, 1, 0.001, 0]);
  });
});

describe("the account", () => {
  test("a loan counts as spent until it is accounted for", () => {
    const book = new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS);
    expect(book.settle(account({ wants: 8 }), NOON_MS).units).toBe(8);
    expect(book.total).toBe(8);
    book.settle(account({ spent: units(3) }), NOON_MS);
    expect(book.total).toBe(3);
  });

  test("one that slept on a loan is taken to have spent it", () => {
    const book = new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS);
    book.settle(account({ wants: 8 }), NOON_MS);
    book.settle(account({ isNew: true, spent: units(2) }), NOON_MS);
    expect([book.total, book.networks()[0]?.day.unaccounted]).toEqual([10, 8]);
  });

  test("so is one that the account forgot by an eviction", () => {
    const book = new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS);
    book.settle(account({ wants: 8, spent: units(5) }), NOON_MS);
    expect(new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS, book.saved).total).toBe(13);
    expect(new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS + 86_400_000, book.saved).total).toBe(
      0,
    );
  });

  test("stages come in order, and a network's own limit is its own", () => {
    const book = new LedgerBook({ total: 10_000, network: 1_000 }, NOON_MS);
    const seen: string[] = [];
    for (let spent = 0; spent < 1_000; spent++) {
      const { stage } = book.settle(account({ spent: units(1) }), NOON_MS);
      if (seen.at(-1) !== stage) seen.push(stage);
    }
    expect([seen, book.stage, book.stageOf("other")]).toEqual([[...STAGES], "open", "open"]);
    expect(book.settle(account({ wants: 4 }), NOON_MS).units).toBe(0);
    expect(
      book.settle(account({ network: "other", holder: "rendezvous:other/0", wants: 1 }), NOON_MS).units,
    ).toBe(1);
  });

  test("what is dear is sold before the stage it may not bring, to each prefix its share, or not at all", () => {
    const book = new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS);
    const buy = (rows: number, prefix?: string): unknown =>
      book.buy({ network: "demo", usage: { objectRequests: rows }, before: "relay-slow", prefix }, NOON_MS)
        .refusal;
    expect([buy(1_000, "a"), buy(1, "a"), buy(1_000, "b"), buy(1_001, "c")]).toEqual([
      undefined,
      "edge/rate-limited",
      undefined,
      "edge/rate-limited",
    ]);
    expect(book.total).toBe(2_000);
    const again = new LedgerBook({ total: 10_000, network: 10_000 }, NOON_MS, book.saved);
    expect(
      again.buy({ network: "demo", usage: units(1), before: "relay-slow", prefix: "a" }, NOON_MS),
    ).toEqual({
      refusal: "edge/rate-limited",
      leftMs: 43_200_000,
    });
    expect([buy(3_999), buy(1), book.stage, book.total]).toEqual([
      undefined,
      "edge/over-budget",
      "open",
      5_999,
    ]);
  });

  test("a new day begins with nothing", () => {
    const book = new LedgerBook({ total: 100, network: 100 }, NOON_MS);
    book.settle(account({ spent: units(100) }), NOON_MS);
    const { leftMs, stage } = book.settle(account({}), NOON_MS);
    expect([leftMs, stage]).toEqual([12 * 3_600_000, "closed"]);
    expect(book.settle(account({ wants: 1 }), NOON_MS + leftMs).stage).toBe("open");
  });

  test("whoever spends only what it was lent never takes the day past its limit", () => {
    const turn = fc.record({
      holder: fc.integer({ min: 0, max: 20 }),
      wants: fc.integer({ min: 1, max: 500 }),
    });
    fc.assert(
      fc.property(
        fc.array(turn, { maxLength: 400 }),
        fc.integer({ min: 300, max: 5_000 }),
        (turns, total) => {
          const book = new LedgerBook({ total, network: total }, NOON_MS);
          const loans = new Map<number, number>();
          let spent = 0;
          for (const { holder, wants } of turns) {
            const loan = loans.get(holder) ?? 0;
            spent += loan;
            const { units: lent } = book.settle(
              account({ holder: String(holder), spent: units(loan), wants }),
              NOON_MS,
            );
            loans.set(holder, lent);
          }
          expect(book.total).toBeLessThanOrEqual(total);
          expect(spent).toBeLessThanOrEqual(total);
        },
      ),
    );
  });
});

describe("bans", () => {
  test("grow, end, and are forgotten", () => {
    const bans = new AddressBans();
    let nowMs = 0;
    const lengths: number[] = [];
    for (let offence = 0; offence < 9; offence++) {
      bans.add("192.0.2.0/24", nowMs);
      const leftMs = bans.leftMs("192.0.2.0/24", nowMs);
      lengths.push(leftMs / BAN_FIRST_MS);
      bans.add("192.0.2.0/24", nowMs + 1); // while it lasts
      expect(bans.leftMs("192.0.2.0/24", nowMs + leftMs)).toBe(0);
      nowMs += leftMs;
    }
    expect(lengths).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    expect(lengths.at(-1)).toBe(BAN_MAX_MS / BAN_FIRST_MS);
    bans.add("192.0.2.0/24", nowMs + 86_400_000);
    expect(bans.leftMs("192.0.2.0/24", nowMs + 86_400_000)).toBe(BAN_FIRST_MS);
    expect(bans.leftMs("198.51.100.0/24", nowMs)).toBe(0);
  });

  test("come of strikes only when there are many in a minute", () => {
    const bans = new AddressBans();
    const strikeAll = (nowMs: number, count: number): number => {
      for (let strike = 0; strike < count; strike++) bans.strike("192.0.2.0/24", nowMs);
      return bans.leftMs("192.0.2.0/24", nowMs);
    };
    expect(strikeAll(0, STRIKES_MAX - 1)).toBe(0);
    expect(strikeAll(60_000, STRIKES_MAX - 1)).toBe(0); // another minute
    expect(strikeAll(119_999, 1)).toBe(BAN_FIRST_MS);
    expect(strikeAll(179_999, STRIKES_MAX - 1)).toBe(0); // over, and counted anew
    expect(strikeAll(179_999, 1)).toBe(2 * BAN_FIRST_MS);
    expect(bans.leftMs("198.51.100.0/24", 0)).toBe(0);
  });
});
