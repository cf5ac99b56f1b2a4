/** From what was found to the one thing to do: the cause furthest down comes first, since what stands on it fails with it. */
import { CLOCK_SKEW_MS_MAX } from "../../../shared/limits.ts";
import type { Mapping } from "../../overlay/nat-probe.ts";
import type { Verdict, VerdictCode } from "./finding.ts";

export interface Facts {
  /** Undefined: none was named. */
  readonly edge:
    | {
        readonly answers: boolean;
        readonly socketOpened: boolean;
        /** It talks to members of private networks only, who are not looked for here. */
        readonly isPrivate: boolean;
        readonly skewMs: number | undefined;
      }
    | undefined;
  readonly relay: boolean | undefined;
  readonly webrtc: boolean;
  /** Others can dial such a host; the others are pages. */
  readonly canListen: boolean;
  /** Undefined: it could not be found out. */
  readonly udp: boolean | undefined;
  readonly mapping: Mapping;
  /** What came of connecting to the peer that was asked for. */
  readonly peer: VerdictCode | undefined;
}

export function verdict(facts: Facts): Verdict {
  const code = causeOf(facts);
  const advice = (facts.canListen ? undefined : PAGE_ADVICE[code]) ?? ADVICE[code];
  return { kind: "verdict", code, advice };
}

function causeOf({ edge, relay, webrtc, udp, mapping, peer }: Facts): VerdictCode {
  if (edge !== undefined && !edge.answers) return "edge-unreachable";
  if (edge !== undefined && !edge.socketOpened) return "websocket-blocked";
  if (edge !== undefined && edge.skewMs === undefined && !edge.isPrivate) return "edge-refuses";
  if (edge?.skewMs !== undefined && Math.abs(edge.skewMs) > CLOCK_SKEW_MS_MAX) return "clock-wrong";
  // Who asked for one peer wants to know about that one; the rest is in the checks.
  if (peer !== undefined) return peer;
  if (!webrtc) return "webrtc-unavailable";
  if (udp === false) return "udp-blocked";
  if (relay === false) return "relay-unavailable";
  if (mapping === "symmetric") return "symmetric-nat";
  return edge === undefined && udp === undefined ? "no-edge" : "ok";
}

const ADVICE: { readonly [code in VerdictCode]: string } = {
  ok: "Nothing is wrong.",
  "no-edge":
    "No edge was named and no STUN server, so there is nothing to ask. Give --edge URL, or --stun HOST:PORT.",
  "edge-unreachable":
    "The edge does not answer. Check its URL, open EDGE/health in a browser, and check this machine's network and proxy.",
  "websocket-blocked":
    "The edge answers, but no WebSocket opens. A proxy or firewall in between must let WebSockets pass; https:// helps.",
  "edge-refuses":
    "The edge opens a socket and does not begin to talk. Update the older of edge and peer, and check what stands in between.",
  "clock-wrong":
    "Set this machine's clock (turn time synchronisation on): the edge refuses who is more than two minutes off.",
  "webrtc-unavailable":
    "WebRTC is missing here or there: install node-datachannel (under Deno, allow ffi). Until then only listening peers are reached directly.",
  "relay-unavailable":
    "The edge does not relay. Pairs that cannot reach each other have no path: look at the edge's log and limits.",
  "network-refuses":
    "That private network does not let this peer in; the checks say why. Give an invite or the secret that is good now. An invite for a single peer serves the one that runs on this data folder: stop it, and run this again.",
  "peer-gone": "Nobody knows that peer. It must be running now, on the same edge and in the same network.",
  "peer-silent":
    "That peer is known but does not answer: its process stands still, it has just lost its network, or it takes direct paths only. Try again in a minute.",
  "peer-unreachable": "No path to that peer could be made; the checks say what was tried.",
  "path-pending":
    "That peer is reached through a relay; direct paths are still being tried. Run this again in a moment.",
  "no-answer": "That peer does not negotiate WebRTC: it may lack node-datachannel, or be set to relays only.",
  "no-stun":
    "No STUN server is known, so no address is that others could send to. Set STUN_URLS at the edge.",
  "udp-blocked":
    "UDP does not get through on one side, so paths are relayed. Let UDP out in that firewall, or have one side listen on a TCP port that can be reached: --listen 0.0.0.0:4000, and --map-ports where its router maps ports.",
  "no-common-family":
    "One side has IPv4 only and the other IPv6 only: paths between them are relayed until one has both.",
  "no-hairpin":
    "Both sides are behind the same router, which does not turn packets round. Allow the two networks to reach each other, or switch hairpin NAT on.",
  "symmetric-nat":
    "A NAT gives every destination another port (symmetric), so paths to most others are relayed. Use IPv6, --listen on a port that the router forwards (--map-ports asks it to), or give the edge a TURN server.",
  "ice-failed":
    "Both sides have public addresses and yet do not meet: a firewall drops what comes in. Have one side --listen on a port that is open.",
};

/** In a page, where other words than at a command line help. */
const PAGE_ADVICE: { readonly [code in VerdictCode]?: string } = {
  "no-edge":
    "No edge was named and no STUN server, so there is nothing to ask. Name an edge, or STUN servers (options `edge` and `stun`).",
  "edge-unreachable":
    "The edge does not answer. Check its URL, open EDGE/health in another tab, and check this device's network, proxy and extensions.",
  "webrtc-unavailable":
    "WebRTC is missing here or there. In a browser a setting, an extension or a policy has switched it off: switch it on; a peer in a terminal needs node-datachannel. Until then everything is relayed.",
  "network-refuses":
    "That private network does not let in who looks; the checks say why. Open the network's link or an invite that is good now, and run this again.",
  "udp-blocked":
    "UDP does not get through on one side, so paths are relayed. Try without VPN and extensions that keep WebRTC back, or in another network; whoever runs this one can let UDP out.",
  "symmetric-nat":
    "A NAT gives every destination another port (symmetric), so paths to most others are relayed. Use IPv6 or another network, or give the edge a TURN server.",
  "ice-failed":
    "Both sides have public addresses and yet do not meet: a firewall drops what comes in. Let UDP in on one side, or give the edge a TURN server.",
};
