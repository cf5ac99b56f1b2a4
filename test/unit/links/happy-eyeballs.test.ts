import { expect, test } from "vitest";
import { parseAddress } from "../../../peer/links/address.ts";
import { ATTEMPT_DELAY_MS, dialFirst, dialOrder } from "../../../peer/links/happy-eyeballs.ts";
import type { Link } from "../../../peer/links/link.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FakeClock, settle } from "../rendezvous/fake-clock.ts";

function order(texts: readonly string[]): string[] {
  const known = texts.flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined ? [] : [{ text, address }];
  });
  return dialOrder(known).map(({ text }) => text);
}

/** Dials that are answered by the test. */
class Dials {
  readonly begun: string[] = [];
  readonly destroyed: string[] = [];
  readonly clock: FakeClock = new FakeClock();
  readonly stop: AbortController = new AbortController();
  readonly result: Promise<string>;
  readonly #answers = new Map<string, PromiseWithResolvers<Link>>();

  constructor(targets: readonly string[]) {
    const dial = (target: string): Promise<Link> => {
      this.begun.push(target);
      const answer = Promise.withResolvers<Link>();
      this.#answers.set(target, answer);
      return answer.promise;
    };
    this.result = dialFirst(targets, dial, { clock: this.clock, signal: this.stop.signal }).then(
      ({ description }) => description,
    );
    this.result.catch(() => {});
  }

  async stands(target: string): Promise<void> {
    const destroy = (): void => void this.destroyed.push(target);
    this.#answers.get(target)?.resolve({ description: target, destroy } as Link);
    await settle();
  }

  async fails(target: string): Promise<void> {
    this.#answers.get(target)?.reject(new PeerloomError("link/failed", target));
    await settle();
  }
}

test("IPv6 comes first and the families in turn, of TCP and WebSocket alike", () => {
  expect(
    order([
      "tcp://192.0.2.1:1",
      "ws://192.0.2.2:1/",
      "tcp://192.0.2.3:1",
      "tcp://[2001:db8::1]:1",
      "wss://[2001:db8::2]:1/",
    ]),
  ).toEqual([
    "tcp://[2001:db8::1]:1",
    "tcp://192.0.2.1:1",
    "wss://[2001:db8::2]:1/",
    "ws://192.0.2.2:1/",
    "tcp://192.0.2.3:1",
  ]);
});

test("a silent address costs a moment, a refused one nothing", async () => {
  const dials = new Dials(["six", "four", "last"]);
  await dials.clock.advance(ATTEMPT_DELAY_MS - 1);
  expect(dials.begun).toEqual(["six"]);
  await dials.clock.advance(1);
  expect(dials.begun).toEqual(["six", "four"]);
  await dials.fails("four");
  expect(dials.begun).toEqual(["six", "four", "last"]);
  await dials.stands("last");
  expect(await dials.result).toBe("last");
  expect(dials.clock.pendingTimers).toBe(0);
});

test("what stands too late is closed", async () => {
  const dials = new Dials(["six", "four"]);
  await dials.clock.advance(ATTEMPT_DELAY_MS);
  await dials.stands("four");
  await dials.stands("six");
  expect([await dials.result, dials.destroyed]).toEqual(["four", ["six"]]);
});

test("all fail with the last failure, none with its own, and giving up ends it at once", async () => {
  const dials = new Dials(["six", "four"]);
  await dials.fails("six");
  await dials.fails("four");
  await expect(dials.result).rejects.toMatchObject({ code: "link/failed", message: "four" });
  await expect(new Dials([]).result).rejects.toMatchObject({ code: "link/unavailable" });
  const given = new Dials(["six", "four"]);
  given.stop.abort(new PeerloomError("aborted", "enough"));
  await expect(given.result).rejects.toMatchObject({ code: "aborted" });
  await given.stands("six");
  expect(given.destroyed).toEqual(["six"]);
});
