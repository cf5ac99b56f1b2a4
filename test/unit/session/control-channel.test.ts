/** Control frames between two ends, where sealing answers at once and where it answers later and out of order. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { simAead } from "../../../peer/adapters/sim/aead.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import type { AeadKey } from "../../../peer/runtime.ts";
import type { ControlOperation } from "../../../peer/session/control.ts";
import { ControlChannel } from "../../../peer/session/control-channel.ts";
import { parseFrame, type SealedFrame } from "../../../shared/frame.ts";
import { outcomeOf, pathOf } from "./support.ts";

let clock: SimClock;
beforeEach(() => {
  clock = new SimClock();
});
afterEach(() => clock.close());

async function keyOf(isLater: boolean, byte: number): Promise<AeadKey> {
  const aead = simAead(isLater ? { later: { clock, random: seededRandom(1), delayMsMax: 50 } } : {});
  return aead.importKey("aes-256-gcm", new Uint8Array(32).fill(byte));
}

interface End {
  readonly channel: ControlChannel;
  readonly heard: ControlOperation[];
  readonly failures: unknown[];
}

function endOf(key: AeadKey): End {
  const heard: ControlOperation[] = [];
  const failures: unknown[] = [];
  const channel = new ControlChannel({
    keys: { sendControl: key, receiveControl: key },
    received: (_path, operations) => heard.push(...operations),
    failed: (_path, error) => failures.push(error),
  });
  return { channel, heard, failures };
}

const frameOf = (bytes: Uint8Array): SealedFrame => parseFrame(bytes) as SealedFrame;
const ping = (id: number): ControlOperation => ({ kind: "ping", id });

test.each([
  ["at once", false],
  ["in the background", true],
])("what is sealed %s arrives as it was said, numbered and in order", async (_when, isLater) => {
  const key = await keyOf(isLater, 1);
  const [from, to] = [endOf(key), endOf(key)];
  const sent: Uint8Array[] = [];
  const path = pathOf("tcp", "usable", sent);
  expect(from.channel.nextCounter()).toBe(0);
  for (let id = 1; id <= 20; id++) from.channel.send(path, [ping(id)]);
  await clock.advance(2_000);
  await from.channel.sent;
  expect(sent.map((bytes) => frameOf(bytes).counter)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  for (const bytes of sent) {
    to.channel.receive(path, frameOf(bytes));
    await clock.advance(50);
  }
  expect(to.heard).toEqual(Array.from({ length: 20 }, (_, i) => ping(i + 1)));
  expect([...from.failures, ...to.failures]).toEqual([]);
});

test("what another key has sealed is refused, whenever it is opened", async () => {
  const path = pathOf("tcp");
  const sent: Uint8Array[] = [];
  endOf(await keyOf(false, 1)).channel.send(pathOf("tcp", "usable", sent), [ping(1)]);
  const forged = frameOf(sent[0]!);
  const atOnce = endOf(await keyOf(false, 2));
  expect(outcomeOf(() => atOnce.channel.receive(path, forged))).toBe("wire/malformed");
  const later = endOf(await keyOf(true, 2));
  later.channel.receive(path, forged);
  await clock.advance(50);
  expect(later.failures).toMatchObject([{ code: "wire/malformed" }]);
  expect([...atOnce.heard, ...later.heard]).toEqual([]);
});

test("nothing is heard on a dead path, nor once it is closed", async () => {
  const sent: Uint8Array[] = [];
  const { channel, heard } = endOf(await keyOf(false, 1));
  channel.send(pathOf("tcp", "usable", sent), [ping(1)]);
  channel.receive(pathOf("tcp", "dead"), frameOf(sent[0]!));
  channel.close();
  channel.receive(pathOf("tcp"), frameOf(sent[0]!));
  expect(heard).toEqual([]);
});

test("the last word was sealed ahead and goes out at once", async () => {
  const key = await keyOf(true, 1);
  const [from, to] = [endOf(key), endOf(key)];
  const sent: Uint8Array[] = [];
  const path = pathOf("tcp", "usable", sent);
  const prepared = from.channel.prepareFarewell("session/closed");
  from.channel.farewell(path);
  expect(sent).toEqual([]);
  await clock.advance(50);
  await prepared;
  from.channel.farewell(path);
  expect(sent).toHaveLength(1);
  to.channel.receive(path, frameOf(sent[0]!));
  await clock.advance(50);
  expect(to.heard).toEqual([{ kind: "bye", code: "session/closed" }]);
});
