/** The stage "relay slower", on a clock that the test moves: an honest side keeps to the pace that it is told, and the edge's bucket cuts none but others. */
import { expect, test } from "vitest";
import { paceOf } from "../../../edge/relay-credit.ts";
import { FRAME_BYTES_MAX, RELAY_SLOW_BYTES_PER_SECOND } from "../../../shared/limits.ts";
import { openRelay, type Sent } from "./relay-scene.ts";

/** What a link may send at once after a pause. */
const BURST_BYTES = 65_536;
const FRAME_BYTES = 16_384;

const frame = (index: number, length = FRAME_BYTES): Uint8Array => new Uint8Array(length).fill(index);
const bytesBy = (sent: readonly Sent[], endMs: number): number =>
  sent.filter(({ atMs }) => atMs <= endMs).reduce((sum, { bytes }) => sum + bytes.length, 0);

test("before it is told a pace it sends at once, then no faster than that, in order, and all of it", async () => {
  const { clock, link, sent, say, drained } = await openRelay();
  for (let index = 0; index < 10; index++) link.send([frame(index)]);
  expect(sent).toHaveLength(10);
  say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
  const before = bytesBy(sent, 0);
  const bucket = paceOf(clock.monotonicMs());
  for (let index = 10; index < 110; index++) link.send([frame(index)]);
  expect(link.bufferedBytes).toBeGreaterThan(0);
  for (let second = 1; second <= 12; second++) {
    await clock.advance(1_000);
    const allowed = BURST_BYTES + FRAME_BYTES + second * RELAY_SLOW_BYTES_PER_SECOND;
    expect(bytesBy(sent, second * 1_000) - before).toBeLessThanOrEqual(allowed);
  }
  // 100 frames of 16 KiB at 128 KiB a second: 12.5 s, the burst taken off.
  await clock.advance(1_000);
  expect(sent.map(({ bytes }) => bytes[0])).toEqual(Array.from({ length: 110 }, (_, index) => index));
  expect([link.bufferedBytes, drained() > 0]).toEqual([0, true]);
  expect(sent.slice(10).every(({ atMs, bytes }) => bucket.take(atMs, bytes.length))).toBe(true);
  link.destroy();
  expect(clock.pendingTimers).toBe(0);
});

test("the largest frames at the pace are never cut by the edge, for as long as one likes", async () => {
  const { clock, link, sent, say } = await openRelay();
  say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
  const bucket = paceOf(clock.monotonicMs());
  for (let index = 0; index < 200; index++) link.send([frame(index % 250, FRAME_BYTES_MAX)]);
  await clock.advance(400_000);
  expect(sent).toHaveLength(200);
  expect(sent.every(({ atMs, bytes }) => bucket.take(atMs, bytes.length))).toBe(true);
  link.destroy();
});

test("who goes on as before is cut", () => {
  const bucket = paceOf(0);
  const perSecond = 10 * RELAY_SLOW_BYTES_PER_SECOND;
  let seconds = 0;
  while (bucket.take(seconds * 1_000, perSecond)) seconds += 1;
  expect(seconds).toBe(3); // 4 MiB are 32 paces, and two come back each second
});

test("after a pause a small message does not wait, and other texts change nothing", async () => {
  const { clock, link, sent, say } = await openRelay();
  for (const text of ["pace:0", "pace:x", "pace:-1", "pace:12345678901"]) say(text);
  for (let index = 0; index < 100; index++) link.send([frame(index)]);
  expect(sent).toHaveLength(100);
  say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
  for (let index = 0; index < 20; index++) link.send([frame(index)]);
  await clock.advance(10_000);
  expect(sent).toHaveLength(120);
  link.send([frame(1, 100)]);
  expect(sent).toHaveLength(121);
  link.destroy();
});

test("once the edge saves no longer, what waits goes at once, and so does all that follows", async () => {
  const { clock, link, sent, say, drained } = await openRelay();
  say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
  for (let index = 0; index < 40; index++) link.send([frame(index)]);
  const before = drained();
  expect(sent.length).toBeLessThan(40);
  say("pace:0");
  expect([sent.length, drained() - before, link.bufferedBytes, clock.pendingTimers]).toEqual([40, 1, 0, 1]);
  for (let index = 40; index < 140; index++) link.send([frame(index)]);
  expect(sent.map(({ bytes }) => bytes[0])).toEqual(Array.from({ length: 140 }, (_, index) => index));
  say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
  for (let index = 0; index < 40; index++) link.send([frame(index)]);
  expect(sent.length).toBeLessThan(150);
  link.destroy();
});

test("a close gives away what waits, the goodbye last; a link that is destroyed drops it", async () => {
  for (const end of ["close", "destroy"] as const) {
    const { clock, link, sent, say } = await openRelay();
    say(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
    const bucket = paceOf(clock.monotonicMs());
    for (let index = 0; index < 120; index++) link.send([frame(index)]);
    link.send([frame(255, 20)]);
    const before = sent.length;
    expect(before).toBeLessThan(120);
    link[end]();
    expect(sent.length).toBe(end === "close" ? 121 : before);
    if (end === "close") expect(sent.at(-1)?.bytes).toEqual(Buffer.from(frame(255, 20)));
    // All that a session may have on its way through a relay: the edge lets it pass.
    expect(sent.every(({ atMs, bytes }) => bucket.take(atMs, bytes.length))).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  }
});
