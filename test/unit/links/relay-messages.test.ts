/** How many messages a side of a relay channel sends, however small: an honest side is never cut for them, an older one is slowed, a flood ends. */
import { expect, test } from "vitest";
import { MessageAllowance } from "../../../edge/message-allowance.ts";
import { unitsOf, NO_USAGE } from "../../../shared/budget.ts";
import {
  FRAME_BYTES_MAX,
  RELAY_ACK_EVERY_BYTES,
  RELAY_HELD_BYTES_PER_SECOND,
  RELAY_MESSAGES_BURST,
  RELAY_MESSAGES_PER_SECOND,
} from "../../../shared/limits.ts";
import { openRelay, type RelayScene } from "./relay-scene.ts";

/** So small that what it earns by its bytes is nothing. */
const SMALL = new Uint8Array(1);
/** A call or a ping, sealed. */
const CALL = new Uint8Array(96);
/** What an older session has under way at most on a path as slow as that. */
const SLOW_WINDOW_BYTES = 65_536;
const HALF_BURST: number = RELAY_MESSAGES_BURST / 2;
const HALF_RATE: number = RELAY_MESSAGES_PER_SECOND / 2;

/** Sends as a session does that always has something to say. */
function talk({ link }: RelayScene, frame: Uint8Array): void {
  while (link.isHeld !== true) link.send([frame]);
}

test("small frames go at once up to half of what the edge allows, then at half its rate, and no edge ever minds", async () => {
  const scene = await openRelay();
  const { clock, link, sent } = scene;
  link.onDrain = () => talk(scene, SMALL);
  talk(scene, SMALL);
  expect(sent).toHaveLength(HALF_BURST + 1);
  await clock.advance(30_000);
  expect(sent.length).toBeGreaterThan(HALF_BURST + 29 * HALF_RATE);
  expect(sent.length).toBeLessThanOrEqual(HALF_BURST + 1 + 30 * HALF_RATE);
  const allowance = new MessageAllowance(0, false);
  for (const { atMs } of sent) {
    expect(allowance.take(atMs)).toBe(true);
    expect(allowance.isHeld).toBe(false);
  }
  link.destroy();
  expect(clock.pendingTimers).toBe(0);
});

test("what came by a network that stood still for five seconds is not too much for it", async () => {
  const scene = await openRelay();
  const { clock, link, sent } = scene;
  link.onDrain = () => talk(scene, SMALL);
  talk(scene, SMALL);
  await clock.advance(5_000);
  const allowance = new MessageAllowance(0, false);
  expect(sent.every(() => allowance.take(5_000))).toBe(true);
  link.destroy();
});

test("who says more while it is held, as control frames do, makes data wait for it", async () => {
  const { clock, link, sent } = await openRelay();
  for (let index = 0; index < HALF_BURST + 100; index++) link.send([SMALL]);
  expect([sent.length, link.isHeld]).toEqual([HALF_BURST + 100, true]);
  await clock.advance(99 * (1_000 / HALF_RATE));
  expect(link.isHeld).toBe(true);
  await clock.advance(2 * (1_000 / HALF_RATE));
  expect(link.isHeld).toBe(false);
  link.close();
  expect(clock.pendingTimers).toBe(0);
});

test("bulk is never held, nor are its acknowledgements", async () => {
  const { clock, link, sent, acknowledgedAtMs, hear } = await openRelay();
  const frame = new Uint8Array(FRAME_BYTES_MAX);
  const [sender, receiver] = [new MessageAllowance(0, false), new MessageAllowance(0, false)];
  for (let ms = 0; ms < 500; ms++) {
    // 262 MB/s, and the other side says so after each 64 KiB.
    link.send([frame]);
    expect([link.isHeld, sender.take(ms)]).toEqual([false, true]);
    for (const one of [sender, receiver]) one.earn(FRAME_BYTES_MAX);
    for (let part = 0; part < 4; part++) expect(receiver.take(ms)).toBe(true);
    await clock.advance(1);
  }
  expect([sender.isHeld, receiver.isHeld, sent.length]).toEqual([false, false, 500]);
  for (let got = 0; got < 500 * RELAY_ACK_EVERY_BYTES; got += RELAY_ACK_EVERY_BYTES) {
    hear(new Uint8Array(RELAY_ACK_EVERY_BYTES));
    link.send([SMALL]);
  }
  expect([link.isHeld, acknowledgedAtMs.length]).toEqual([false, 500]);
  link.destroy();
});

test("a side that counts no messages is told a pace, never cut while it keeps to that, and let go when it has rested", async () => {
  const { clock, link, sent, say } = await openRelay();
  const allowance = new MessageAllowance(0, false);
  let arrived = 0;
  const told: string[] = [];
  for (let ms = 0; ms < 40_000; ms++) {
    if (ms < 20_000 && link.bufferedBytes < SLOW_WINDOW_BYTES)
      for (let more = 0; more < 4; more++) link.send([CALL]);
    for (; arrived < sent.length; arrived++) {
      const wasHeld = allowance.isHeld;
      expect(allowance.take(ms)).toBe(true);
      if (allowance.isHeld === wasHeld) continue;
      told.push(allowance.isHeld ? `pace:${RELAY_HELD_BYTES_PER_SECOND}` : "pace:0");
      say(told.at(-1) as string);
    }
    await clock.advance(1);
  }
  expect(told.length).toBeGreaterThan(1);
  expect(new Set(told)).toEqual(new Set([`pace:${RELAY_HELD_BYTES_PER_SECOND}`, "pace:0"]));
  link.destroy();
});

test("a thousand a second from a side that heeds nothing end within seven seconds, and cost 430 units at most", () => {
  const allowance = new MessageAllowance(0, false);
  let messages = 0;
  while (allowance.take(messages)) messages += 1;
  expect(messages).toBeLessThan(7_000);
  expect(unitsOf({ ...NO_USAGE, messages, awakeMs: messages })).toBeLessThan(430);
});
