/**
 * What strangers may try with an edge, each against a real one in workerd, with honest peers joining the same network meanwhile. An attack says
 * what it may cost at most; the figures come from the edge's own account, which budget.test.ts holds against what passed its socket.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as rest } from "node:timers/promises";
import { WebSocket } from "ws";
import { STRIKES_MAX } from "../../edge/address-bans.ts";
import { PREFIX_QUEUED_BURST } from "../../edge/queue-pace.ts";
import { LIMIT_REQUESTS } from "../../edge/request-counter.ts";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { BANS_MAX } from "../../shared/bans.ts";
import { type EdgeCost, parseEdgeCost } from "../../shared/edge-cost.ts";
import {
  RELAY_MESSAGES_BURST,
  RELAY_MESSAGES_PER_SECOND,
  RELAY_UNACKED_BYTES_MAX,
} from "../../shared/limits.ts";
import { LISTINGS_MAX } from "../../shared/listings.ts";
import { encodeToRendezvous } from "../../shared/messages.ts";
import type { Remote } from "../bench/lib/remote.ts";
import type { AttackOperations } from "./attackers.ts";
import { announceOnce, Client, joinOnce, newKey, optionsFor } from "./client.ts";
import { joinHonest } from "./honest.ts";
import { OwnNetwork } from "./own-network.ts";
import { RawSocket } from "./raw-socket.ts";

export const NETWORK = "demo";
export const TOKEN = "attack-suite";
/** What one join may cost: two requests, a few messages, and its share of the account. */
const JOIN_UNITS_MAX = 14;
/** As in wrangler.toml. */
const BUDGET_UNITS = 1_000_000;
const FLOOD_AT_ONCE = 20;
const CHATTER_MAX = 5_000;
/** Of one side of a relay channel, what comes after its close until the object has ended: 250 in good faith, and what comes until the ledger was told. */
const RELAY_AFTER_CLOSE = 1_000;
/** Two requests, the account's, and a first loan. */
const INDEX_TRY_UNITS_MAX = 10;
/** Ban lists that one owner signs in a row. */
const LISTS = 50;
/** Messages of one client among many for peers that never come. */
const STUFFED_EACH = 100;
const FULL_ANNOUNCEMENT_UNITS = 7_000;
const STALLED_FRAME_BYTES = 65_536;
/** Twice of what one side may send that the other has not acknowledged. */
const STALLED_FRAMES: number = (2 * RELAY_UNACKED_BYTES_MAX) / STALLED_FRAME_BYTES;

export interface Size {
  /** Sockets, keys or tries of one attack. */
  readonly count: number;
  /** Honest peers that join meanwhile, one after the other. */
  readonly honest: number;
}

export interface Attack {
  readonly name: string;
  /** Units a day of the edge. @default the edge's own default */
  readonly budget?: number;
  /** Units that an attack of this size may cause in so many seconds. */
  unitsMax(count: number, seconds: number): number;
  run(edge: string, count: number): Promise<unknown>;
}

export interface Outcome {
  readonly attack: string;
  readonly units: number;
  readonly unitsMax: number;
  readonly honestJoined: number;
  readonly honest: number;
  readonly p95Ms: number;
  readonly undisturbedP95Ms: number;
}

const everyone = (count: number, one: (index: number) => Promise<unknown>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, index) => one(index)));
/** Addresses of so many different /24. */
const addressOf = (index: number): string => `10.${Math.floor(index / 250)}.${index % 250}.7`;
const joinPath = `/v1/net/${NETWORK}/join?back=`;

export const ATTACKS: readonly Attack[] = [
  {
    name: "join flood, many prefixes and keys",
    unitsMax: (count) => JOIN_UNITS_MAX * count,
    run: (edge, count) =>
      everyone(count, (index) => joinOnce({ edge, network: NETWORK, address: addressOf(index) })),
  },
  {
    name: "tiny messages, closes unanswered",
    // Once the object has ended nobody is left to send.
    unitsMax: (count) => 60 * Math.ceil(count / 10),
    run: (edge, count) =>
      everyone(Math.ceil(count / 10), async (index) => {
        const socket = new RawSocket(edge, joinPath, addressOf(index));
        await socket.opened();
        await socket.flood(20_000);
        socket.close();
      }),
  },
  {
    name: "huge frames",
    unitsMax: (count) => 8 * count,
    run: (edge, count) =>
      everyone(count, async (index) => {
        const client = new Client({ edge, network: NETWORK, address: addressOf(index) });
        await client.heard("challenge");
        client.socket.send(randomBytes(1024 * 1024));
        await client.until(() => client.closed !== undefined);
        await expectBanned(edge, addressOf(index));
      }),
  },
  {
    name: "slow readers and writers",
    unitsMax: (count) => 8 * count,
    run: async (edge, count) => {
      const sockets = Array.from(
        { length: count },
        (_, index) => new RawSocket(edge, joinPath, addressOf(index), index % 2 === 0),
      );
      await Promise.all(sockets.filter((_, index) => index % 2 === 0).map((socket) => socket.opened()));
      for (const socket of sockets) socket.close();
    },
  },
  {
    name: "half-open sockets",
    unitsMax: (count) => 8 * count,
    run: async (edge, count) => {
      const clients = Array.from(
        { length: count },
        (_, index) => new Client({ edge, network: NETWORK, address: addressOf(index) }),
      );
      await Promise.all(clients.map((client) => client.heard("challenge")));
      for (const client of clients) client.close();
    },
  },
  {
    name: "flood from one prefix, past its rate limit",
    // A minute's limit, or two of them where a minute begins meanwhile; what is refused costs no object.
    unitsMax: () => 8 * 2 * LIMIT_REQUESTS,
    run: floodFromOnePrefix,
  },
  {
    name: "relay tickets of members, replayed",
    unitsMax: (count) => 8 * count + 2 * JOIN_UNITS_MAX,
    run: async (edge, count) => {
      const { asker, asked, paths } = await askForRelay(edge, 0);
      const replays: Client[] = [];
      for (let index = 0; index < count; index++) {
        const replay = new Client({ edge, network: NETWORK, address: addressOf(index) }, paths[index % 2]);
        await replay.until(() => replay.status === 101 || replay.closed !== undefined);
        // A ticket is good for its minute: each comes in place of the one before, whose link ends with it.
        if (replay.status !== 101) throw new Error(`a member's ticket was answered by ${replay.status}`);
        replays.push(replay);
      }
      for (const client of [asker, asked, ...replays]) client.close();
    },
  },
  {
    name: "relay channels, one side reads nothing",
    unitsMax: (count) => Math.ceil(count / 10) * (2 * JOIN_UNITS_MAX + 2 * 8 + STALLED_FRAMES),
    run: (edge, count) =>
      everyone(Math.ceil(count / 10), async (index) => {
        const { asker, asked, paths } = await askForRelay(edge, index);
        const [path = "", otherPath = ""] = paths;
        const address = addressOf(index);
        const stalled = new RawSocket(edge, otherPath, address);
        await stalled.opened();
        stalled.socket.pause();
        const sender = new Client({ edge, network: NETWORK, address }, path);
        await sender.until(() => sender.status === 101);
        for (let sent = 0; sent < STALLED_FRAMES && sender.closed === undefined; sent++)
          sender.socket.send(randomBytes(STALLED_FRAME_BYTES));
        await sender.until(() => sender.closed !== undefined);
        if (sender.closed?.reason !== "edge/relay-over-credit")
          throw new Error(`a sender that nobody reads was closed by ${JSON.stringify(sender.closed)}`);
        for (const one of [asker, asked, stalled]) one.close();
      }),
  },
  {
    name: "relay channels, tiny messages, closes unanswered",
    // What is in the bucket, what it gains while the edge is at it, and what comes until the object has ended.
    unitsMax: (count, seconds) => {
      const messages = RELAY_MESSAGES_BURST + RELAY_MESSAGES_PER_SECOND * seconds + RELAY_AFTER_CLOSE;
      return Math.ceil(count / 10) * Math.ceil(2 * JOIN_UNITS_MAX + 2 * 8 + messages / 20);
    },
    run: (edge, count) =>
      everyone(Math.ceil(count / 10), async (index) => {
        const { asker, asked, paths } = await askForRelay(edge, index);
        const [path = "", otherPath = ""] = paths;
        const address = addressOf(index);
        const reader = new Client({ edge, network: NETWORK, address }, otherPath);
        await reader.until(() => reader.status === 101);
        const sender = new RawSocket(edge, path, address);
        await sender.opened();
        await sender.flood(20_000);
        await reader.until(() => reader.closed !== undefined);
        for (const one of [asker, asked, sender]) one.close();
      }),
  },
  {
    name: "relay without a ticket of this edge",
    unitsMax: () => 4,
    run: (edge, count) =>
      everyone(count, async (index) => {
        const ticket = randomBytes(180).toString("base64url");
        const path = `/v1/relay/${"a".repeat(26)}?ticket=${ticket}`;
        const client = new Client({ edge, network: NETWORK, address: addressOf(index) }, path);
        await client.until(() => client.closed !== undefined);
        if (client.status < 400) throw new Error(`a forged ticket was answered by ${client.status}`);
      }),
  },
  {
    name: "replayed joins",
    unitsMax: (count) => 8 * (count + STRIKES_MAX) + JOIN_UNITS_MAX,
    run: async (edge, count) => {
      const key = newKey();
      const seen = encodeToRendezvous({
        kind: "join",
        version: 1,
        id: key.id,
        timeMs: Date.now(),
        signature: randomBytes(64),
        beacon: true,
        addresses: [],
      });
      await everyone(count, async (index) => {
        const client = new Client({ edge, network: NETWORK, address: addressOf(index), key });
        await client.heard("challenge");
        client.socket.send(seen);
        await client.until(() => client.closed !== undefined);
        if (client.messages.some(({ kind }) => kind === "joined"))
          throw new Error("a replayed join was let in");
      });
      for (let strike = 1; strike < STRIKES_MAX; strike++) {
        const client = new Client({ edge, network: NETWORK, address: addressOf(0), key });
        await client.heard("challenge");
        client.socket.send(seen);
        await client.until(() => client.closed !== undefined);
      }
      await expectBanned(edge, addressOf(0));
    },
  },
  {
    name: "id churn from one prefix",
    unitsMax: (count) => JOIN_UNITS_MAX * count,
    run: async (edge, count) => {
      for (let index = 0; index < count; index++)
        await joinOnce({ edge, network: NETWORK, address: "10.9.9.7" });
    },
  },
  {
    name: "reconnect storm of one key",
    unitsMax: (count) => JOIN_UNITS_MAX * count,
    run: (edge, count) => {
      const key = newKey();
      return everyone(count, (index) => joinOnce({ edge, network: NETWORK, address: addressOf(index), key }));
    },
  },
  {
    name: "index spam, signed, from one prefix",
    // Its share of the day, whatever it signs; then a question to the account for each, until the Worker knows.
    unitsMax: (count) => BUDGET_UNITS / 10 + INDEX_TRY_UNITS_MAX * count * 2 + FULL_ANNOUNCEMENT_UNITS,
    run: async (edge, count) => {
      const spam = (index: number): Promise<number> =>
        announceOnce({ edge, network: `spam-${index}`, address: "10.9.7.7" }, LISTINGS_MAX);
      await everyone(count * 2, spam);
      if ((await spam(0)) !== 429) throw new Error("a prefix announced more than its share of the day");
      const honest = await announceOnce({ edge, network: "spam-0", address: "203.0.113.7" }, LISTINGS_MAX);
      if (honest !== 200) throw new Error(`an honest announcement was answered by ${honest}`);
    },
  },
  {
    name: "index spam, signed, from many prefixes at once",
    budget: 100_000,
    // What is new may not bring the day to its next stage.
    unitsMax: (count) => 60_000 + INDEX_TRY_UNITS_MAX * count * 2,
    run: async (edge, count) => {
      await everyone(count * 2, (index) =>
        announceOnce({ edge, network: `spam-${index}`, address: addressOf(index) }, LISTINGS_MAX),
      );
      const { stage } = await costOf(edge);
      if (stage !== "open") throw new Error(`listings alone brought the edge to ${stage}`);
    },
  },
  {
    name: "index spam, rubbish",
    unitsMax: () => 4,
    run: (edge, count) =>
      everyone(count, async () => {
        const url = `${edge}/v1/net/${NETWORK}/listings`;
        const response = await fetch(url, { method: "POST", body: randomBytes(2_000) });
        if (response.ok) throw new Error("rubbish was taken into the index");
        await response.arrayBuffer();
      }),
  },
  {
    name: "ban lists of networks of one's own",
    // Each network takes a few at once, of a row each; the rest is messages.
    unitsMax: (count) => Math.ceil(count / 10) * (JOIN_UNITS_MAX + 8 * 10 + LISTS / 20),
    run: (edge, count) =>
      everyone(Math.ceil(count / 10), async (index) => {
        const own = new OwnNetwork();
        const key = newKey();
        const membership = own.membership(edge, key);
        const at = { edge, network: own.network, address: addressOf(index), key, membership };
        const client = new Client(at);
        if (!(await client.join())) throw new Error(`not in one's own network: ${client.refusal}`);
        for (let number = 1; number <= LISTS; number++)
          client.send({ kind: "bans", list: own.bans(number, BANS_MAX) });
        await client.until(() => client.closed !== undefined);
        const taken = client.messages.filter(({ kind }) => kind === "bans").length;
        if (taken > 10) throw new Error(`${taken} ban lists were taken from one`);
      }),
  },
  {
    name: "PeerJS queue stuffing",
    // A sender has 256 waiting at most: two rows each, and the alarm.
    unitsMax: (count) => 256 * 2 * 7 + count + 100,
    run: (edge, count) => stuff(edge, count * 10),
  },
  {
    name: "PeerJS queue stuffing, many clients of one prefix",
    // They share what may wait: two rows each, and the alarm; then an open socket and an EXPIRE for each.
    unitsMax: (count) => PREFIX_QUEUED_BURST * 2 * 7 + 20 * count + 100,
    run: (edge, count) => everyone(count, () => stuff(edge, STUFFED_EACH)),
  },
  {
    name: "PeerJS, a thousand tiny messages a second",
    unitsMax: (count) => 60 * Math.ceil(count / 10),
    run: (edge, count) =>
      everyone(Math.ceil(count / 10), async (index) => {
        const address = addressOf(index);
        const socket = await phone(edge, address);
        await chatter(socket, Buffer.from("{}"));
        await expectBanned(edge, address);
      }),
  },
  {
    name: "alarm loops",
    unitsMax: (count) => 25 * count,
    run: async (edge, count) => {
      for (let index = 0; index < count; index++) await stuff(edge, 1);
    },
  },
];

/** Whoever comes from there again is refused before an object hears of it. */
async function expectBanned(edge: string, address: string): Promise<void> {
  const again = new Client({ edge, network: NETWORK, address });
  await again.until(() => again.status !== 0);
  again.close();
  if (again.status !== 429) throw new Error(`a prefix that is banned was answered by ${again.status}`);
}

/** Opens sockets until so many were refused. */
async function floodFromOnePrefix(edge: string, count: number): Promise<void> {
  const triesMax = 2 * LIMIT_REQUESTS + count;
  let tries = 0;
  let refused = 0;
  await everyone(FLOOD_AT_ONCE, async () => {
    while (refused < count) {
      tries += 1;
      if (tries > triesMax) throw new Error(`${tries} from one prefix within its minute`);
      const client = new Client({ edge, network: NETWORK, address: `10.9.8.${tries % 250}` });
      await client.until(() => client.status !== 0);
      if (client.status === 429) refused += 1;
      client.close();
    }
  });
}

/** Two members with a relay channel made for them, and the paths that open its sides. */
async function askForRelay(
  edge: string,
  index: number,
): Promise<{ readonly asker: Client; readonly asked: Client; readonly paths: readonly string[] }> {
  const at = { edge, network: NETWORK, address: addressOf(index) };
  const [asker, asked] = [new Client(at), new Client(at)];
  await Promise.all([asker.join(), asked.join()]);
  asker.send({ kind: "relay", request: 1, to: asked.key.id, sealed: randomBytes(100) });
  const [ready, offer] = await Promise.all([asker.heard("relay-ready"), asked.heard("relay-offer")]);
  const paths = [ready, offer].map((one) => `/v1/relay/${one?.channel}?ticket=${one?.ticket}`);
  return { asker, asked, paths };
}

async function phone(edge: string, address: string): Promise<WebSocket> {
  const id = randomBytes(8).toString("hex");
  const url = `${edge.replace("http", "ws")}/peerjs/peerjs?key=peerjs&token=x&id=${id}`;
  const socket = new WebSocket(url, optionsFor(address));
  await new Promise((resolve, reject) => {
    socket.once("message", resolve);
    socket.once("error", reject);
  });
  return socket;
}

/** Sends one message each millisecond until its socket is closed, and answers the close. */
async function chatter(socket: WebSocket, message: Uint8Array): Promise<void> {
  const startMs = performance.now();
  for (let sent = 0; socket.readyState === WebSocket.OPEN; await rest(5)) {
    if (sent > CHATTER_MAX) throw new Error(`${sent} tiny messages in ${performance.now() - startMs} ms`);
    for (; sent < performance.now() - startMs; sent++) socket.send(message);
  }
}

/** A PeerJS client with messages for peers that never come. */
async function stuff(edge: string, count: number): Promise<void> {
  const socket = await phone(edge, "10.8.8.7");
  for (let index = 0; index < count; index++)
    socket.send(JSON.stringify({ type: "OFFER", dst: `nobody-${index}`, payload: "x".repeat(500) }));
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.close();
  await ended;
}

export async function costOf(edge: string, token: string = TOKEN): Promise<EdgeCost> {
  const response = await fetch(`${edge}/v1/cost`, { headers: { authorization: `Bearer ${token}` } });
  return parseEdgeCost(await response.json());
}

/** What is known to be spent, without what is lent. */
export function spentOf({ networks }: EdgeCost): number {
  return networks
    .filter(({ network }) => network !== "(edge)")
    .reduce((sum, { units, unaccounted }) => sum + units - unaccounted, 0);
}

/** An edge of its own for each attack; first the honest peers alone, then beside it, in another process. */
export async function measure(
  attack: Attack,
  { count, honest }: Size,
  attackers: Pick<Remote<AttackOperations>, "call">,
): Promise<Outcome> {
  const edge = await startEmbeddedEdge({
    vars: { EDGE_ADMIN_TOKEN: TOKEN, BUDGET_UNITS: String(attack.budget ?? BUDGET_UNITS) },
  });
  try {
    await joinInTurn(edge.url, 2);
    const start = spentOf(await costOf(edge.url));
    const alone = await joinInTurn(edge.url, honest);
    const before = spentOf(await costOf(edge.url));
    const startMs = performance.now();
    const [beside] = await Promise.all([
      joinInTurn(edge.url, honest),
      attackers.call("run", { attack: attack.name, edge: edge.url, count }),
    ]);
    const seconds = (performance.now() - startMs) / 1000;
    const after = spentOf(await costOf(edge.url));
    return {
      attack: attack.name,
      units: Math.max(0, after - before - (before - start)),
      unitsMax: attack.unitsMax(count, seconds),
      honestJoined: beside.length,
      honest,
      p95Ms: p95(beside),
      undisturbedP95Ms: p95(alone),
    };
  } finally {
    await edge.stop();
  }
}

/** One after the other. @returns ms of those that were let in */
async function joinInTurn(edge: string, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const { ms } = await joinHonest(edge, NETWORK, index);
    if (ms !== undefined) took.push(ms);
  }
  return took;
}

function p95(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? Number.NaN;
}
