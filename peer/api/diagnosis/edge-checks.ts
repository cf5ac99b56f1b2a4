/** Checks of the edge: whether it answers, lets WebSockets through, agrees on the time, and relays. */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { requireNetworkName } from "../../../shared/ids.ts";
import { CLOCK_SKEW_MS_MAX } from "../../../shared/limits.ts";
import { decodeFromRendezvous } from "../../../shared/messages.ts";
import { generateIdentity } from "../../identity/identity.ts";
import { withDeadline } from "../../overlay/abort.ts";
import type { Runtime } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";
import type { PeerParts } from "../parts.ts";
import { Peer } from "../peer.ts";
import { type Check, check, reasonOf } from "./finding.ts";

const HEALTH_TIMEOUT_MS = 8_000;
const HEALTH_REQUESTS = 3;
const HEALTH_CHARACTERS_MAX = 1_024;
const CHALLENGE_TIMEOUT_MS = 8_000;
const RELAY_TIMEOUT_MS = 15_000;
/** The relay is measured with no more than this, and no longer. */
const RELAY_BYTES_MAX: number = 4 * 1024 * 1024;
const RELAY_MS_MAX = 2_000;
const RELAY_CHUNK_BYTES: number = 64 * 1024;
const RELAY_PROTOCOL = "doctor/1";

export interface EdgeHealth {
  readonly check: Check;
  readonly rttMs: number | undefined;
}

/** Asks for `/health`; the first answer pays for the connection, the quickest is the round trip. */
export async function checkEdge(runtime: Runtime, edge: string, signal: AbortSignal): Promise<EdgeHealth> {
  let rttMs = Number.POSITIVE_INFINITY;
  try {
    await withDeadline(runtime.clock, HEALTH_TIMEOUT_MS, signal, async (within) => {
      for (let i = 0; i < HEALTH_REQUESTS; i++) {
        const startMs = runtime.clock.monotonicMs();
        await requestHealth(edge, within);
        rttMs = Math.min(rttMs, runtime.clock.monotonicMs() - startMs);
      }
    });
  } catch (error) {
    signal.throwIfAborted();
    return { check: check("edge", false, `${edge}: ${reasonOf(error)}`), rttMs: undefined };
  }
  return { check: check("edge", true, `${edge} answers in ${rttMs.toFixed(1)} ms`), rttMs };
}

export interface Challenge {
  readonly checks: readonly Check[];
  readonly socketOpened: boolean;
  /** It does not take this network: private ones only, or those that its operator has named. */
  readonly isPrivate: boolean;
  /** Undefined when no challenge came. Positive: this machine is ahead. */
  readonly skewMs: number | undefined;
}

/** Opens the rendezvous and reads its challenge, which tells the edge's time. Nothing is joined. */
export async function checkChallenge(
  runtime: Runtime,
  { edge, network, rttMs }: { readonly edge: string; readonly network: string; readonly rttMs: number },
  signal: AbortSignal,
): Promise<Challenge> {
  let socketOpened = false;
  let isPrivate = false;
  try {
    const skewMs = await withDeadline(runtime.clock, CHALLENGE_TIMEOUT_MS, signal, async (within) => {
      const url = `${edge.replace(/^http/, "ws")}/v1/net/${network}/join`;
      const socket = await runtime.websocket.connect(url, within);
      socketOpened = true;
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      const gone = (why: string): void => reject(new PeerloomError("edge/unreachable", why));
      socket.onMessage = (bytes) => {
        const nowMs = runtime.clock.nowMs();
        try {
          const message = decodeFromRendezvous(bytes);
          isPrivate = message.kind === "error" && message.code === "network/not-allowed";
          if (message.kind === "challenge") resolve(nowMs - message.timeMs - rttMs / 2);
          else gone("the edge did not begin with a challenge");
        } catch (error) {
          reject(toPeerloomError(error, "wire/malformed", "The edge sent no challenge."));
        }
      };
      socket.onClose = (code) => gone(`the edge closed the socket (code ${code})`);
      within.addEventListener("abort", () => gone("no challenge came in time"), { once: true });
      return await promise.finally(() => socket.destroy());
    });
    return {
      socketOpened,
      isPrivate,
      skewMs,
      checks: [check("websocket", true, "the rendezvous answers"), clockCheck(skewMs)],
    };
  } catch (error) {
    signal.throwIfAborted();
    const checks = isPrivate
      ? [
          check(
            "websocket",
            true,
            "the rendezvous answers, and takes only networks that its operator allows",
          ),
          check("clock", null, "unknown: the edge tells its time to members only"),
        ]
      : [check("websocket", false, reasonOf(error))];
    return { socketOpened, isPrivate, skewMs: undefined, checks };
  }
}

/** Two passing peers of this process send each other a little through the edge's relay, in a network of their own. */
export async function checkRelay(
  runtime: Runtime,
  parts: PeerParts,
  edge: string,
  signal: AbortSignal,
): Promise<Check> {
  const network = requireNetworkName(`doctor-${toHex(runtime.random.bytes(8))}`);
  const host = { ...runtime, storage: FORGETFUL };
  const open = async (within: AbortSignal): Promise<Peer> =>
    Peer.openOn(
      host,
      await generateIdentity(runtime.random),
      { edge, network, only: "relay", signal: within },
      parts,
    );
  const peers: Peer[] = [];
  try {
    return await withDeadline(runtime.clock, RELAY_TIMEOUT_MS, signal, async (within) => {
      const receiver = await open(within);
      peers.push(receiver);
      const sender = await open(within);
      peers.push(sender);
      const startMs = runtime.clock.monotonicMs();
      const received = Promise.withResolvers<number>();
      // Aborted before the other side has sent all, nobody waits for it.
      received.promise.catch(() => {});
      receiver.handle(RELAY_PROTOCOL, async (stream) => received.resolve(await countBytes(stream)));
      within.addEventListener("abort", () => received.reject(within.reason as Error), { once: true });
      const session = await sender.connect(receiver.id, { signal: within });
      const connectMs = runtime.clock.monotonicMs() - startMs;
      const [seconds, bytes] = await sendFor(runtime, await session.open(RELAY_PROTOCOL), received.promise);
      const rate = (bytes / 1e6 / seconds).toFixed(1);
      return check("relay", true, `connects in ${connectMs.toFixed(0)} ms, ${rate} MB/s from here to here`);
    });
  } catch (error) {
    signal.throwIfAborted();
    return check("relay", false, reasonOf(error));
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}

/** Keeps nothing. */
export const FORGETFUL: Runtime["storage"] = {
  get: () => Promise.resolve(undefined),
  set: () => Promise.resolve(),
};

async function requestHealth(edge: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(new URL("/health", edge), { signal, redirect: "error" });
  const text = (await response.text()).slice(0, HEALTH_CHARACTERS_MAX);
  if (response.status === 503 && text.includes('"degraded"'))
    throw new PeerloomError("edge/unreachable", `it is not well: ${text}`);
  if (!response.ok || !text.includes('"peerloom-edge"'))
    throw new PeerloomError("edge/unreachable", `it answers ${response.status}, but is no edge of peerloom`);
}

function clockCheck(skewMs: number): Check {
  const apart = Math.abs(skewMs);
  const side = skewMs > 0 ? "ahead of" : "behind";
  const amount = apart < 1_000 ? `${apart.toFixed(0)} ms` : `${(apart / 1_000).toFixed(0)} s`;
  return check(
    "clock",
    apart <= CLOCK_SKEW_MS_MAX,
    `${amount} ${side} the edge's; ${CLOCK_SKEW_MS_MAX / 1_000} s are allowed`,
  );
}

/** @returns seconds and bytes until the other side had them all */
async function sendFor(
  runtime: Runtime,
  stream: Stream,
  received: Promise<number>,
): Promise<[number, number]> {
  const { clock } = runtime;
  const writer = stream.writable.getWriter();
  const chunk = runtime.random.bytes(RELAY_CHUNK_BYTES);
  const startMs = clock.monotonicMs();
  for (
    let sent = 0;
    sent < RELAY_BYTES_MAX && clock.monotonicMs() - startMs < RELAY_MS_MAX;
    sent += chunk.length
  )
    await writer.write(chunk);
  await writer.close();
  const bytes = await received;
  return [Math.max(clock.monotonicMs() - startMs, 1) / 1_000, bytes];
}

async function countBytes(stream: Stream): Promise<number> {
  let bytes = 0;
  const reader = stream.readable.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read())
    bytes += value?.length ?? 0;
  await stream.writable.close();
  return bytes;
}
