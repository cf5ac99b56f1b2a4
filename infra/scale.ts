/**
 * What growth costs and what breaks first, on paper, from measured units:
 * `node infra/scale.ts --edge edge.json --sim sim.json [--session-minutes 60] [--relayed-share 0.1] [--relayed-mib 100] [--json]`, where edge.json is
 * a line of `test/bench/edge.ts` and sim.json the last line of `peerloom sim --json`. Prices and limits are Cloudflare's lists of November
 * 2026; nothing here was measured on Cloudflare.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { RENDEZVOUS_SOCKETS_MAX, SHARDS_MAX } from "../shared/limits.ts";

/** $ at list price, paid plan, beyond what is included. */
export const PRICES = {
  workerRequest: 0.3e-6,
  workerCpuMs: 0.02e-6,
  objectRequest: 0.15e-6,
  /** 20 incoming messages are billed as one request. */
  messagesARequest: 20,
  /** 128 MB for a second. */
  objectSecond: 1.6e-6,
  planMonth: 5,
} as const;

/** Cloudflare's: soft, requests and RPC calls of one object. */
export const OBJECT_REQUESTS_PER_SECOND = 1_000;
/** Beacons that a shard keeps, and how long a newcomer stays until the overlay carries it. */
const BEACONS_A_SHARD = 64;
const STAY_SECONDS = 10;
const FRAME_BYTES = 65_536;
const ACKNOWLEDGED_BYTES = 262_144;
const GIB: number = 2 ** 30;
const HOURS_A_MONTH = 730;

export interface MeasuredUnits {
  /** Messages that a joining peer sends to the edge, its join among them. */
  readonly messagesPerJoin: number;
  /** Between joins. */
  readonly messagesPerPeerHour: number;
  /** One process of workerd on the machine of the benchmark. */
  readonly cpuUsPerJoin: number;
  readonly joinsPerSecondLocal: number;
  readonly idleKiB: number;
}

export interface Habits {
  readonly sessionMinutes: number;
  /** Of peers, those that relay at all. */
  readonly relayedShare: number;
  /** What such a peer relays in a session. */
  readonly relayedMiB: number;
}

export interface Growth {
  readonly peers: number;
  readonly joinsPerSecond: number;
  /** Shards of one network that holds them all; more than `SHARDS_MAX` or not to be had at all: undefined. */
  readonly shards: number | undefined;
  /** The same peers in so many networks of one shard. */
  readonly networks: number;
  readonly dollarsPerMonth: number;
}

/** How many requests one shard takes a second, where one network of so many shards has so many joins a second. */
export function shardLoad(units: MeasuredUnits, joinsPerSecond: number, shards: number): number {
  const own = joinsPerSecond / shards; // upgrades; messages on sockets are no requests
  // What a shard does not know it asks of all others: each signal, and each join to retire an older socket.
  const asked = joinsPerSecond * units.messagesPerJoin * ((shards - 1) / shards) ** 2;
  return own + asked;
}

export function shardsFor(units: MeasuredUnits, joinsPerSecond: number): number | undefined {
  for (let shards = 1; shards <= SHARDS_MAX; shards++) {
    const sockets = (joinsPerSecond * STAY_SECONDS) / shards + BEACONS_A_SHARD;
    if (
      shardLoad(units, joinsPerSecond, shards) <= OBJECT_REQUESTS_PER_SECOND &&
      sockets <= RENDEZVOUS_SOCKETS_MAX
    )
      return shards;
  }
  return undefined;
}

/** $ of a join on one shard: upgrade, request, messages, and a millisecond of work for each of them. */
export function joinDollars({ messagesPerJoin, cpuUsPerJoin }: MeasuredUnits): number {
  const requests =
    PRICES.workerRequest + PRICES.objectRequest * (1 + messagesPerJoin / PRICES.messagesARequest);
  const seconds = Math.max(cpuUsPerJoin / 1e6, messagesPerJoin * 0.001);
  return requests + 3 * PRICES.workerCpuMs + seconds * PRICES.objectSecond;
}

export function relayDollarsPerGiB(): number {
  const messages = GIB / FRAME_BYTES + GIB / ACKNOWLEDGED_BYTES;
  const seconds = GIB / 5e6; // at 5 MB/s, billed for all of it
  return (messages / PRICES.messagesARequest) * PRICES.objectRequest + seconds * PRICES.objectSecond;
}

/** $ for a million peers to be there for an hour, by part. */
export function dollarsPerMillionPeerHours(
  units: MeasuredUnits,
  { sessionMinutes, relayedShare, relayedMiB }: Habits,
): { readonly joins: number; readonly upkeep: number; readonly relay: number } {
  const sessions = 1e6 / (sessionMinutes / 60);
  const message = PRICES.objectRequest / PRICES.messagesARequest + 0.001 * PRICES.objectSecond;
  return {
    joins: sessions * joinDollars(units),
    upkeep: 1e6 * units.messagesPerPeerHour * message,
    relay: sessions * relayedShare * (relayedMiB / 1024) * relayDollarsPerGiB(),
  };
}

export function growth(units: MeasuredUnits, habits: Habits, peers: number): Growth {
  const joinsPerSecond = peers / (habits.sessionMinutes * 60);
  const { joins, upkeep, relay } = dollarsPerMillionPeerHours(units, habits);
  return {
    peers,
    joinsPerSecond,
    shards: shardsFor(units, joinsPerSecond),
    networks: Math.ceil(joinsPerSecond / OBJECT_REQUESTS_PER_SECOND),
    dollarsPerMonth: PRICES.planMonth + (joins + upkeep + relay) * (peers / 1e6) * HOURS_A_MONTH,
  };
}

/** Limits in the order in which a growing network meets them. */
export function breaksAt(
  units: MeasuredUnits,
  { sessionMinutes }: Habits,
): { readonly peers: number; readonly what: string }[] {
  const peersOf = (joinsPerSecond: number): number => Math.floor(joinsPerSecond * sessionMinutes * 60);
  // The largest rate that any number of shards takes.
  let rate = 0;
  for (let shards = 1; shards <= SHARDS_MAX; shards++)
    rate = Math.max(rate, OBJECT_REQUESTS_PER_SECOND / shardLoad(units, 1, shards));
  const limits = [
    {
      peers: peersOf(OBJECT_REQUESTS_PER_SECOND),
      what: `one shard: its object takes ${OBJECT_REQUESTS_PER_SECOND} joins a second`,
    },
    {
      peers: peersOf(rate),
      what: "one network however it is sharded: what a shard does not know it asks of all others, so shards add questions as fast as room. Use several networks",
    },
    {
      peers: peersOf((RENDEZVOUS_SOCKETS_MAX - BEACONS_A_SHARD) / STAY_SECONDS),
      what: `one shard: ${RENDEZVOUS_SOCKETS_MAX} sockets of newcomers that stay ${STAY_SECONDS} s`,
    },
    {
      peers: peersOf(units.joinsPerSecondLocal),
      what: "one process of workerd on the benchmark's machine (self-hosted): its thread",
    },
  ];
  return limits.toSorted((a, b) => a.peers - b.peers);
}

/** From the lines that the benchmark and the simulator print. @throws Error when they are not those */
export function readUnits(edgeLine: string, simLine: string): MeasuredUnits {
  const edge = JSON.parse(edgeLine) as {
    readonly stacks: Readonly<Record<string, Readonly<Record<string, { readonly median: number }>>>>;
  };
  const sim = JSON.parse(simLine) as {
    readonly join: { readonly edgeMessages: number };
    readonly edgeMessagesPerPeerHour: number;
  };
  const figure = (name: string): number => {
    const value = edge.stacks["shards-1"]?.[name]?.median;
    if (value === undefined) throw new Error(`The benchmark's line has no ${name} of shards-1.`);
    return value;
  };
  return {
    messagesPerJoin: sim.join.edgeMessages,
    messagesPerPeerHour: sim.edgeMessagesPerPeerHour,
    cpuUsPerJoin: figure("cpuUsAJoin"),
    joinsPerSecondLocal: figure("joinsPerSecond"),
    idleKiB: figure("idleKiB"),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      edge: { type: "string" },
      sim: { type: "string" },
      "session-minutes": { type: "string", default: "60" },
      "relayed-share": { type: "string", default: "0.1" },
      "relayed-mib": { type: "string", default: "100" },
      json: { type: "boolean", default: false },
    },
  });
  if (values.edge === undefined || values.sim === undefined)
    throw new Error("Give --edge and --sim: the output of test/bench/edge.ts and of peerloom sim --json.");
  const last = async (path: string): Promise<string> =>
    (await readFile(path, "utf8")).trim().split("\n").at(-1) ?? "";
  const units = readUnits(await last(values.edge), await last(values.sim));
  const habits = {
    sessionMinutes: Number(values["session-minutes"]),
    relayedShare: Number(values["relayed-share"]),
    relayedMiB: Number(values["relayed-mib"]),
  };
  const rows = [10_000, 100_000, 1_000_000, 10_000_000].map((peers) => growth(units, habits, peers));
  const cost = dollarsPerMillionPeerHours(units, habits);
  const breaks = breaksAt(units, habits);
  if (values.json) {
    console.log(JSON.stringify({ units, habits, growth: rows, dollarsPerMillionPeerHours: cost, breaks }));
    return;
  }
  console.log("peers        joins/s  shards of one network  networks of one shard   $/month");
  for (const { peers, joinsPerSecond, shards, networks, dollarsPerMonth } of rows)
    console.log(
      [
        String(peers).padEnd(10),
        joinsPerSecond.toFixed(1).padStart(9),
        String(shards ?? "not possible").padStart(22),
        String(networks).padStart(22),
        dollarsPerMonth.toFixed(2).padStart(10),
      ].join(" "),
    );
  const { joins, upkeep, relay } = cost;
  console.log(
    `\n$ a million peer-hours: ${(joins + upkeep + relay).toFixed(2)} = joins ${joins.toFixed(2)} + upkeep ${upkeep.toFixed(2)} + relay ${relay.toFixed(2)}`,
  );
  console.log("\nWhat breaks, in this order:");
  for (const { peers, what } of breaks) console.log(`${String(peers).padStart(10)} peers  ${what}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
