/** Which sessions over a relay are links of the overlay, and how many. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { type LinkCounts, RelayedLinks } from "../../../peer/overlay/relayed-links.ts";
import type { PathInfo } from "../../../peer/session/contract.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";

const NONE: LinkCounts = { direct: 0, relayed: 0 };
const ENOUGH: LinkCounts = { direct: 3, relayed: 0 };
const FULL: LinkCounts = { direct: 0, relayed: 8 };
const CONTACT = { id: peerIdFromKey(new Uint8Array(32).fill(7)), addresses: [] };

let clock: SimClock;
beforeEach(() => {
  clock = new SimClock();
});
afterEach(() => clock.close());

function sessionOn(kind: PathInfo["kind"]): PeerSession {
  return { path: { kind } } as unknown as PeerSession; // No more of it is asked about here.
}

function noPath(): Promise<PeerSession> {
  return Promise.reject(new PeerloomError("connect/no-path", "No direct path."));
}

interface Setting {
  readonly direct?: () => Promise<PeerSession>;
  readonly relayed?: () => Promise<PeerSession>;
  readonly isKnown?: boolean;
}

function setUp(standing: LinkCounts, { direct = noPath, relayed, isKnown = false }: Setting = {}) {
  let links = standing;
  let dials = 0;
  const made = new RelayedLinks({
    clock,
    links: () => links,
    connectDirect: direct,
    connectRelayed: () => {
      dials += 1;
      return relayed?.() ?? Promise.resolve(sessionOn("relay"));
    },
    isKnown: () => Promise.resolve(isKnown),
  });
  return {
    made,
    dials: () => dials,
    have: (counts: LinkCounts) => {
      links = counts;
    },
    connect: (isIntroduced = false) => {
      const connecting = made.connect(
        CONTACT,
        { edge: true, signal: new AbortController().signal },
        isIntroduced,
      );
      return clock.runUntil(connecting);
    },
  };
}

test("who has hardly any links is linked over the relay as soon as nothing direct is possible", async () => {
  const { made, connect, dials } = setUp(NONE);
  const session = await connect();
  expect(clock.monotonicMs()).toBe(0);
  expect([made.allows(session), dials()]).toEqual([true, 1]);
  expect([made.allows(sessionOn("relay")), made.allows(sessionOn("none"))]).toEqual([false, false]);
});

test("a direct link that takes long has three seconds, and one that stands in time is alone", async () => {
  const late = setUp(NONE, { direct: () => new Promise(() => {}) });
  expect((await late.connect()).path.kind).toBe("relay");
  expect(clock.monotonicMs()).toBe(3_000);
  const inTime = setUp(NONE, { direct: async () => clock.sleep(2_900).then(() => sessionOn("direct")) });
  const session = await inTime.connect();
  expect([session.path.kind, inTime.made.allows(session), inTime.dials()]).toEqual(["direct", true, 0]);
});

test("who has links enough does without, unless the edge has named somebody whom no peer knows", async () => {
  for (const [isIntroduced, isKnown] of [
    [false, false],
    [false, true],
    [true, true],
  ] as const) {
    const { connect, dials } = setUp(ENOUGH, { isKnown });
    await expect(connect(isIntroduced)).rejects.toMatchObject({ code: "connect/no-path" });
    expect(dials()).toBe(0);
  }
  const apart = setUp(ENOUGH);
  expect(apart.made.allows(await apart.connect(true))).toBe(true);
});

test("eight stand at most, those that are being made among them, and those that others begin", async () => {
  const full = setUp(FULL);
  await expect(full.connect()).rejects.toMatchObject({ code: "connect/no-path" });
  const theirs = sessionOn("relay");
  full.made.offered(theirs);
  expect(full.made.allows(theirs)).toBe(false);
  full.have({ direct: 0, relayed: 7 });
  full.made.offered(theirs);
  expect(full.made.allows(theirs)).toBe(true);

  const begun = setUp(NONE, { relayed: () => new Promise(() => {}) });
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++)
    begun.made.connect({ ...CONTACT }, { edge: true, signal }, true).catch(() => {});
  await clock.advance(60_000);
  expect(begun.dials()).toBe(8);
});

test("a link that loses its direct path goes on over the relay where there are few others", () => {
  const few = setUp({ direct: 3, relayed: 0 });
  const [kept, given] = [sessionOn("relay"), sessionOn("relay")];
  few.made.fellBack(kept);
  expect(few.made.allows(kept)).toBe(true);
  few.have({ direct: 4, relayed: 0 });
  few.made.fellBack(given);
  expect(few.made.allows(given)).toBe(false);
});

test("what goes through other peers is no link, and no relay is used where there is none", async () => {
  const forwarded = setUp(NONE, { relayed: () => Promise.resolve(sessionOn("overlay")) });
  await expect(forwarded.connect()).rejects.toMatchObject({ code: "connect/no-path" });
  const without = new RelayedLinks({
    clock,
    links: () => NONE,
    connectDirect: noPath,
    isKnown: () => Promise.resolve(false),
  });
  const { signal } = new AbortController();
  await expect(without.connect(CONTACT, { edge: true, signal }, true)).rejects.toMatchObject({
    code: "connect/no-path",
  });
});
