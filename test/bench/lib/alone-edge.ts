/** workerd alone, with nothing in front of it: the edge from the files that are shipped for hosting it, or one bare object. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { bundleStandalone, bundleWorker } from "../../../infra/bundle.ts";

const FILES = fileURLToPath(new URL("../../../infra/self-host", import.meta.url));
const WORKERD = (createRequire(import.meta.url)("workerd") as { readonly default: string }).default;
const START_MS_MAX = 30_000;

const BARE = `using Workerd = import "/workerd/workerd.capnp";
const bare :Workerd.Config = (
  services = [(name = "worker", worker = .worker), (name = "state", disk = (path = "state", writable = true))],
  sockets = [(name = "http", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-23",
  durableObjectNamespaces = [(className = "Room", uniqueKey = "room", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
  bindings = [(name = "ROOM", durableObjectNamespace = "Room")],
);`;

export interface AloneEdge {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param vars as in edge.env */
export function startAloneEdge(vars: Readonly<Record<string, string>>): Promise<AloneEdge> {
  return start(vars, async (folder) => {
    const web = join(folder, "web");
    await Promise.all([
      bundleWorker().then((text) => writeFile(join(folder, "worker.js"), text)),
      bundleStandalone().then((text) => writeFile(join(folder, "standalone.js"), text)),
      cp(FILES, join(folder, "self-host"), { recursive: true }),
      mkdir(web),
    ]);
    return [join(folder, "self-host", "workerd.capnp"), `--directory-path=web=${web}`];
  });
}

/** @param contents a module with the object `Room`, bound as `ROOM` */
export function startAloneWorker(contents: string): Promise<AloneEdge> {
  return start({}, async (folder) => {
    await writeFile(join(folder, "worker.js"), contents);
    await writeFile(join(folder, "bare.capnp"), BARE);
    return [join(folder, "bare.capnp")];
  });
}

/** @param layOut fills a folder. @returns the configuration, and what else workerd is told */
async function start(
  vars: Readonly<Record<string, string>>,
  layOut: (folder: string) => Promise<readonly string[]>,
): Promise<AloneEdge> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-bench-edge-"));
  const state = join(folder, "state");
  await mkdir(state);
  const words = ["serve", ...(await layOut(folder)), `--directory-path=state=${state}`];
  words.push("--socket-addr=http=127.0.0.1:0", "--control-fd=3");
  const child = spawn(WORKERD, words, { env: vars, stdio: ["ignore", "ignore", "inherit", "pipe"] });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const lines = createInterface({ input: child.stdio[3] as Readable });
    const [line] = (await once(lines, "line", { signal: AbortSignal.timeout(START_MS_MAX) })) as [string];
    const { port } = JSON.parse(line) as { readonly port: number };
    return { url: `http://127.0.0.1:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
