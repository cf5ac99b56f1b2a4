import { describe, expect, test } from "vitest";
import {
  carriersOf,
  type Path,
  pickCarrier,
  pickPath,
  PING_ALONE,
  PING_COMPARED,
  PING_IDLE,
  PING_IDLE_LED,
} from "../../../peer/session/path.ts";
import { outcomeOf, pathOf } from "./support.ts";

/** A path with this round trip, heard at zero, with nothing due. */
function measured(rttMs: number): Path {
  const path = pathOf("tcp");
  path.pong(path.startPing(-rttMs), 0);
  path.heard(0);
  return path;
}

describe("silence", () => {
  test("means nothing while no answer is due", () => {
    expect(pathOf("tcp").judge(1e9)).toBe("alive");
  });

  test("with an answer due makes a path suspect after 500 ms and dead after 2 s", () => {
    const path = pathOf("tcp");
    path.expectAnswer(1_000);
    expect(path.judge(1_500)).toBe("alive");
    expect(path.judge(1_501)).toBe("suspect");
    expect(path.judge(3_000)).toBe("suspect");
    expect(path.judge(3_001)).toBe("dead");
  });

  test("counts from the first thing that is due, not from the last", () => {
    const path = pathOf("tcp");
    for (let ms = 0; ms <= 2_000; ms += 100) path.expectAnswer(ms);
    expect(path.judge(2_001)).toBe("dead");
  });

  test("is over when something is heard", () => {
    const path = pathOf("tcp");
    path.expectAnswer(0);
    path.heard(1_900);
    expect(path.judge(1e9)).toBe("alive");
    path.expectAnswer(5_000);
    expect(path.judge(5_500)).toBe("alive");
    expect(path.judge(5_501)).toBe("suspect");
  });

  test("on a long path lasts two round trips and a little before others go first, four before it is dead", () => {
    const path = measured(300);
    path.expectAnswer(0);
    expect(path.judge(800)).toBe("alive");
    expect(path.judge(801)).toBe("suspect");
    expect(path.judge(2_001)).toBe("dead");
    const longest = measured(1_000);
    longest.expectAnswer(0);
    expect(longest.judge(4_000)).toBe("suspect");
    expect(longest.judge(4_001)).toBe("dead");
  });

  test("of our own clock's making is forgiven", () => {
    const path = pathOf("tcp");
    path.expectAnswer(0);
    path.forgive(10_000);
    expect(path.judge(10_500)).toBe("alive");
    expect(path.judge(12_001)).toBe("dead");
  });

  test("is over for a suspect when what it was asked is answered, not when it is heard; one that has not proved itself stays so", () => {
    const suspect = pathOf("tcp");
    const before = suspect.startPing(0);
    const since = suspect.suspect(600);
    suspect.heard(1_000);
    suspect.pong(before, 1_000);
    expect(suspect.state).toBe("suspect");
    suspect.heard(1_100);
    suspect.pong(since, 1_100);
    expect(suspect.state).toBe("usable");
    const proving = pathOf("tcp", "proving");
    proving.heard(1);
    expect(proving.state).toBe("proving");
  });

  test("stays due while a later ping is unanswered", () => {
    const path = pathOf("tcp");
    const [first] = [path.startPing(0), path.startPing(100)];
    path.pong(first, 200);
    expect(path.judge(2_201)).toBe("dead");
  });
});

describe("pings", () => {
  test("are due each second when busy and each 20 s when idle, one at a time", () => {
    const path = pathOf("tcp");
    expect(path.pingDue(999, PING_COMPARED)).toBeUndefined();
    expect(path.pingDue(1_000, PING_IDLE)).toBeUndefined();
    const id = path.pingDue(1_000, PING_COMPARED);
    expect(id).toBeDefined();
    expect(path.pingDue(60_000, PING_COMPARED)).toBeUndefined();
    path.pong(id as number, 1_010);
    expect(path.pingDue(20_999, PING_IDLE)).toBeUndefined();
    expect(path.pingDue(21_000, PING_IDLE)).toBeDefined();
  });

  test("wait for silence when idle: the other side's own are enough", () => {
    const path = pathOf("tcp");
    path.heard(15_000);
    expect(path.pingDue(34_999, PING_IDLE)).toBeUndefined();
    expect(path.pingDue(35_000, PING_IDLE_LED)).toBeUndefined();
    expect(path.pingDue(35_000, PING_IDLE)).toBeDefined();
  });

  test("wait for a second of silence where there is nothing to compare, and measure it each four", () => {
    const path = pathOf("tcp");
    path.heard(500);
    expect(path.pingDue(1_499, PING_ALONE)).toBeUndefined();
    path.pong(path.pingDue(1_500, PING_ALONE) as number, 1_501);
    for (const nowMs of [2_000, 3_000, 4_000, 5_000]) path.heard(nowMs);
    expect(path.pingDue(5_499, PING_ALONE)).toBeUndefined();
    expect(path.pingDue(5_500, PING_ALONE)).toBeDefined();
  });

  test("and overdue answers say when to look again", () => {
    const path = pathOf("tcp");
    expect(path.nextLookAtMs(PING_ALONE)).toBe(1_000);
    path.expectAnswer(100);
    expect(path.nextLookAtMs(PING_ALONE)).toBe(601);
    expect(path.judge(601)).toBe("suspect");
    path.suspect(601);
    expect(path.nextLookAtMs(PING_ALONE)).toBe(2_101);
    expect(path.judge(2_101)).toBe("dead");
  });

  test("measure the round trip: smoothed, and the smallest", () => {
    const path = pathOf("tcp");
    path.pong(path.startPing(0), 100);
    expect([path.rttMs, path.rttMsMin]).toEqual([100, 100]);
    path.pong(path.startPing(1_000), 1_050);
    expect([path.rttMs, path.rttMsMin]).toEqual([90, 50]);
    path.pong(path.startPing(2_000), 2_190);
    expect([path.rttMs, path.rttMsMin]).toEqual([110, 50]);
  });

  test("that an interruption has delayed do not count as round trips", () => {
    const path = measured(20);
    path.startPing(1_000);
    path.pong(path.suspect(1_600), 2_600);
    expect([path.state, path.rttMs]).toEqual(["usable", 20]);
    path.pong(path.startPing(2_600), 2_640);
    expect(path.rttMs).toBe(24);
    const fresh = pathOf("tcp");
    fresh.startPing(0);
    fresh.pong(fresh.suspect(600), 1_600);
    expect([fresh.state, fresh.rttMs]).toEqual(["usable", undefined]);
  });

  test("count all the same where the path is suspected each time: it has become slow", () => {
    const path = measured(20);
    path.pong(path.suspect(1_000), 1_900);
    path.startPing(1_900);
    path.pong(path.suspect(2_500), 3_400);
    expect(path.rttMs).toBeCloseTo(0.8 * 20 + 0.2 * 900);
  });

  test("are answered once, and only by their own id", () => {
    const path = pathOf("tcp");
    const id = path.startPing(0);
    path.pong(id + 1, 5);
    expect(path.rttMs).toBeUndefined();
    path.pong(id, 10);
    path.pong(id, 500);
    expect(path.rttMs).toBe(10);
  });
});

describe("the path that carries the session", () => {
  const check = (expected: string | undefined, ...paths: readonly Path[]): void => {
    expect(pickPath(paths)?.link.kind).toBe(expected);
    expect(pickPath(paths.toReversed())?.link.kind).toBe(expected);
  };

  test("is the best kind there is", () => {
    const kinds = ["tcp", "webrtc", "websocket", "relay", "overlay"] as const;
    kinds.forEach((kind, best) => check(kind, ...kinds.slice(best).map((each) => pathOf(each))));
  });

  test("is a suspect only when nothing else is left", () => {
    check("overlay", pathOf("tcp", "suspect"), pathOf("overlay"));
    check("tcp", pathOf("tcp", "suspect"), pathOf("relay", "suspect"));
  });

  test("is never one that is dead or has not proved itself", () => {
    check("relay", pathOf("tcp", "dead"), pathOf("webrtc", "proving"), pathOf("relay"));
    check(undefined, pathOf("tcp", "dead"), pathOf("webrtc", "proving"));
    check(undefined);
  });

  test("stays the older of two that are equal", () => {
    const [older, newer] = [pathOf("tcp"), pathOf("tcp")];
    expect(pickPath([older, newer])).toBe(older);
  });
});

describe("spreading", () => {
  test("is over usable WebRTC paths, when WebRTC carries the session", () => {
    const [first, second, suspect] = [pathOf("webrtc"), pathOf("webrtc"), pathOf("webrtc", "suspect")];
    const [tcp, other] = [pathOf("tcp"), pathOf("tcp")];
    const all = [tcp, other, second, suspect, first];
    expect(carriersOf(first, all)).toEqual([first, second]);
    expect(carriersOf(tcp, all)).toEqual([tcp]);
  });

  test("sends where a frame arrives first, and nowhere when all are full", () => {
    const [one, two] = [pathOf("webrtc"), pathOf("webrtc")];
    one.depart(1_000, 0);
    expect(pickCarrier([one, two], 1)).toBe(two);
    two.depart(2_000, 0);
    expect(pickCarrier([one, two], 1)).toBe(one);
    for (const path of [one, two]) path.depart(4_096, 0);
    expect(pickCarrier([one, two], 1)).toBeUndefined();
  });
});

describe("flights", () => {
  test("land once, in the order of the link, whoever says so", () => {
    const path = pathOf("webrtc");
    const [, second] = [100, 200, 300].map((bytes) => path.depart(bytes, 0));
    expect(path.land(second!, 10)).toBe(200);
    expect(path.window.inFlightBytes).toBe(400);
    expect(path.landBelow(2, 10)).toBe(100);
    expect(path.landBelow(2, 10)).toBe(0);
    expect(path.landBelow(3, 10)).toBe(300);
    expect(path.isCarrying).toBe(false);
  });

  test("abandoned ones are counted by the link all the same", () => {
    const path = pathOf("webrtc");
    path.abandon(path.depart(100, 0));
    path.depart(200, 0);
    expect(path.landBelow(2, 10)).toBe(200);
  });

  test("all land when more came in than were sent, since somebody repeated them", () => {
    const path = pathOf("webrtc");
    path.depart(100, 0);
    expect(path.landBelow(5, 10)).toBe(100);
    path.depart(200, 0);
    expect(path.landBelow(5, 10)).toBe(200);
    expect(path.isCarrying).toBe(false);
  });
});

test.each([
  ["its own nonce and binding", [7, 0], "accepted"],
  ["the nonce of another link", [8, 0], "wire/malformed"],
  ["the binding of another link, as of one with somebody in the middle", [7, 1], "session/handshake-failed"],
] as const)("a path is proved by %s", (_what, [nonce, bound], outcome) => {
  const path = pathOf("tcp", "proving");
  const binding = Uint8Array.from({ length: bound });
  expect(outcomeOf(() => path.prove(new Uint8Array(8).fill(nonce), binding))).toBe(outcome);
  expect(path.state).toBe(outcome === "accepted" ? "usable" : "proving");
});
