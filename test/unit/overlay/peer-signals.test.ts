/** Signals that peers carry: an offer's answer comes by return, and where it does not, by itself. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import { sealSignal } from "../../../peer/links/sealed-signal.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import { PeerSignals } from "../../../peer/overlay/peer-signals.ts";
import { toHex } from "../../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { requireNetworkName } from "../../../shared/ids.ts";
import { seedOf } from "../identity/support.ts";

const LIMITS = { bytesMax: 4_096, depthMax: 1, itemsMax: 4, textBytesMax: 0 };
const rtc = (kind: "offer" | "answer"): SignalMessage => ({
  kind: "rtc",
  connectionId: new Uint8Array(8),
  signal: { kind, sdp: "v=0\r\n" },
});
const candidate: SignalMessage = {
  kind: "rtc",
  connectionId: new Uint8Array(8),
  signal: { kind: "candidate", candidate: "candidate:1", mid: "0" },
};

interface Carried {
  readonly clock: SimClock;
  readonly asker: PeerSignals;
  readonly target: PeerSignals;
  /** What each was signalled. */
  readonly heard: { readonly asker: SignalMessage[]; readonly target: SignalMessage[] };
  /** Questions carried, by who asked. */
  readonly asked: string[];
  /** Whether each answer was the peer's own. */
  readonly proved: boolean[];
}

/** Two whom others carry signals between; the target answers after so long. `change`: what the carriers make of an answer. */
async function carried(
  answerAfterMs: number,
  change: (answer: Uint8Array) => Uint8Array = (answer) => answer,
): Promise<Carried> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const [own, other] = (await Promise.all([1, 2].map((seed) => identityFromSeed(seedOf(seed))))) as [
    Identity,
    Identity,
  ];
  const asked: string[] = [];
  const proved: boolean[] = [];
  const signalsOf = (identity: Identity, name: string, to: () => PeerSignals): PeerSignals =>
    new PeerSignals({
      runtime: simRuntime({ seed: name, clock }),
      identity,
      network: requireNetworkName("demo"),
      question: (_, fields, { isProved }) => {
        asked.push(name);
        return new Promise((resolve) => {
          const body = new FieldReader(decode(encode(fields), LIMITS), "question");
          to().receive(body, (answer) => {
            const brought = change(answer);
            isProved?.(brought, (isOwn) => {
              proved.push(isOwn);
              resolve(brought);
            });
          });
        });
      },
    });
  const asker: PeerSignals = signalsOf(own, "asker", () => target);
  const target: PeerSignals = signalsOf(other, "target", () => asker);
  const heard = { asker: [] as SignalMessage[], target: [] as SignalMessage[] };
  asker.onSignal = (_, message) => heard.asker.push(message);
  target.onSignal = (_, message, answer) => {
    heard.target.push(message);
    if (message === candidate || message.kind !== "rtc" || message.signal.kind !== "offer") return;
    clock.setTimer(answerAfterMs, () => answer(rtc("answer")));
  };
  const reached = asker.send(other.id, rtc("offer"));
  await clock.advance(1_000);
  expect(await reached).toBe(true);
  return { clock, asker, target, heard, asked, proved };
}

test("an answer that is ready soon comes by return; nothing else is asked", async () => {
  const { heard, asked, proved } = await carried(50);
  expect(heard).toEqual({ target: [rtc("offer")], asker: [rtc("answer")] });
  expect(asked).toEqual(["asker"]);
  expect(proved).toEqual([true]);
});

test("one that comes later is carried by itself, and that both were read is shown by their ids", async () => {
  const { heard, asked, proved } = await carried(500);
  expect(heard).toEqual({ target: [rtc("offer")], asker: [rtc("answer")] });
  expect(asked).toEqual(["asker", "target"]);
  expect(proved).toEqual([true, true]);
});

test("whoever changes an answer on the way is found out", async () => {
  const { heard, asker, proved } = await carried(50, (answer) => answer.map((byte) => byte ^ 1));
  expect(heard.asker).toEqual([]);
  expect(asker.refused).toBe(1);
  expect(proved).toEqual([false]);
});

test.each([0, 11, 12, 13])("%i bytes of somebody who has not read a signal prove nothing", async (length) => {
  const { proved } = await carried(500, () => new Uint8Array(length));
  expect(proved).toEqual([false, false]);
});

test("copies of one signal, by whatever way they come, are one signal, and all are answered as it was", async () => {
  const { clock, target, heard } = await carried(50);
  const [own, other] = await Promise.all([1, 2].map((seed) => identityFromSeed(seedOf(seed))));
  const { id } = other as Identity;
  const runtime = simRuntime({ seed: "copies", clock });
  const network = requireNetworkName("demo");
  const sealed = await sealSignal(own as Identity, id, network, rtc("offer"), clock.nowMs(), runtime.random);
  const answers: Uint8Array[] = [];
  const receive = async (bytes: Uint8Array): Promise<void> => {
    const fields = new FieldReader(decode(encode([bytes, true]), LIMITS), "question");
    target.receive(fields, (answer) => answers.push(answer));
    await clock.settle();
  };
  // Somebody on the way has spoilt the first, and looks as if it were the same.
  await receive(sealed.map((byte, i) => (i < 32 ? byte : byte ^ 1)));
  await receive(sealed);
  await receive(sealed);
  await clock.advance(300);
  await receive(sealed);
  expect(heard.target).toEqual([rtc("offer"), rtc("offer")]);
  expect(target.refused).toBe(1);
  const [spoilt, ...own3] = answers;
  expect(spoilt).toEqual(new Uint8Array(0));
  expect(own3).toHaveLength(3);
  expect(new Set(own3.map(toHex)).size).toBe(1);
});

test("candidates wait for no answer, and a closed peer for nothing", async () => {
  const { clock, asker, target, heard, asked } = await carried(50);
  const [, other] = await Promise.all([1, 2].map((seed) => identityFromSeed(seedOf(seed))));
  const reached = asker.send((other as Identity).id, candidate);
  await clock.settle();
  expect(await reached).toBe(true);
  await clock.settle();
  expect(heard.target).toEqual([rtc("offer"), candidate]);
  expect(asked).toEqual(["asker", "asker"]);
  target.close();
  asker.close();
  expect(clock.timersPending).toBe(0);
});
