/**
 * A diagnosis: what of this machine's way to others works, and the one cause to act on when something does not. It opens passing peers
 * of its own, touches no identity and no data folder but those it is given, and ends by itself, in the worst case after about a minute.
 */
import {
  DEFAULT_NETWORK,
  networkKindOf,
  type NetworkName,
  requireNetworkName,
  requirePeerId,
} from "../../../shared/ids.ts";
import { IceServers } from "../../overlay/ice-servers.ts";
import { stunServersOf } from "../../overlay/nat-probe.ts";
import { parseStunUrl, type StunServer } from "../../links/stun.ts";
import type { Runtime } from "../../runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerOptions } from "../options.ts";
import { checkChallenge, checkEdge, checkRelay } from "./edge-checks.ts";
import type { Finding } from "./finding.ts";
import { checkGateway, checkNetwork, checkWebRtc } from "./network-checks.ts";
import { checkPeer, type Looker } from "./peer-checks.ts";
import { type Facts, verdict } from "./verdict.ts";

export interface DiagnoseOptions extends Pick<
  PeerOptions,
  "edge" | "network" | "secret" | "invite" | "listen" | "mapPorts" | "bootstrap" | "only" | "lan"
> {
  /** A peer to look at the way to. */
  readonly to?: string;
  /** STUN servers as `HOST:PORT`, instead of those that the edge names; two let the NAT be told. */
  readonly stun?: readonly string[];
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/**
 * Checks, as they are done, and then one verdict.
 * @param looker goes to the peer that is asked for. @default a passing identity that knows no network
 * @throws PeerloomError `usage/invalid`, `id/invalid`, `network/invalid-name`, `network/invite-invalid`, `aborted`
 */
export async function* diagnoseOn(
  runtime: Runtime,
  options: DiagnoseOptions,
  looker?: Looker,
): AsyncGenerator<Finding, void> {
  const { signal = new AbortController().signal } = options;
  // A gateway that speaks nothing is silent: that is waited for beside all the rest.
  const over = new AbortController();
  const gateway = checkGateway(runtime, AbortSignal.any([signal, over.signal]));
  try {
    const facts = yield* lookAround(runtime, { ...options, signal }, looker);
    yield await gateway;
    yield verdict(facts);
  } finally {
    over.abort(new PeerloomError("aborted", "The diagnosis is over."));
    await gateway;
  }
}

async function* lookAround(
  runtime: Runtime,
  options: DiagnoseOptions & { readonly signal: AbortSignal },
  looker: Looker | undefined,
): AsyncGenerator<Finding, Facts> {
  const { stun, to, signal, ...peerOptions } = options;
  const target = to === undefined ? undefined : requirePeerId(to);
  const servers = stun?.map(requireStunServer);
  const edge = options.edge ?? undefined;
  const webrtc = checkWebRtc(runtime);
  yield webrtc;
  const facts = { ...NOTHING_KNOWN, webrtc: webrtc.ok === true };
  if (edge !== undefined) facts.edge = yield* lookAtEdge(runtime, edge, openNetworkOf(options), signal);
  const canJoin = facts.edge !== undefined && verdict({ ...facts, webrtc: true }).code === "ok";
  const fromEdge = facts.edge?.answers === true && edge !== undefined;
  const network = await checkNetwork(
    runtime,
    servers ?? (fromEdge ? stunServersOf(await new IceServers(runtime, edge).get()) : []),
    signal,
  );
  yield* network.checks;
  facts.udp = network.udp;
  facts.mapping = network.mapping;
  if (canJoin && edge !== undefined) {
    const relay = await checkRelay(runtime, edge, signal);
    facts.relay = relay.ok === true;
    yield relay;
  }
  if (target !== undefined && (canJoin || edge === undefined)) {
    const peer = await checkPeer(runtime, target, { options: peerOptions, looker }, signal);
    facts.peer = peer.code;
    yield* peer.checks;
  }
  return facts;
}

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

const NOTHING_KNOWN: Mutable<Facts> = {
  edge: undefined,
  relay: undefined,
  webrtc: false,
  udp: undefined,
  mapping: "unknown",
  peer: undefined,
};

async function* lookAtEdge(
  runtime: Runtime,
  edge: string,
  network: NetworkName,
  signal: AbortSignal,
): AsyncGenerator<Finding, Facts["edge"]> {
  const health = await checkEdge(runtime, edge, signal);
  yield health.check;
  if (health.rttMs === undefined) return { answers: false, socketOpened: false, skewMs: undefined };
  const challenge = await checkChallenge(runtime, { edge, network, rttMs: health.rttMs }, signal);
  yield* challenge.checks;
  return { answers: true, socketOpened: challenge.socketOpened, skewMs: challenge.skewMs };
}

/** Where the edge's challenge is looked at: a private network's challenges members only, and the name beside a secret is not for the edge. */
function openNetworkOf({ network, secret }: DiagnoseOptions): NetworkName {
  const named = network === undefined ? DEFAULT_NETWORK : requireNetworkName(network);
  return secret === undefined && networkKindOf(named) === "open" ? named : DEFAULT_NETWORK;
}

function requireStunServer(text: string): StunServer {
  const server = parseStunUrl(text.startsWith("stun:") ? text : `stun:${text}`);
  if (server === undefined)
    throw new PeerloomError("usage/invalid", `"${text.slice(0, 100)}" is no STUN server: give HOST:PORT.`);
  return server;
}
