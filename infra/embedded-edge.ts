/**
 * The edge on this machine: the very bundle that is deployed, in workerd, started by Miniflare inside this process. No account, no
 * internet, no development proxy in front. Whoever starts it stops it; nothing is left behind, not even after a SIGKILL.
 */
import { mkdir, mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, isIPv6 } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { PeerloomError } from "../shared/errors.ts";
import { type OrphanWatch, watchOrphans } from "./orphan-watch.ts";
import { webFile } from "./web-files.ts";

export interface EmbeddedEdgeOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0: the system chooses. @default 0 */
  readonly port?: number;
  /** Variables of the Worker, as in wrangler.toml. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Where the objects keep their state; temporary without. */
  readonly stateDir?: string;
  /** Stops the edge. */
  readonly signal?: AbortSignal;
  /** Called with each line of the Worker's log. @default errors and warnings go to standard error */
  readonly onLog?: (line: string) => void;
}

export interface EmbeddedEdge {
  /** `http://HOST:PORT`, without a slash at the end. */
  readonly url: string;
  /** Throws an object out of memory, as Cloudflare does with one that sleeps: its sockets stay. @param className as in `WORKER_CONFIGURATION` */
  evict(className: string, name: string): Promise<void>;
  /** Resolves when neither process nor temporary file is left. Twice is harmless. */
  stop(): Promise<void>;
}

type Miniflare = typeof import("miniflare");

/** The same as in wrangler.toml; a test compares the two. */
export const WORKER_CONFIGURATION = {
  compatibilityDate: "2026-10-23",
  compatibilityFlags: ["no_nodejs_compat", "no_nodejs_compat_v2"],
  objects: {
    RENDEZVOUS: "Rendezvous",
    RELAY: "RelayChannel",
    KEYS: "EdgeKeys",
    TALLY: "EdgeTally",
    PEERJS: "PeerjsRoom",
    SEARCH: "SearchIndex",
    LEDGER: "EdgeLedger",
  },
} as const;
const WORKER_NAME = "peerloom-edge";
/** Where Miniflare listens it tells for these alone; at any other address it listens too, but tells a second socket of its own. */
const TOLD_HOSTS: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "*"]);
/** Of whoever opens it: workerd itself. */
const DESCRIPTORS_PATH = "/proc/self/fd";
const STUN_DEFAULT = "stun:stun.cloudflare.com:3478";
const TEMPORARY_VARIABLES = ["TMPDIR", "TEMP", "TMP"] as const;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Starts an edge and resolves when it answers.
 * @throws PeerloomError `edge/tools-missing`, `link/failed` when the port is taken, `edge/unreachable`, `aborted`
 * @example
 * const edge = await startEmbeddedEdge({ port: 0 });
 * await fetch(`${edge.url}/health`);
 * await edge.stop();
 */
export async function startEmbeddedEdge(options: EmbeddedEdgeOptions = {}): Promise<EmbeddedEdge> {
  const { host = "127.0.0.1", signal } = options;
  let { port = 0 } = options;
  throwIfAborted(signal);
  const tools = await loadMiniflare();
  const folder = await realpath(await mkdtemp(join(tmpdir(), "peerloom-edge-")));
  const watch = watchOrphans(folder);
  let stopping: Promise<void> | undefined;
  let runtime: InstanceType<Miniflare["Miniflare"]> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll(runtime, watch, folder, signal, onAbort));
  const onAbort = (): void => void stop();
  try {
    const files = await edgeFiles(folder);
    const stateDir = options.stateDir ?? join(folder, "state");
    await mkdir(stateDir, { recursive: true });
    const isTold = TOLD_HOSTS.has(host);
    if (!isTold && port === 0) port = await freePort(host);
    throwIfAborted(signal);
    const runtimeOptions = { ...files, host, port, stateDir, vars: options.vars ?? {}, onLog: options.onLog };
    runtime = withTemporaryFolder(folder, () =>
      withoutSignalHandlers(() => createRuntime(tools, runtimeOptions)),
    );
    const told = await runtime.ready;
    const url = isTold ? told.origin : `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
    throwIfAborted(signal);
    signal?.addEventListener("abort", onAbort, { once: true });
    const evict = async (className: string, name: string): Promise<void> =>
      runtime?.unsafeEvictDurableObject(WORKER_NAME, className, { name, webSockets: "hibernate" });
    return { url, evict, stop };
  } catch (error) {
    await stop();
    throw explain(error, host, port);
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function stopAll(
  runtime: InstanceType<Miniflare["Miniflare"]> | undefined,
  watch: OrphanWatch,
  folder: string,
  signal: AbortSignal | undefined,
  onAbort: () => void,
): Promise<void> {
  signal?.removeEventListener("abort", onAbort);
  // A runtime that failed to start also fails to end; its process is gone all the same.
  await runtime?.dispose().catch(() => undefined);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  await watch.close();
}

interface RuntimeOptions extends EdgeFiles {
  readonly host: string;
  readonly port: number;
  readonly stateDir: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly onLog: EmbeddedEdgeOptions["onLog"];
}

function createRuntime(tools: Miniflare, options: RuntimeOptions): InstanceType<Miniflare["Miniflare"]> {
  const { host, port, worker, webDir, stateDir, vars, onLog } = options;
  const { Miniflare, convertV4MiniflareOptions, Log, LogLevel, Response } = tools;
  // Standard output belongs to whoever starts the edge.
  class ErrorLog extends Log {
    override log(message: string): void {
      process.stderr.write(`${message}\n`);
    }
  }
  const durableObjects = Object.fromEntries(
    Object.entries(WORKER_CONFIGURATION.objects).map(([binding, className]) => [
      binding,
      { className, useSQLite: true },
    ]),
  );
  const descriptorsMax = descriptorLimit();
  return new Miniflare(
    convertV4MiniflareOptions({
      name: WORKER_NAME,
      host,
      port,
      cf: false, // asks the internet otherwise
      log: new ErrorLog(LogLevel.WARN),
      handleStructuredLogs: ({ level, message }) => {
        if (onLog !== undefined) onLog(message);
        else if (level === "error" || level === "warn") process.stderr.write(`${message}\n`);
      },
      modules: [{ type: "ESModule", path: "worker.js", contents: worker }],
      compatibilityDate: WORKER_CONFIGURATION.compatibilityDate,
      compatibilityFlags: [...WORKER_CONFIGURATION.compatibilityFlags],
      durableObjects,
      resourcePersistencePath: stateDir,
      bindings: {
        STUN_URLS: isLoopback(host) ? "" : STUN_DEFAULT,
        ...(descriptorsMax === undefined ? {} : { DESCRIPTORS_MAX: descriptorsMax }),
        ...vars,
      },
      serviceBindings: {
        ...(descriptorsMax === undefined ? {} : { DESCRIPTORS: { disk: { path: DESCRIPTORS_PATH } } }),
        ASSETS: async ({ url, method }: { readonly url: string; readonly method: string }) => {
          const file = await webFile(webDir, new URL(url).pathname);
          if (file === undefined) return new Response(null, { status: 404 });
          return new Response(method === "HEAD" ? null : file.bytes, { headers: { ...file.headers } });
        },
      },
    }),
  );
}

/** What workerd inherits as its limit of open files; undefined where the system does not tell. */
function descriptorLimit(): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  } catch {
    return undefined; // no /proc here
  }
}

/**
 * Miniflare ends the whole process on a signal, before anything asynchronous can run. Its handlers are taken out again; whoever
 * started the edge stops it.
 */
function withoutSignalHandlers<T>(create: () => T): T {
  const before = new Map(SIGNALS.map((name) => [name, new Set(process.listeners(name))]));
  const created = create();
  for (const [name, known] of before) {
    for (const listener of process.listeners(name)) if (!known.has(listener)) process.off(name, listener);
  }
  return created;
}

/** Miniflare asks the system for its temporary folder while it is constructed, and has no option for it; ours is the one removed. */
function withTemporaryFolder<T>(folder: string, create: () => T): T {
  const before = TEMPORARY_VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of TEMPORARY_VARIABLES) process.env[name] = folder;
  try {
    return create();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

interface EdgeFiles {
  readonly worker: string;
  readonly webDir: string;
}

/** Beside the installed package, or made from the sources of a checkout. */
async function edgeFiles(folder: string): Promise<EdgeFiles> {
  const packaged = new URL("../worker.js", import.meta.url);
  const worker = await readFile(packaged, "utf8").catch(() => undefined);
  if (worker !== undefined) return { worker, webDir: fileURLToPath(new URL("../web", import.meta.url)) };
  const { edgeBundle } = await import("./bundle-cache.ts");
  const webDir = join(folder, "web");
  return { worker: await edgeBundle(webDir), webDir };
}

async function loadMiniflare(): Promise<Miniflare> {
  try {
    return await import("miniflare");
  } catch (cause) {
    throw new PeerloomError(
      "edge/tools-missing",
      "An embedded edge needs miniflare, which is not installed with peerloom. Run: npm install miniflare@5.20261023.2-beta",
      { cause },
    );
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new PeerloomError("aborted", "Stopped before the edge was up.", { cause: signal.reason });
}

function explain(error: unknown, host: string, port: number): PeerloomError {
  if (error instanceof PeerloomError) return error;
  if (error instanceof Error && "code" in error && error.code === "ERR_ADDRESS_IN_USE") {
    return new PeerloomError("link/failed", `Port ${port} on ${host} is taken. Choose another with --port.`, {
      cause: error,
    });
  }
  const why = error instanceof Error ? error.message : String(error);
  return new PeerloomError("edge/unreachable", `The embedded edge did not start: ${why}`, { cause: error });
}
