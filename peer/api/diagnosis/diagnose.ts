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
import { abortError } from "../../overlay/abort.ts";
import { IceServers } from "../../overlay/ice-servers.ts";
import { stunServersOf } from "../../overlay/nat-probe.ts";
import { parseStunUrl, type StunServer } from "../../links/stun.ts";
import type { Runtime } from "../../runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerOptions } from "../options.ts";
import { checkChallenge, checkEdge, checkRelay } from "./edge-checks.ts";
import { type Check, check, type Finding } from "./finding.ts";
import type { DiagnosisHost } from "./host.ts";
import { checkByIce } from "./ice-checks.ts";
import { checkWebRtc, GATEWAY_CHECK, type NetworkFacts, unknownNetwork } from "./network-checks.ts";
import { checkPeer } from "./peer-checks.ts";
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
 * @throws PeerloomError `usage/invalid`, `id/invalid`, `network/invalid-name`, `network/invite-invalid`, `aborted`
 */
export async function* diagnoseOn(
  host: DiagnosisHost,
  options: DiagnoseOptions,
): AsyncGenerator<Finding, void> {
  const { signal = new AbortController().signal } = options;
  // A gateway that speaks nothing is silent: that is waited for beside all the rest.
  const over = new AbortController();
  const gateway = lookAtGateway(host, AbortSignal.any([signal, over.signal]));
  try {
    const facts = yield* lookAround(host, { ...options, signal });
    yield await gateway;
    yield verdict(facts);
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error;
  } finally {
    over.abort(new PeerloomError("aborted", "The diagnosis is over."));
    await gateway;
  }
}

async function* lookAround(
  host: DiagnosisHost,
  options: DiagnoseOptions & { readonly signal: AbortSignal },
): AsyncGenerator<Finding, Facts> {
  const { runtime, parts } = host;
  const { stun, to, signal, ...peerOptions } = options;
  const target = to === undefined ? undefined : requirePeerId(to);
  const servers = stun?.map(requireStunServer);
  const edge = options.edge ?? undefined;
  const webrtc = checkWebRtc(runtime);
  yield webrtc;
  const facts = { ...NOTHING_KNOWN, webrtc: webrtc.ok === true, canListen: runtime.tcp !== undefined };
  if (edge !== undefined) facts.edge = yield* lookAtEdge(runtime, edge, openNetworkOf(options), signal);
  const canJoin = facts.edge !== undefined && verdict({ ...facts, webrtc: true }).code === "ok";
  const fromEdge = facts.edge?.answers === true && edge !== undefined;
  const network = await lookAtNetwork(
    host,
    servers ?? (fromEdge ? stunServersOf(await new IceServers(runtime, edge).get()) : []),
    signal,
  );
  yield* network.checks;
  facts.udp = network.udp;
  facts.mapping = network.mapping;
  if (canJoin && edge !== undefined) {
    const relay =
      facts.edge?.isPrivate === true
        ? check("relay", null, "unknown: the edge relays for members only")
        : await checkRelay(runtime, parts, edge, signal);
    facts.relay = relay.ok ?? undefined;
    yield relay;
  }
  if (target !== undefined && (canJoin || edge === undefined)) {
    const peer = await checkPeer(host, target, peerOptions, signal);
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
  canListen: false,
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
  if (health.rttMs === undefined)
    return { answers: false, socketOpened: false, isPrivate: false, skewMs: undefined };
  const challenge = await checkChallenge(runtime, { edge, network, rttMs: health.rttMs }, signal);
  yield* challenge.checks;
  const { socketOpened, isPrivate, skewMs } = challenge;
  return { answers: true, socketOpened, isPrivate, skewMs };
}

/** Datagram sockets tell more than an ICE agent does. */
function lookAtNetwork(
  { runtime, parts: { sockets } }: DiagnosisHost,
  servers: readonly StunServer[],
  signal: AbortSignal,
): Promise<NetworkFacts> {
  const { udp, webrtc } = runtime;
  if (udp !== undefined && sockets !== undefined)
    return sockets.checkByDatagrams(runtime, udp, servers, signal);
  if (webrtc !== undefined) return checkByIce(runtime, webrtc, servers, signal);
  return Promise.resolve(unknownNetwork("there is neither a UDP socket nor WebRTC to learn it from"));
}

function lookAtGateway({ runtime, parts: { sockets } }: DiagnosisHost, signal: AbortSignal): Promise<Check> {
  if (runtime.udp !== undefined && sockets !== undefined) return sockets.checkGateway(runtime, signal);
  const none = "there are no UDP sockets here to ask the gateway by, as a page has none";
  return Promise.resolve(check(GATEWAY_CHECK, null, none));
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
