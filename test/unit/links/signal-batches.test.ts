/** Candidates travel together: few messages, and at the other end what trickling would have given. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { GATHER_MS, SignalBatches, signalsOf } from "../../../peer/links/signal-batches.ts";
import type { RtcBatch } from "../../../peer/links/signaller.ts";
import type { RtcSignal } from "../../../peer/runtime.ts";

const SDP = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\n";
const offer: RtcSignal = { kind: "offer", sdp: SDP };
const candidate = (port: number, padding = ""): RtcSignal => ({
  kind: "candidate",
  candidate: `candidate:1 1 UDP 1 192.0.2.1 ${port} typ host${padding}`,
  mid: "data",
});

interface Batching {
  readonly batches: SignalBatches;
  readonly clock: SimClock;
  readonly sent: RtcBatch[];
}

function batching(): Batching {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const sent: RtcBatch[] = [];
  return { clock, sent, batches: new SignalBatches(clock, (batch) => sent.push(batch)) };
}

/** What arrives is what the host said, whatever it was put into. */
function checkArrival(sent: readonly RtcBatch[], said: readonly RtcSignal[]): void {
  expect(sent.flatMap((batch) => signalsOf(batch))).toEqual(said);
}

test("all that is found soon goes with the description, also what came before it", async () => {
  const { batches, clock, sent } = batching();
  batches.add(candidate(1));
  await clock.advance(GATHER_MS);
  expect(sent).toEqual([]);
  batches.add(offer);
  await clock.advance(GATHER_MS - 1);
  batches.add(candidate(2));
  expect(sent).toEqual([]);
  await clock.advance(1);
  expect(sent).toHaveLength(1);
  checkArrival(sent, [offer, candidate(1), candidate(2)]);
});

test("who has found all does not wait", () => {
  const { batches, sent } = batching();
  for (const each of [offer, candidate(1)]) batches.add(each);
  expect(sent).toEqual([]);
  batches.gathered();
  expect(sent).toHaveLength(1);
  checkArrival(sent, [offer, candidate(1)]);
});

test("hosts that describe themselves last are waited for", () => {
  const { batches, sent } = batching();
  batches.add(candidate(1));
  batches.gathered();
  expect(sent).toEqual([]);
  batches.add(offer);
  checkArrival(sent, [offer, candidate(1)]);
});

test("what is found later goes in one message; a single one as it always did", async () => {
  const { batches, clock, sent } = batching();
  batches.add(offer);
  await clock.advance(GATHER_MS);
  batches.add(candidate(1));
  batches.add(candidate(2));
  await clock.advance(GATHER_MS);
  batches.add(candidate(3));
  batches.gathered();
  await clock.advance(GATHER_MS);
  expect(sent.map(({ kind }) => kind)).toEqual(["offer", "candidates", "candidate"]);
  checkArrival(sent, [offer, candidate(1), candidate(2), candidate(3)]);
});

test("a machine of a hundred addresses sends several messages, none of them long", async () => {
  const { batches, clock, sent } = batching();
  const found = Array.from({ length: 100 }, (_, port) => candidate(port, " ".repeat(70)));
  for (const each of [offer, ...found]) batches.add(each);
  await clock.advance(GATHER_MS);
  for (const batch of sent) expect(JSON.stringify(batch).length).toBeLessThan(2_500);
  checkArrival(sent, [offer, ...found]);
});

test("a candidate that the host has put into its description is there once", async () => {
  const { batches, clock, sent } = batching();
  const first = candidate(1);
  if (first.kind !== "candidate") throw new Error("a candidate");
  batches.add({ kind: "answer", sdp: `${SDP}a=${first.candidate}\r\n` });
  batches.add(first);
  batches.add(candidate(2));
  await clock.advance(GATHER_MS);
  checkArrival(sent, [{ kind: "answer", sdp: SDP }, first, candidate(2)]);
});

test("once closed it says nothing more", async () => {
  const { batches, clock, sent } = batching();
  batches.add(offer);
  batches.close();
  batches.add(candidate(1));
  batches.gathered();
  await clock.advance(GATHER_MS);
  expect(sent).toEqual([]);
});
