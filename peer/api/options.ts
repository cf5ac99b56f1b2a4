/**
 * What a peer can be told when it is opened, and the check of it.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { parsePeerId, type PeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import { parseAddress, parseListenAddress } from "../links/address.ts";
import type { PathPolicy } from "../overlay/connector.ts";
import { isLoopback } from "../overlay/lan-notice.ts";
import type { IceServer, LanReach } from "../runtime.ts";
import type { NetworkOptions } from "./network-access.ts";

export interface PeerOptions extends NetworkOptions {
  /**
   * Origin of the edge, `https://edge.example`. `null`: pure, no edge at all. @default the one that the invite names, else the host's (see
   * the entry point)
   */
  readonly edge?: string | null;
  /** `HOST:PORT` to take TCP and WebSocket links on; port 0 lets the system choose. Node and Deno only. @default none */
  readonly listen?: string;
  /**
   * Asks the gateway (a home's router) to map the listening port, by PCP, NAT-PMP or UPnP-IGD, so that peers outside reach it without a punch or a
   * relay. A gateway that does not is no error: `status().mapping` and the event `mapping` say what came of it. IPv4. Needs `listen` and
   * direct paths. Node and Deno only. @default false
   */
  readonly mapPorts?: boolean;
  /**
   * Peers to connect to at the start, for a network without an edge: `tcp://HOST:PORT/PEERID` or `ws://HOST:PORT/PEERID`. One that is
   * not there is no error: the event `unanswered` tells, and it is dialled again, at most 30 s later, while this peer is linked to nobody.
   */
  readonly bootstrap?: readonly string[];
  /** `direct`: never through a relay. `relay`: only through it, so that no peer learns an address. @default both */
  readonly only?: "direct" | "relay";
  /** Links to other peers by itself, to find and to be found without the edge. Off, the edge alone introduces. @default true */
  readonly overlay?: boolean;
  /**
   * Passes sealed bytes on between two peers it is linked to that cannot reach each other and have no edge: at most 16 pairs, 512 KiB/s
   * each way and pair. @default true
   */
  readonly forward?: boolean;
  /**
   * Finds peers of the same network on the local one by multicast DNS, and is found there if it listens. A loopback `listen`
   * keeps it to this machine. Needs the overlay and direct paths. Node and Deno only.
   * @default true when `listen` is another than loopback, or nothing is listened on and there is no edge
   */
  readonly lan?: boolean;
  /** @default true where the host has it */
  readonly webrtc?: boolean;
  /** Instead of those that the edge names. */
  readonly iceServers?: readonly IceServer[];
  /** Bytes a second at most that this peer gives of files, to all together. @default no limit */
  readonly uploadLimit?: number;
  /** Bytes a second at most that this peer takes of files, from all together. @default no limit */
  readonly downloadLimit?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

/** The same with everything decided. */
export interface CheckedOptions {
  /** Undefined: pure. */
  readonly edge: string | undefined;
  readonly listen: string | undefined;
  readonly mapPorts: boolean;
  readonly bootstrap: readonly Contact[];
  readonly policy: PathPolicy;
  readonly overlay: boolean;
  readonly forward: boolean;
  /** Undefined: neither finds nor is found on the local network. */
  readonly lanReach: LanReach | undefined;
  readonly webrtc: boolean;
  readonly iceServers: readonly IceServer[] | undefined;
  readonly uploadLimit: number | undefined;
  readonly downloadLimit: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** @throws PeerloomError `usage/invalid` */
export function checkOptions(options: PeerOptions): CheckedOptions {
  const edge = options.edge ?? undefined;
  return {
    edge: edge === undefined ? undefined : checkEdge(edge),
    listen: options.listen,
    mapPorts: checkMapPorts(options),
    bootstrap: checkBootstrap(options.bootstrap ?? []),
    policy: options.only ?? "any",
    overlay: options.overlay ?? true,
    forward: options.forward ?? true,
    lanReach: lanReachOf(options),
    webrtc: options.webrtc ?? true,
    iceServers: options.iceServers,
    uploadLimit: options.uploadLimit,
    downloadLimit: options.downloadLimit,
    signal: options.signal,
  };
}

/** @throws PeerloomError `usage/invalid` */
function checkMapPorts({ mapPorts = false, listen, only }: PeerOptions): boolean {
  if (mapPorts && (listen === undefined || only === "relay"))
    throw new PeerloomError(
      "usage/invalid",
      "There is no port to map: listen as well, as on 0.0.0.0:4000, and allow direct paths.",
    );
  return mapPorts;
}

function lanReachOf({ edge, lan, listen, only, overlay }: PeerOptions): LanReach | undefined {
  if (lan === false || only === "relay" || overlay === false) return undefined;
  const isConfined = listen !== undefined && isLoopback(parseListenAddress(listen).host);
  const isWanted = lan ?? (listen === undefined ? (edge ?? undefined) === undefined : !isConfined);
  if (!isWanted) return undefined;
  return isConfined ? "loopback" : "lan";
}

/** The origin alone: peers sign it, so it must be what the edge sees. */
function checkEdge(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new PeerloomError(
      "usage/invalid",
      `"${text.slice(0, 100)}" is not an edge: give its URL, as https://edge.example.`,
    );
  }
  return url.origin;
}

/** One may be named at several addresses. @throws PeerloomError `usage/invalid` */
function checkBootstrap(texts: readonly string[]): Contact[] {
  const addresses = new Map<PeerId, string[]>();
  for (const text of texts) {
    const { id, address } = parseBootstrap(text);
    addresses.set(id, [...(addresses.get(id) ?? []), address]);
  }
  return [...addresses].map(([id, each]) => ({ id, addresses: each }));
}

function parseBootstrap(text: string): { readonly id: PeerId; readonly address: string } {
  const slash = text.lastIndexOf("/");
  const id = parsePeerId(text.slice(slash + 1));
  const address = text.slice(0, slash);
  if (id === undefined || parseAddress(address) === undefined) {
    throw new PeerloomError(
      "usage/invalid",
      `"${text.slice(0, 120)}" is no bootstrap address: give tcp://HOST:PORT/PEERID, with the id that the peer prints.`,
    );
  }
  return { id, address };
}
