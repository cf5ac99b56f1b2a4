/**
 * What the Worker is given by its configuration: the objects it may reach, the limiter at its door, and its variables.
 * `wrangler.toml` and the embedded edge both supply exactly these.
 */
import type { EdgeKeys } from "./edge-keys.ts";
import type { EdgeLedger } from "./ledger.ts";
import type { PeerjsRoom } from "./peerjs-room.ts";
import type { RelayChannel } from "./relay-channel.ts";
import type { Rendezvous } from "./rendezvous.ts";
import type { SearchIndex } from "./search-index.ts";
import type { EdgeTally } from "./tally.ts";

export interface Env {
  readonly RENDEZVOUS: DurableObjectNamespace<Rendezvous>;
  readonly RELAY: DurableObjectNamespace<RelayChannel>;
  readonly KEYS: DurableObjectNamespace<EdgeKeys>;
  readonly TALLY: DurableObjectNamespace<EdgeTally>;
  readonly PEERJS: DurableObjectNamespace<PeerjsRoom>;
  readonly SEARCH: DurableObjectNamespace<SearchIndex>;
  readonly LEDGER: DurableObjectNamespace<EdgeLedger>;
  /** The page and the browser runtime. Absent where only the network is wanted. */
  readonly ASSETS?: Fetcher;
  /** Counts requests by address prefix. Absent on a machine of one's own, where one isolate sees them all and counts by itself. */
  readonly LIMIT?: RateLimit;

  /** On a machine of one's own: lists the open descriptors of the process, and how many it may have. Absent on Cloudflare. */
  readonly DESCRIPTORS?: Fetcher;
  readonly DESCRIPTORS_MAX?: string;

  /** Secret behind relay tickets; without it the edge makes one and keeps it. */
  readonly EDGE_SECRET?: string;
  /** Units a day, all networks together; shared/budget.ts says what a unit is. @default "1000000", $0.15 a day */
  readonly BUDGET_UNITS?: string;
  /** Units a day of one network. @default as many as all together have */
  readonly BUDGET_NETWORK_UNITS?: string;
  /** Who knows it may ask what this edge costs; without it nobody may. */
  readonly EDGE_ADMIN_TOKEN?: string;
  /**
   * Networks that are served, by name, separated by spaces or commas: `private` is every network by invite or secret, `all` every network. PeerJS has
   * its keys instead. @default "all"
   */
  readonly NETWORKS?: string;
  /** Further origins under which peers dial this edge, separated by spaces or commas. */
  readonly PUBLIC_ORIGINS?: string;
  /** Rendezvous and index objects a network is spread over. @default "1" */
  readonly RENDEZVOUS_SHARDS?: string;
  /** Peers of one rendezvous that keep their sockets to introduce newcomers; all others are let go. @default "64" */
  readonly RENDEZVOUS_BEACONS?: string;

  /** Keys that PeerJS clients may give, separated by spaces or commas; each has peers of its own. `none`: PeerJS is off. @default "peerjs" */
  readonly PEERJS_KEYS?: string;
  /** Of those, the keys whose peers may be listed by anybody. @default "" */
  readonly PEERJS_DISCOVERY?: string;
  /** Objects that the peers of one key are spread over. @default "1" */
  readonly PEERJS_SHARDS?: string;
  /** PeerJS sockets of one object. @default "20000" */
  readonly PEERJS_SOCKETS_MAX?: string;
  /** A PeerJS socket that is silent for so long loses its id. @default "90" */
  readonly PEERJS_ALIVE_SECONDS?: string;
  /** How long a message waits for a PeerJS peer that is not there. @default "5" */
  readonly PEERJS_EXPIRE_SECONDS?: string;

  /** STUN URLs, separated by spaces or commas. */
  readonly STUN_URLS?: string;
  /** TURN URLs of a coturn with `use-auth-secret`, and that secret. Members alone are told, as of Cloudflare's. */
  readonly TURN_URLS?: string;
  readonly TURN_SECRET?: string;
  /** A TURN key of Cloudflare Realtime, and its token. */
  readonly TURN_KEY_ID?: string;
  readonly TURN_KEY_API_TOKEN?: string;
}

/** A variable that is a whole number above 0; anything else is the default, and more than the maximum is the maximum. */
export function countOf(text: string | undefined, fallback: number, max: number): number {
  const count = Number(text ?? fallback);
  return Number.isSafeInteger(count) && count > 0 ? Math.min(count, max) : fallback;
}

/** A variable that lists words. */
export function words(text: string | undefined): readonly string[] {
  return (text ?? "").split(/[\s,]+/).filter((word) => word !== "");
}
