/** The embedded edge with real sockets: it serves, it stops, and it leaves nothing behind however its parent ends. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { LIMIT_PERIOD_MS, LIMIT_REQUESTS } from "../../edge/request-counter.ts";
import {
  type EmbeddedEdge,
  type EmbeddedEdgeOptions,
  startEmbeddedEdge,
  WORKER_CONFIGURATION,
} from "../../infra/embedded-edge.ts";
import { type PeerId, peerIdFromKey, requireNetworkName } from "../../shared/ids.ts";
import { FRAME_BYTES_MAX, RELAY_UNACKED_BYTES_MAX, WIRE_VERSION } from "../../shared/limits.ts";
import {
  decodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../shared/messages.ts";

const DEADLINE_MS = 15_000;
const NETWORK = requireNetworkName("demo");
const embeddedEdge = new URL("../../infra/embedded-edge.ts", import.meta.url).href;
const run = promisify(execFile);

// Other tests may run edges on this machine: a folder of our own shows what is ours.
const systemFolder = tmpdir();
const ownFolder = mkdtempSync(join(systemFolder, "peerloom-edge-test-"));
const edges: EmbeddedEdge[] = [];
const sockets: WebSocket[] = [];
const children: ChildProcess[] = [];

beforeAll(() => {
  process.env["TMPDIR"] = ownFolder;
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  for (const edge of edges.splice(0)) await edge.stop();
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

afterAll(() => {
  process.env["TMPDIR"] = systemFolder;
  rmSync(ownFolder, { recursive: true, force: true });
});

async function start(options: EmbeddedEdgeOptions = {}): Promise<EmbeddedEdge> {
  const edge = await startEmbeddedEdge({ port: 0, ...options });
  edges.push(edge);
  return edge;
}

function within<T>(promise: Promise<T>, what: string, deadlineMs: number = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms for ${what}`)), deadlineMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One socket as an async source of messages. */
class Client {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #heard: (Buffer | string)[] = [];
  #wake: () => void = () => {};

  constructor(url: string) {
    this.socket = new WebSocket(url.replace(/^http/, "ws"), { perMessageDeflate: false });
    sockets.push(this.socket);
    this.socket.on("message", (data: Buffer, isBinary) => {
      this.#heard.push(isBinary ? data : data.toString());
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.socket.on("error", () => undefined);
  }

  async next(): Promise<Buffer | string> {
    while (this.#heard.length === 0) {
      await within(new Promise<void>((resolve) => (this.#wake = resolve)), "a message");
    }
    return this.#heard.shift() ?? "";
  }
}

class Peer extends Client {
  id = "" as PeerId;

  static async joined(origin: string): Promise<Peer> {
    const peer = new Peer(`${origin}/v1/net/${NETWORK}/join`);
    const { nonce, timeMs } = await peer.expect("challenge");
    const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
    peer.id = peerIdFromKey(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
    const claim = Uint8Array.from(joinClaim({ nonce, origin, network: NETWORK, timeMs }));
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, claim));
    peer.send({
      kind: "join",
      version: WIRE_VERSION,
      id: peer.id,
      timeMs,
      signature,
      beacon: true,
      addresses: ["tcp://192.0.2.1:1"],
    });
    await peer.expect("joined");
    return peer;
  }

  send(message: ToRendezvous): void {
    this.socket.send(encodeToRendezvous(message));
  }

  async expect<Kind extends FromRendezvous["kind"]>(
    kind: Kind,
  ): Promise<Extract<FromRendezvous, { readonly kind: Kind }>> {
    const heard = await this.next();
    const message = decodeFromRendezvous(Uint8Array.from(heard as Buffer));
    if (message.kind !== kind) throw new Error(`expected ${kind}, got ${JSON.stringify(message)}`);
    return message as Extract<FromRendezvous, { readonly kind: Kind }>;
  }
}

async function relayUrls(origin: string): Promise<[string, string]> {
  const [a, b] = [await Peer.joined(origin), await Peer.joined(origin)];
  a.send({ kind: "relay", request: 1, to: b.id, sealed: new Uint8Array(8) });
  const [ready, offer] = [await a.expect("relay-ready"), await b.expect("relay-offer")];
  const url = (ticket: string): string => `${origin}/v1/relay/${ready.channel}?ticket=${ticket}`;
  return [url(ready.ticket), url(offer.ticket)];
}

/** A relay channel that both sides have opened. */
async function relay(origin: string): Promise<[Client, Client]> {
  const [left, right] = await relayUrls(origin);
  const clients: [Client, Client] = [new Client(left), new Client(right)];
  for (const client of clients) expect(await client.next()).toBe("ready");
  return clients;
}

/** workerd processes whose parent is `parent`. */
async function workers(parent: number): Promise<number[]> {
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid=,args="]);
  const rows = stdout.split("\n").map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line));
  return rows
    .filter((row) => Number(row?.[2]) === parent && row?.[3]?.includes("--control-fd="))
    .map((row) => Number(row?.[1]));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function residentMiB(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

describe("it serves", () => {
  test("health, the page under a strict policy, ICE and typed errors", async () => {
    const { url } = await start();
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ ok: true });
    const page = await fetch(`${url}/`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
    expect(await page.text()).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son[a-z]+=/);
    for (const path of ["/page.js", "/page.css"]) expect((await fetch(`${url}${path}`)).status).toBe(200);
    expect(await (await fetch(`${url}/v1/ice`)).json()).toMatchObject({ iceServers: [] });
    expect(await (await fetch(`${url}/nothing`)).json()).toMatchObject({ code: "usage/invalid" });
  });

  test("an address of this machine is listened at, and told", async () => {
    const { url } = await start({ host: "127.0.0.3" });
    expect(new URL(url).hostname).toBe("127.0.0.3");
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test("peers join under the name they dialled", async () => {
    const { url } = await start();
    await Peer.joined(url);
    await Peer.joined(url.replace("127.0.0.1", "localhost"));
  });

  test("members on different shards hear each other", async () => {
    const { url } = await start({ vars: { RENDEZVOUS_SHARDS: "3" } });
    const peers: Peer[] = [];
    for (let i = 0; i < 8; i++) peers.push(await Peer.joined(url));
    const first = peers[0] as Peer;
    for (const other of peers.slice(1)) {
      first.send({ kind: "signal", request: 1, to: other.id, sealed: new Uint8Array([7]) });
      expect(await other.expect("signal")).toMatchObject({ from: first.id });
      other.send({ kind: "find", request: 2, id: first.id });
      expect((await other.expect("found")).contact?.id).toBe(first.id);
    }
  });

  test("its configuration is that of wrangler.toml", () => {
    const toml = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8");
    const { compatibilityDate, compatibilityFlags, objects } = WORKER_CONFIGURATION;
    expect(toml).toContain(`compatibility_date = "${compatibilityDate}"`);
    expect(toml).toContain(
      `compatibility_flags = [${compatibilityFlags.map((flag) => `"${flag}"`).join(", ")}]`,
    );
    for (const [name, className] of Object.entries(objects))
      expect(toml).toContain(`name = "${name}"\nclass_name = "${className}"`);
    // The formatter breaks the list into lines.
    const classes = /new_sqlite_classes = \[([^\]]*)\]/.exec(toml)?.[1]?.match(/\w+/g);
    expect(classes).toEqual(Object.values(objects));
    expect(toml).toContain(`simple = { limit = ${LIMIT_REQUESTS}, period = ${LIMIT_PERIOD_MS / 1_000} }`);
  });

  test("state that is kept outlives a restart: tickets stay good", async () => {
    const stateDir = mkdtempSync(join(ownFolder, "state-"));
    const before = await start({ stateDir });
    const [left, right] = await relayUrls(before.url);
    await before.stop();
    const after = await start({ stateDir });
    const clients = [left, right].map((url) => new Client(url.replace(before.url, after.url)));
    for (const client of clients) expect(await client.next()).toBe("ready");
    rmSync(stateDir, { recursive: true, force: true });
  });
});

describe("memory", () => {
  // An object that queues grows by the whole flood. workerd's own garbage is up to 260 MiB with frames of this size, also under
  // an object that keeps nothing; the flood is four times that, so half of it tells the two apart.
  const FLOOD_BYTES = 1024 * 1024 * 1024;
  const GROWTH_MIB_MAX = FLOOD_BYTES / 2 / 1024 / 1024;
  const frame = new Uint8Array(FRAME_BYTES_MAX);

  test("stays flat when a receiver stops reading and its sender does not care", async () => {
    const { url } = await start();
    const [pid = 0] = await workers(process.pid);
    const [sender, receiver] = await relay(url);
    receiver.socket.pause();
    const beforeMiB = residentMiB(pid);
    for (
      let sent = 0;
      sent < FLOOD_BYTES && sender.socket.readyState === WebSocket.OPEN;
      sent += frame.length
    ) {
      // In a turn of its own: while the kernel takes every frame at once nothing is read, the close neither.
      await new Promise<void>((resolve) => sender.socket.send(frame, () => setImmediate(resolve)));
    }
    const close = await within(sender.closed, "the sender's close");
    expect(close).toEqual({ code: 4003, reason: "edge/relay-over-credit" });
    expect(residentMiB(pid) - beforeMiB).toBeLessThan(GROWTH_MIB_MAX);
    await relay(url); // others go on
  });

  test("stays flat while much more passes than may be under way", { timeout: 120_000 }, async () => {
    const { url } = await start();
    const [pid = 0] = await workers(process.pid);
    const [sender, receiver] = await relay(url);
    const beforeMiB = residentMiB(pid);
    let [sent, credited, got, peakMiB] = [0, 0, 0, beforeMiB];
    const pump = (): void => {
      for (; sent < FLOOD_BYTES && sent - credited < RELAY_UNACKED_BYTES_MAX / 2; sent += frame.length) {
        sender.socket.send(frame);
      }
    };
    const done = new Promise<void>((resolve, reject) => {
      sender.socket.on("close", (code, reason) => reject(new Error(`closed: ${code} ${reason.toString()}`)));
      sender.socket.on("message", (data: Buffer) => {
        credited = Number(data.toString());
        pump();
        if (credited >= FLOOD_BYTES) resolve();
      });
      receiver.socket.on("message", (data: Buffer) => {
        got += data.length;
        // The object hears of the credit first, then the sender.
        receiver.socket.send(`ack:${got}`);
        receiver.socket.send(new TextEncoder().encode(String(got)));
        if (got % (64 * frame.length) === 0) peakMiB = Math.max(peakMiB, residentMiB(pid));
      });
    });
    pump();
    await within(done, "the whole flood", 100_000);
    expect(peakMiB - beforeMiB).toBeLessThan(GROWTH_MIB_MAX);
  });
});

describe("it stops", () => {
  test("fifty times over, without a process, a file or a listener left", { timeout: 120_000 }, async () => {
    const signals = ["SIGINT", "SIGTERM", "SIGHUP", "exit"] as const;
    const listeners = (): number[] => signals.map((name) => process.listenerCount(name));
    await (await start()).stop(); // what is loaded once stays
    const before = listeners();
    // Ten times five at once: the last one that stops ends what they share.
    for (let round = 0; round < 10; round++) {
      const five = Array.from({ length: 5 }, async (_, i) => {
        const edge = await startEmbeddedEdge({ port: 0 });
        expect((await fetch(`${edge.url}/health`)).status).toBe(200);
        if (i === 0) await Peer.joined(edge.url);
        await edge.stop();
        await edge.stop();
      });
      await Promise.all(five);
    }
    expect(await workers(process.pid)).toEqual([]);
    expect(readdirSync(ownFolder)).toEqual([]);
    expect(listeners()).toEqual(before);
  });

  test("a port that is taken is said plainly, and nothing stays", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    await expect(startEmbeddedEdge({ port })).rejects.toMatchObject({
      code: "link/failed",
      message: expect.stringContaining(String(port)),
    });
    server.close();
    expect(await workers(process.pid)).toEqual([]);
    expect(readdirSync(ownFolder)).toEqual([]);
  });

  test("the signal stops it, also before it is up", async () => {
    await expect(startEmbeddedEdge({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
    const early = new AbortController();
    const starting = startEmbeddedEdge({ signal: early.signal });
    early.abort();
    await expect(starting).rejects.toMatchObject({ code: "aborted" });
    const late = new AbortController();
    const edge = await start({ signal: late.signal });
    late.abort();
    await edge.stop();
    expect(await workers(process.pid)).toEqual([]);
    expect(readdirSync(ownFolder)).toEqual([]);
  });
});

describe("its parent ends", () => {
  const program = `
    const { startEmbeddedEdge } = await import(${JSON.stringify(embeddedEdge)});
    const edge = await startEmbeddedEdge({ port: 0 });
    process.once("SIGTERM", () => void edge.stop());
    console.log(edge.url);`;

  async function startChild(): Promise<{ child: ChildProcess; url: string; pids: number[] }> {
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    const [line] = (await within(
      once(child.stdout as NodeJS.ReadableStream, "data"),
      "the child's edge",
    )) as [Buffer];
    return { child, url: line.toString().trim(), pids: await workers(child.pid ?? 0) };
  }

  test("killed without a chance: workerd and files go too", async () => {
    const { child, url, pids } = await startChild();
    expect([pids.length, (await fetch(`${url}/health`)).status, readdirSync(ownFolder).length]).toEqual([
      1, 200, 1,
    ]);
    child.kill("SIGKILL");
    await within(once(child, "exit"), "the child's end");
    // The kernel tells nobody but a parent of an end, and that is gone.
    await expect.poll(() => pids.filter(isAlive), { timeout: DEADLINE_MS }).toEqual([]);
    await expect.poll(() => readdirSync(ownFolder), { timeout: DEADLINE_MS }).toEqual([]);
  });

  test("asked to end: it ends by itself, with code 0", async () => {
    const { child, pids } = await startChild();
    child.kill("SIGTERM");
    const [code] = (await within(once(child, "exit"), "the child's end")) as [number | null];
    expect(code).toBe(0);
    expect(pids.some(isAlive)).toBe(false);
    expect(readdirSync(ownFolder)).toEqual([]);
  });
});
