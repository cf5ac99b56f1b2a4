/** The process of hostile sockets, told what to do by IPC. Each plays one part, and when it is thrown out it comes again a second later. */
import { randomBytes } from "node:crypto";
import { setTimeout as rest } from "node:timers/promises";
import { answerCalls, type Handlers } from "../bench/lib/remote.ts";
import { ownUsage } from "../bench/lib/usage.ts";
import { Client, type ClientAt, newKey } from "./client.ts";
import { RawSocket } from "./raw-socket.ts";
import type { HostileOperations } from "./storm.ts";

const PAUSE_MS = 1_000;
const FINDS_PER_SECOND = 20;
const HUGE_BYTES: number = 1024 * 1024;
const TINY_MESSAGES = 2_000;
/** Strangers' addresses: each socket a /24 of its own, which is what limits help least against. */
const addressOf = (index: number): string => `10.${Math.floor(index / 250)}.${index % 250}.7`;

/** @returns what became of it */
type Part = (at: ClientAt, stop: AbortSignal) => Promise<string>;

const PARTS: Readonly<Record<string, Part>> = {
  /** Says nothing. */
  async silent(at, stop) {
    const client = new Client(at);
    await Promise.race([ended(client), aborted(stop)]);
    client.close();
    return client.refusal;
  },
  /** Tiny messages as fast as they go, whatever is answered. */
  async tiny({ edge, network, address = "" }) {
    const socket = new RawSocket(edge, `/v1/net/${network}/join?back=`, address);
    const status = await Promise.race([socket.opened(), rest(PAUSE_MS)]);
    await socket.flood(TINY_MESSAGES);
    socket.close();
    return `answered by ${status ?? "nothing"}`;
  },
  async huge(at) {
    const client = new Client(at);
    if ((await client.heard("challenge")) !== undefined) client.socket.send(randomBytes(HUGE_BYTES));
    await ended(client);
    return client.refusal;
  },
  /** A signature that fits nothing. */
  async forged(at) {
    const client = new Client(at);
    await client.heard("challenge");
    client.send({
      kind: "join",
      version: 2,
      id: newKey().id,
      timeMs: Date.now(),
      signature: randomBytes(64),
      beacon: true,
      addresses: [],
    });
    await ended(client);
    return client.refusal;
  },
  /** A member that asks for others, as often as it may. */
  async asking(at, stop) {
    const client = new Client(at);
    if (!(await client.join())) return client.refusal;
    for (let request = 1; client.closed === undefined && !stop.aborted; request++) {
      client.send({ kind: "find", request, id: at.key?.id ?? client.key.id });
      await rest(1_000 / FINDS_PER_SECOND);
    }
    client.close();
    return `joined, then ${client.refusal}`;
  },
  /** In and out. */
  async churning(at) {
    const client = new Client(at);
    const isIn = await client.join();
    client.close();
    return isIn ? "joined" : client.refusal;
  },
};
const NAMES = Object.keys(PARTS);

const stop = new AbortController();
const lives: Promise<void>[] = [];
let begun = 0;
const outcomes: Record<string, number> = {};

async function live(edge: string, network: string, index: number): Promise<void> {
  const name = NAMES[index % NAMES.length] as string;
  const part = PARTS[name] as Part;
  const at = { edge, network, address: addressOf(index), key: newKey() };
  while (!stop.signal.aborted) {
    begun += 1;
    // Refused, or thrown out in the middle: that is what is to happen.
    const outcome = await part(at, stop.signal).catch(() => "silence");
    outcomes[`${name}: ${outcome}`] = (outcomes[`${name}: ${outcome}`] ?? 0) + 1;
    await rest(PAUSE_MS * (0.5 + Math.random()));
  }
}

async function ended(client: Client): Promise<void> {
  await client.until(() => client.closed !== undefined);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

const handlers: Handlers<HostileOperations> = {
  async begin({ edge, network, sockets }) {
    for (let index = 0; index < sockets; index++) lives.push(live(edge, network, index));
    return null;
  },
  async usage() {
    return { begun, outcomes, cpuSeconds: ownUsage(false).cpuSeconds };
  },
  async end() {
    stop.abort();
    await Promise.race([Promise.all(lives), rest(5 * PAUSE_MS)]);
    return null;
  },
};

answerCalls<HostileOperations>(handlers, async () => {
  stop.abort();
});
