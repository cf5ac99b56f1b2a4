/** Checks of the way to one other peer: it is connected to, and every kind of path that was tried is shown with what became of it. */
import { type ErrorCode, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { generateIdentity } from "../../identity/identity.ts";
import type { IceCandidate } from "../../links/candidates.ts";
import type { PathAttempt } from "../../overlay/path-attempt.ts";
import type { Runtime } from "../../runtime.ts";
import type { Session } from "../../session/contract.ts";
import type { PeerOptions } from "../options.ts";
import { Peer } from "../peer.ts";
import type { DiagnosisHost } from "./host.ts";
import { FORGETFUL } from "./edge-checks.ts";
import { isAt, type CandidatePair, candidatePairs, isHidden } from "./candidate-pairs.ts";
import { type Check, check, reasonOf, type VerdictCode } from "./finding.ts";

/** A path that can be direct is, or has been explained, by then: a negotiation takes 10 s. */
const SETTLE_TIMEOUT_MS = 14_000;
/** Pairs of candidates shown. */
const PAIRS_MAX = 24;
/** Attempts shown; past that the oldest are forgotten. */
const ATTEMPTS_MAX = 32;

export interface PeerFacts {
  readonly code: VerdictCode;
  readonly checks: readonly Check[];
}

/**
 * Connects to a peer, under a passing identity unless somebody is named who looks.
 * @throws PeerloomError `usage/invalid`, `network/invalid-name`, `network/invite-invalid`, `aborted`
 */
export async function checkPeer(
  host: DiagnosisHost,
  to: PeerId,
  options: PeerOptions,
  signal: AbortSignal,
): Promise<PeerFacts> {
  const { clock } = host.runtime;
  const attempts: PathAttempt[] = [];
  const watch = (event: Event): void => {
    const attempt = (event as CustomEvent<PathAttempt>).detail;
    if (attempt.peerId === to) attempts.push(attempt);
    if (attempts.length > ATTEMPTS_MAX) attempts.shift();
  };
  let peer: Peer | undefined;
  try {
    peer = host.looker instanceof Peer ? host.looker : await openLooker(host, options, signal);
    peer.addEventListener("attempt", watch);
    const stood = peer.sessions().some(({ peerId }) => peerId === to);
    const startMs = clock.monotonicMs();
    const session = await peer.connect(to, { signal });
    const connectMs = clock.monotonicMs() - startMs;
    await settled(host.runtime, session, signal);
    const { kind, transport, why } = session.path;
    const path = kind === "direct" ? `directly (${transport})` : `through the ${kind} (${why})`;
    const reached = stood ? "a session stood already" : `reached in ${connectMs.toFixed(0)} ms`;
    return {
      code: kind === "direct" ? "ok" : codeOf(why),
      checks: [
        check("peer", true, `${reached}, now ${path}`),
        ...attemptChecks(host, attempts, session, stood),
      ],
    };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PeerloomError && ASKED_WRONGLY.has(error.code)) throw error;
    return {
      code: failureOf(error),
      checks: [check("peer", false, reasonOf(error)), ...attemptChecks(host, attempts)],
    };
  } finally {
    peer?.removeEventListener("attempt", watch);
    if (peer !== host.looker) await peer?.close();
  }
}

async function openLooker(
  { runtime, parts, looker }: DiagnosisHost,
  options: PeerOptions,
  signal: AbortSignal,
): Promise<Peer> {
  const passing = { ...runtime, storage: FORGETFUL };
  const { identity, storage } =
    looker instanceof Peer || looker === undefined
      ? { identity: await generateIdentity(runtime.random), storage: FORGETFUL }
      : looker;
  return Peer.openOn(passing, identity, { ...options, signal }, parts, storage);
}

/** Resolves when the path is direct or why it is not is known, and at the latest after a while. */
async function settled(runtime: Runtime, session: Session, signal: AbortSignal): Promise<void> {
  const isSettled = (): boolean => session.path.kind === "direct" || session.path.why !== "direct-pending";
  if (isSettled()) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      timer.cancel();
      session.removeEventListener("path", look);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const look = (): void => {
      if (isSettled()) done();
    };
    const timer = runtime.clock.setTimer(SETTLE_TIMEOUT_MS, done);
    session.addEventListener("path", look);
    signal.addEventListener("abort", done, { once: true });
  });
  signal.throwIfAborted();
}

const CODES: ReadonlySet<string> = new Set<VerdictCode>([
  "webrtc-unavailable",
  "no-answer",
  "no-stun",
  "udp-blocked",
  "no-common-family",
  "no-hairpin",
  "symmetric-nat",
  "ice-failed",
]);

function codeOf(why: string): VerdictCode {
  return CODES.has(why) ? (why as VerdictCode) : "path-pending";
}

/** Not the network's fault. */
const ASKED_WRONGLY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "usage/invalid",
  "network/invalid-name",
  "network/invite-invalid",
]);

function failureOf(error: unknown): VerdictCode {
  const { code } = toPeerloomError(error, "internal/assertion", "");
  if (code === "peer/not-found") return "peer-gone";
  if (code === "connect/timeout") return "peer-silent";
  if (code.startsWith("network/")) return "network-refuses";
  return code === "edge/unreachable" ? "edge-unreachable" : "peer-unreachable";
}

/** One check for each kind of path there is. `stood`: there was a session before anybody looked. */
function attemptChecks(
  { runtime }: DiagnosisHost,
  attempts: readonly PathAttempt[],
  session?: Session,
  stood = false,
): Check[] {
  if (stood && attempts.length === 0)
    return [check("path", null, "what was tried for it before is not told again"), ...relayCheck(session)];
  return [addressCheck(runtime, attempts), ...candidateChecks(attempts), ...relayCheck(session)];
}

function addressCheck({ tcp }: Runtime, attempts: readonly PathAttempt[]): Check {
  const dialled = new Map<string, PeerloomError | undefined>();
  for (const each of attempts) if (each.transport === "address") dialled.set(each.address, each.error);
  const none =
    tcp === undefined ? "none was told that a page can dial" : "it listens on no address that was told";
  if (dialled.size === 0) return check("path: address", null, none);
  const detail = [...dialled]
    .map(([address, error]) => `${address}: ${error?.message ?? "connected"}`)
    .join(" ");
  return check("path: address", [...dialled.values()].includes(undefined), detail);
}

const KINDS = [
  { kind: "host", name: "path: host candidate", without: "no address of its own was offered" },
  { kind: "srflx", name: "path: reflexive candidate", without: "STUN answered neither side" },
  { kind: "relay", name: "path: turn candidate", without: "no TURN server is configured, or none answers" },
] as const;

function candidateChecks(attempts: readonly PathAttempt[]): Check[] {
  const negotiations = attempts.filter((each) => each.transport === "webrtc");
  const last = negotiations.findLast(({ failure }) => failure === undefined) ?? negotiations.at(-1);
  if (last === undefined) return [check("path: webrtc", null, "nothing was negotiated")];
  const { failure, candidates, description } = last;
  const [, place] = /^webrtc \w+ (\S+)$/.exec(description) ?? [];
  const chosen = candidates.remote.find((each) => isAt(each, place))?.kind ?? chosenKind(description);
  const kinds = KINDS.map(({ kind, name, without }) => {
    const list = (side: readonly IceCandidate[]): string =>
      side.flatMap((each) => (each.kind === kind ? [placeOf(each)] : [])).join(", ") || "none";
    const [here, there] = [list(candidates.local), list(candidates.remote)];
    if (here === "none" && there === "none") return check(name, null, without);
    const isChosen = failure === undefined && chosen === kind;
    const other = chosen === undefined ? "one of all these connected" : "another was better";
    const outcome = isChosen ? "connected" : (failure ?? other);
    return check(
      name,
      failure === undefined ? isChosen || null : false,
      `here ${here}; there ${there}: ${outcome}`,
    );
  });
  const pairs = candidatePairs({ failure, candidates, chosen: place });
  return [...kinds, ...pairChecks(pairs, failure !== undefined)];
}

function pairChecks(pairs: readonly CandidatePair[], hasFailed: boolean): Check[] {
  if (pairs.length === 0) return [check("pairs", null, "no candidate here fits one there")];
  const checks = pairs.slice(0, PAIRS_MAX).map(({ here, there, isConnected, outcome }, index) => {
    const detail = `${here.kind} ${placeOf(here)} to ${there.kind} ${placeOf(there)}: ${outcome}`;
    return check(`pair ${index + 1}`, isConnected || (hasFailed ? false : null), detail);
  });
  const more = pairs.length - PAIRS_MAX;
  return more > 0 ? [...checks, check("pairs", null, `and ${more} more like them`)] : checks;
}

function placeOf(candidate: IceCandidate): string {
  return `${isHidden(candidate) ? "a hidden address" : candidate.address} port ${candidate.port}`;
}

/** Undefined where the host does not tell. A peer-reflexive address that was not offered is one that STUN would have shown, had it been asked. */
function chosenKind(description: string): string | undefined {
  const kind = /^webrtc (\w+)/.exec(description)?.[1];
  return kind === "prflx" ? "srflx" : kind;
}

function relayCheck(session: Session | undefined): Check[] {
  if (session?.path.kind !== "relay" && session?.path.kind !== "overlay") return [];
  return [check(`path: ${session.path.kind}`, true, session.path.description)];
}
