import { expect, test } from "vitest";
import { Handlers } from "../../peer/api/handlers.ts";
import { WORK_PROTOCOL } from "../../peer/services/compute/work-protocol.ts";
import type { Session, Stream } from "../../peer/session/contract.ts";
import type { PeerId } from "../../shared/ids.ts";

const MEMBER = "member" as PeerId;

/** The code that a stream of a peer was reset with; its handler says "aborted". */
async function outcomeOf(handlers: Handlers, protocol: string, peerId: PeerId): Promise<string | undefined> {
  let outcome: string | undefined;
  const stream = { reset: (code) => (outcome = code) } as Partial<Stream> as Stream;
  await handlers.of(protocol)?.(stream, { peerId } as Partial<Session> as Session);
  return outcome;
}

test("a later handler replaces the one before, which then takes nothing away", () => {
  const handlers = new Handlers(() => true);
  const [first, second] = [(): void => {}, (): void => {}];
  const removeFirst = handlers.add("echo/1", first);
  const removeSecond = handlers.add("echo/1", second);
  removeFirst();
  expect(handlers.of("echo/1")).toBe(second);
  removeSecond();
  expect(handlers.of("echo/1")).toBeUndefined();
});

test("work is refused to who may not have it done, and nothing else is", async () => {
  const handlers = new Handlers((peerId) => peerId === MEMBER);
  for (const protocol of [WORK_PROTOCOL, "echo/1"])
    handlers.add(protocol, (stream) => stream.reset("aborted"));
  const stranger = "stranger" as PeerId;
  expect(await outcomeOf(handlers, WORK_PROTOCOL, MEMBER)).toBe("aborted");
  expect(await outcomeOf(handlers, WORK_PROTOCOL, stranger)).toBe("network/not-allowed");
  expect(await outcomeOf(handlers, "echo/1", stranger)).toBe("aborted");
});
