/**
 * Peers that find each other by multicast DNS alone: on loopback, with real packets and hostile ones, and as processes in
 * network namespaces of their own, joined by nothing but a virtual cable.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import multicastDns from "multicast-dns";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { nodeLan } from "../../peer/adapters/node/lan.ts";
import type { PeerOptions } from "../../peer/api/options.ts";
import type { Peer } from "../../peer/node.ts";
import type { LanHost } from "../../peer/runtime.ts";
import { type Event, ROOT, temporaryFolder } from "./command.ts";
import { checkEcho, openPeerOn } from "./peers.ts";

const GROUP = "224.0.0.251";
/** The longest that a test waits for one thing. */
const WAIT_MS = 30_000;

/** Rejects when nothing has come of it in time. */
async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${WAIT_MS} ms`)), WAIT_MS);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

describe("on loopback", () => {
  /** Bound to loopback and closed again, for a test that must not hear the machine's own responder. */
  async function freeUdpPort(): Promise<number> {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    await new Promise<void>((resolve) => socket.close(resolve));
    return port;
  }

  function openLan(lan: LanHost, options: PeerOptions = {}): Promise<Peer> {
    return openPeerOn(() => ({ lan }), { edge: null, listen: "127.0.0.1:0", lan: true, ...options });
  }

  async function meet(peer: Peer, other: Peer): Promise<void> {
    const met = (): boolean =>
      peer.sessions().some(({ peerId, path }) => peerId === other.id && path.kind === "direct");
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (met()) resolve();
    };
    peer.addEventListener("session", look);
    look();
    await inTime("meeting", promise).finally(() => peer.removeEventListener("session", look));
  }

  /** A stranger's socket that speaks on loopback as a responder does. */
  async function stranger(port: number): Promise<(packet: Uint8Array) => Promise<void>> {
    const socket: Socket = createSocket({ type: "udp4", reuseAddr: true });
    onTestFinished(() => void socket.close());
    socket.bind({ port, address: GROUP });
    await once(socket, "listening");
    socket.setMulticastInterface("127.0.0.1");
    return (packet) =>
      new Promise((resolve, reject) => {
        socket.send(packet, port, GROUP, (error) => (error === null ? resolve() : reject(error)));
      });
  }

  test("peers of one network meet, those of another do not", async () => {
    const port = await freeUdpPort();
    const first = await openLan(nodeLan({ port }));
    const apart = await openLan(nodeLan({ port }), { network: "apart" });
    // It listens nowhere, so it is the one that asks and dials.
    const second = await openPeerOn(() => ({ lan: nodeLan({ port }) }), { edge: null, lan: true });
    await Promise.all([meet(first, second), meet(second, first)]);
    await checkEcho(await second.connect(first.id), new Uint8Array(1_000).fill(3));
    expect(apart.sessions()).toEqual([]);
  });

  test("a peer's first connect waits for the peer to be found", async () => {
    const port = await freeUdpPort();
    const first = await openLan(nodeLan({ port }));
    const second = await openLan(nodeLan({ port }));
    await checkEcho(await second.connect(first.id), new Uint8Array(1_000).fill(3));
  });

  test("hostile packets are dropped, and peers still meet", async () => {
    const port = await freeUdpPort();
    const first = await openLan(nodeLan({ port }));
    const say = await stranger(port);
    const service = Buffer.from("\x09_peerloom\x04_tcp\x05local\x00", "latin1");
    const header = (...counts: number[]): Buffer => {
      const bytes = Buffer.alloc(12);
      bytes.writeUInt16BE(0x84_00, 2);
      counts.forEach((count, index) => bytes.writeUInt16BE(count, 4 + 2 * index));
      return bytes;
    };
    const txt = (data: Buffer): Buffer =>
      Buffer.concat([Buffer.from([1, 120]), service, Buffer.from([0, 16, 0, 1, 0, 0, 0, 120]), data]);
    const packets = [
      new Uint8Array(0),
      new Uint8Array(5),
      header(0, 1),
      Buffer.concat([header(0, 1), service]),
      Buffer.concat([header(0xff_ff, 0xff_ff, 0xff_ff, 0xff_ff), service]),
      // A text longer than its record, a record longer than the packet, a name that points at itself.
      Buffer.concat([header(0, 1), txt(Buffer.from([0, 2, 200, 1]))]),
      Buffer.concat([header(0, 1), txt(Buffer.from([255, 255, 1, 1]))]),
      Buffer.concat([header(0, 1), Buffer.from([0xc0, 12]), service]),
      Buffer.concat([header(0, 1), txt(Buffer.from([0, 6, 5, 0xff, 0xfe, 0x3d, 0x80, 0x00]))]),
      Buffer.concat([header(0, 1), txt(Buffer.alloc(40_000))]),
    ];
    for (const packet of packets) await say(packet);
    const second = await openLan(nodeLan({ port }));
    await Promise.all([meet(first, second), meet(second, first)]);
  });

  test("what is said can be read by other programs, and ends with a farewell", async () => {
    const port = await freeUdpPort();
    const reader = multicastDns({ port, interface: "127.0.0.1", bind: "0.0.0.0" });
    onTestFinished(() => new Promise<void>((resolve) => reader.destroy(resolve)));
    await new Promise<void>((resolve) => reader.once("ready", resolve));
    const heard = new Map<string, number>();
    const { promise: said, resolve: onSaid } = Promise.withResolvers<void>();
    const { promise: left, resolve: onLeft } = Promise.withResolvers<void>();
    reader.on("response", ({ answers }) => {
      for (const answer of answers ?? []) {
        const ttl = "ttl" in answer ? (answer.ttl ?? -1) : -1;
        if (answer.type === "TXT" && ttl === 0) onLeft();
        else heard.set(`${answer.type} ${answer.name}`, ttl);
      }
      onSaid();
    });
    const peer = await openLan(nodeLan({ port }), { network: "demo" });
    await inTime("announcement", said);
    const instance = `${peer.id}._peerloom._tcp.local`;
    expect(Object.fromEntries(heard)).toEqual({
      "PTR _peerloom._tcp.local": 4_500,
      "PTR _7d831aa9b8a1a5ba._sub._peerloom._tcp.local": 4_500,
      [`TXT ${instance}`]: 4_500,
      [`SRV ${instance}`]: 120,
      [`A ${peer.id}.local`]: 120,
    });
    await peer.close();
    await inTime("farewell", left);
  });

  test("a port that is taken, or no interface, keeps no peer from opening", async () => {
    const port = await freeUdpPort();
    const socket = createSocket("udp4").bind({ port, address: GROUP, exclusive: true });
    onTestFinished(() => void socket.close());
    await once(socket, "listening");
    for (const lan of [nodeLan({ port }), nodeLan({ interfaces: () => [] })]) {
      const peer = await openLan(lan);
      await peer.close();
    }
  });
});

const run = promisify(execFile);
const CABLE = [
  { name: `peerloom-${process.pid}-a`, address: "192.168.77.1/24" },
  { name: `peerloom-${process.pid}-b`, address: "192.168.77.2/24" },
] as const;

/** Two namespaces joined by a cable. @returns why there are none, or undefined */
async function layCable(): Promise<string | undefined> {
  if (process.platform !== "linux") return "not on Linux";
  try {
    for (const { name } of CABLE) await run("ip", ["netns", "add", name]);
    const [a, b] = CABLE;
    const ends = ["lan0", "netns", a.name, "type", "veth", "peer", "name", "lan0", "netns", b.name];
    await run("ip", ["link", "add", ...ends]);
    for (const { name, address } of CABLE) {
      await run("ip", ["-n", name, "addr", "add", address, "dev", "lan0"]);
      for (const device of ["lo", "lan0"]) await run("ip", ["-n", name, "link", "set", device, "up"]);
    }
    return undefined;
  } catch (error) {
    await removeCable();
    return error instanceof Error ? error.message.split("\n").slice(0, 2).join(" ") : String(error);
  }
}

async function removeCable(): Promise<void> {
  for (const { name } of CABLE) await run("ip", ["netns", "del", name]).catch(() => {});
}

const noCable = await layCable();
if (noCable !== undefined) process.stderr.write(`lan.test.ts: no namespaces here, skipped: ${noCable}\n`);
afterAll(removeCable);

describe.skipIf(noCable !== undefined)("between machines", () => {
  const PROGRAMS = {
    node: [process.execPath],
    deno: [join(ROOT, "node_modules", ".bin", "deno"), "run", "-A"],
  } as const;

  interface Place {
    readonly end: 0 | 1;
    readonly program?: keyof typeof PROGRAMS;
    readonly data?: string;
  }

  /** A command on one of the two machines: no edge, no bootstrap, so multicast is all there is. */
  class RemoteCommand {
    readonly events: Event[] = [];
    readonly #child: ChildProcess;
    readonly #ended: Promise<unknown>;
    #look = (): void => {};

    constructor({ end, program = "node", data = "" }: Place, words: readonly string[]) {
      const entry = join(ROOT, "peer", "cli", "main.ts");
      const own = ["--edge", "none", "--data", data, "--json"];
      const line = ["netns", "exec", CABLE[end].name, ...PROGRAMS[program], entry, ...words, ...own];
      this.#child = spawn("ip", line, { stdio: ["ignore", "pipe", "inherit"], cwd: ROOT });
      this.#ended = once(this.#child, "close");
      if (this.#child.stdout !== null) {
        createInterface({ input: this.#child.stdout }).on("line", (text) => {
          this.events.push(JSON.parse(text) as Event);
          this.#look();
        });
      }
      onTestFinished(() => this.stop());
    }

    static async start(place: Place, words: readonly string[]): Promise<RemoteCommand> {
      return new RemoteCommand({ ...place, data: join(await temporaryFolder(), "data") }, words);
    }

    /** One event of those names, the first to come. */
    async wait(...names: readonly string[]): Promise<Event> {
      const find = (): Event | undefined => this.events.find(({ event }) => names.includes(event));
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#look = () => {
        if (find() !== undefined) resolve();
      };
      this.#look();
      await inTime(names.join(" or "), Promise.race([promise, this.#ended]));
      const found = find();
      if (found === undefined) throw new Error(`It ended without ${names.join(" or ")}.`);
      return found;
    }

    async stop(): Promise<void> {
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
      if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
      await this.#ended;
      clearTimeout(timer);
    }
  }

  const up = ["up", "--listen", "0.0.0.0:0"] as const;

  test.each([
    ["node", "node"],
    ["node", "deno"],
    ["deno", "node"],
  ] as const)("a peer on %s is found and pinged by one on %s", async (there, here) => {
    const first = await RemoteCommand.start({ end: 0, program: there }, up);
    const { id } = await first.wait("ready");
    const ping = await RemoteCommand.start({ end: 1, program: here }, ["ping", String(id), "--count", "1"]);
    expect(await ping.wait("pong", "error")).toMatchObject({
      event: "pong",
      path: "direct",
      transport: "tcp",
    });
  });

  test("peers that run link by themselves, whichever came first", async () => {
    const first = await RemoteCommand.start({ end: 0 }, up);
    const { id } = await first.wait("ready");
    const second = await RemoteCommand.start({ end: 1 }, up);
    expect((await second.wait("peer"))["id"]).toBe(id);
    expect((await first.wait("peer"))["id"]).toBe((await second.wait("ready"))["id"]);
  });

  test.each([
    ["one that does not say it is there", ["--no-lan"], []],
    ["one that is not asked for", [], ["--no-lan"]],
    ["one of another network", ["--network", "apart"], []],
    ["one that listens for its own machine only", ["--listen", "127.0.0.1:0"], []],
  ])("%s is not found", async (_, there, here) => {
    const first = await RemoteCommand.start({ end: 0 }, [...up, ...there]);
    const { id } = await first.wait("ready");
    const ping = await RemoteCommand.start({ end: 1 }, ["ping", String(id), "--count", "1", ...here]);
    expect(await ping.wait("pong", "error")).toMatchObject({ event: "error", code: "connect/no-path" });
    expect(first.events.filter(({ event }) => event === "peer")).toEqual([]);
  });
});
