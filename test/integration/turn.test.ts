/** The shipped coturn beside an edge: it takes the file as it is, its secret is told to nobody, and every member has a share of its own. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { generateIdentity } from "../../peer/identity/identity.ts";
import { IceServers } from "../../peer/overlay/ice-servers.ts";
import { Rendezvous } from "../../peer/overlay/rendezvous.ts";
import type { IceServer } from "../../peer/runtime.ts";
import { requireNetworkName } from "../../shared/ids.ts";
import { ROOT, temporaryFolder } from "./command.ts";
import { freePort, openEdge } from "./peers.ts";
import { type Allocation, allocate, type TurnCredentials } from "./turn-client.ts";

const HOST = "127.0.0.1";
const SECRET = "a-secret-of-this-test";
const FILES = join(ROOT, "infra", "self-host");
const MEMBERS = 20;
const START_MS_MAX = 10_000;
/** RFC 8656. */
const QUOTA_REACHED = 486;
const isHere = spawnSync("turnserver", ["--version"]).error === undefined;
if (!isHere) console.log("Skipped: there is no turnserver (coturn) here, so its configuration is not tried.");

interface Coturn {
  readonly server: { readonly host: string; readonly port: number };
  readonly child: ChildProcess;
  /** What it said until it listened. */
  readonly said: readonly string[];
  /** Where the file with the secret lies. */
  readonly folder: string;
}

/** By the script of the unit and the compose file, on this machine's loopback. */
async function startCoturn(): Promise<Coturn> {
  const [folder, port] = [await temporaryFolder(), await freePort()];
  const child = spawn("sh", [join(FILES, "turn.sh"), "-v", "-p", String(port), "-L", HOST, "-E", HOST], {
    env: { PATH: process.env["PATH"], TURN_SECRET: SECRET, RUNTIME_DIRECTORY: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(async () => {
    const ended = once(child, "exit");
    if (child.exitCode === null && child.kill("SIGKILL")) await ended;
  });
  const said: string[] = [];
  const lines = createInterface({ input: child.stdout, signal: AbortSignal.timeout(START_MS_MAX) });
  for await (const line of lines) {
    said.push(line);
    if (line.includes("UDP listener opened")) break;
  }
  child.stdout.resume(); // nobody reads on, and it must not wait for that
  return { server: { host: HOST, port }, child, said, folder };
}

/** Joins, and asks for ICE servers as a peer does before its first connection: in the moment that it is let in. */
async function joinAsPeers(url: string, count: number): Promise<readonly (readonly IceServer[])[]> {
  const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
  return Promise.all(
    Array.from({ length: count }, async () => {
      const identity = await generateIdentity(runtime.random);
      const network = requireNetworkName("turned");
      const rendezvous = new Rendezvous({ runtime, identity, network, edge: url, addresses: () => [] });
      onTestFinished(() => rendezvous.close());
      const servers = new IceServers(runtime, url, rendezvous);
      const { promise, resolve } = Promise.withResolvers<readonly IceServer[]>();
      rendezvous.onJoined = () => resolve(servers.get());
      await rendezvous.open();
      return promise;
    }),
  );
}

function credentialsOf(servers: readonly IceServer[]): TurnCredentials {
  const turn = servers.find(({ credential }) => credential !== undefined);
  if (turn?.username === undefined || turn.credential === undefined)
    throw new Error(`no TURN among ${JSON.stringify(servers)}`);
  return { username: turn.username, credential: turn.credential };
}

describe.skipIf(!isHere)("coturn by the shipped files", () => {
  test("takes every line of its file, and the secret is neither in arguments nor environment, and in a file of its own", async () => {
    const { child, said, folder } = await startCoturn();
    expect(said.filter((line) => /bad configuration|unknown|error/i.test(line))).toEqual([]);
    const path = join(folder, "turnserver.conf");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const shipped = await readFile(join(FILES, "turnserver.conf"), "utf8");
    expect(await readFile(path, "utf8")).toBe(`${shipped}static-auth-secret=${SECRET}\n`);
    const [words, environment] = await Promise.all(
      ["cmdline", "environ"].map((name) => readFile(`/proc/${child.pid}/${name}`, "utf8")),
    );
    expect(words).toContain("turnserver");
    expect(`${words}${environment}`).not.toContain(SECRET);
  });

  test("gives each of twenty members a port, more to one than to all before, and to nobody without end", async () => {
    const { server } = await startCoturn();
    const vars = { TURN_URLS: `turn:${server.host}:${server.port}`, TURN_SECRET: SECRET };
    const edge = await openEdge(0, vars);
    const held: Allocation[] = [];
    onTestFinished(() => held.forEach((allocation) => allocation.close()));
    const ask = async (credentials: TurnCredentials): Promise<Allocation["answer"]> => {
      const allocation = await allocate(server, credentials);
      held.push(allocation);
      return allocation.answer;
    };
    const members = (await joinAsPeers(edge.url, MEMBERS)).map(credentialsOf);
    expect(await Promise.all(members.map(ask))).toEqual(Array(MEMBERS).fill("allocated"));

    const quota = Number(
      /^user-quota=(\d+)$/m.exec(await readFile(join(FILES, "turnserver.conf"), "utf8"))?.[1],
    );
    const [one] = members as [TurnCredentials];
    const more = await Promise.all(Array.from({ length: quota }, () => ask(one)));
    expect(more.filter((answer) => answer === "allocated")).toHaveLength(quota - 1);
    expect(more.filter((answer) => answer === QUOTA_REACHED)).toHaveLength(1);
    expect(await ask({ ...one, credential: "forged" })).toBe(401);
  });
});
