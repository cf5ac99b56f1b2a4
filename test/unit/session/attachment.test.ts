/** Attaching a link to a session, end to end over a simulated link; both ends have the session's keys, or seem to. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { simAead } from "../../../peer/adapters/sim/aead.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simLinkPair } from "../../../peer/adapters/sim/link.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import type { LinkKind } from "../../../peer/links/link.ts";
import { type Attachable, acceptAttach, attach } from "../../../peer/session/attachment.ts";
import type { PathInfo } from "../../../peer/session/contract.ts";
import { FirstFrames, HANDSHAKE_TIMEOUT_MS } from "../../../peer/session/first-frames.ts";
import { toHex } from "../../../shared/bytes.ts";
import { type PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { refuseFrame } from "../../../shared/frame.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { counting } from "./support.ts";

let clock: SimClock;
beforeEach(() => {
  clock = new SimClock();
});
afterEach(() => clock.close());

const random = seededRandom(1);
const never = new AbortController().signal;

/** What became of a session at one end. */
interface End extends Attachable {
  readonly told: string[];
}

async function endOf(
  keyByte: number,
  receivedBelow: number,
  kind: PathInfo["kind"] = "direct",
): Promise<End> {
  const key = await simAead().importKey("aes-256-gcm", new Uint8Array(32).fill(keyByte));
  let counter = 0;
  const told: string[] = [];
  return {
    told,
    peerId: "a".repeat(52) as PeerId,
    sessionId: counting(16),
    keys: { sendData: key, receiveData: key, sendControl: key, receiveControl: key },
    path: { kind, transport: "none", why: "", rttMs: undefined, description: "" },
    receivedBelow,
    nextControlCounter: () => counter++,
    acknowledgedBelow: (next) => told.push(`acknowledged ${next}`),
    addPath: (_link, state, linkNonce) => told.push(`${state} ${toHex(linkNonce)}`),
    end: ({ code }) => told.push(`end ${code}`),
  };
}

interface Meeting {
  readonly dialler: End;
  readonly acceptor: End;
  readonly bindings?: readonly [Uint8Array, Uint8Array];
  /** Answers in the acceptor's stead. */
  readonly answer?: Uint8Array;
}

/** Attaches a link from one end to the other. @returns what each side threw, "attached" where nothing */
async function meet({ dialler, acceptor, bindings, answer }: Meeting): Promise<readonly [string, string]> {
  const pair = simLinkPair<LinkKind>({ clock, random, kind: "tcp", ...(bindings && { bindings }) });
  const context = { clock, random };
  const outcome = async (attached: Promise<unknown>): Promise<string> =>
    attached.then(
      () => "attached",
      (error: unknown): PeerloomError["code"] => toPeerloomError(error, "aborted", "").code,
    );
  const accept = async (): Promise<void> => {
    const frames = new FirstFrames(pair.second);
    const frame = await frames.next(clock, never);
    if (answer !== undefined) pair.second.send([answer]);
    else if (frame.type === "attach") await acceptAttach(acceptor, frames, frame, context);
  };
  const both = Promise.all([
    outcome(attach(dialler, new FirstFrames(pair.first), context, never)),
    outcome(accept()),
  ]);
  await clock.advance(HANDSHAKE_TIMEOUT_MS + 1_000);
  return both;
}

test("a link becomes a path of both ends under one nonce, and the dialler learns what has arrived", async () => {
  const [dialler, acceptor] = [await endOf(1, 3), await endOf(1, 5)];
  expect(await meet({ dialler, acceptor })).toEqual(["attached", "attached"]);
  const [proving] = acceptor.told;
  expect(proving).toMatch(/^proving [0-9a-f]{16}$/);
  expect(acceptor.told).toHaveLength(1);
  expect(dialler.told).toEqual(["acknowledged 5", proving?.replace("proving", "usable")]);
});

test.each([
  ["other keys", 2, undefined],
  ["another certificate in between", 1, [counting(32), counting(32, 2)] as const],
])("with %s nothing is attached", async (_what, keyByte, bindings) => {
  const [dialler, acceptor] = [await endOf(1, 0), await endOf(keyByte, 0)];
  const outcome = await meet({ dialler, acceptor, ...(bindings && { bindings }) });
  expect(outcome).toEqual(["link/timeout", "session/handshake-failed"]);
  expect([...dialler.told, ...acceptor.told]).toEqual([]);
});

test.each([
  ["none", ["end session/lost"]],
  ["relay", []],
] as const)("a session unknown to the other side, with path %s", async (kind, told) => {
  const [dialler, acceptor] = [await endOf(1, 0, kind), await endOf(1, 0)];
  const [outcome] = await meet({ dialler, acceptor, answer: refuseFrame("session/unknown") });
  expect(outcome).toBe("session/unknown");
  expect(dialler.told).toEqual(told);
});
