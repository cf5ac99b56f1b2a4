/** The real host of the command line: peers of this runtime, the embedded edge, and how to start this program again. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { concatBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { NodeDiagnoseOptions } from "../node.ts";
import type { Finding } from "../api/diagnosis/finding.ts";
import type { Networks } from "../api/networks.ts";
import type { CliHost, EdgeOptions, RunningEdge } from "./command.ts";
import { isCheckout, toolSpec } from "./package-info.ts";
import type { CliPeer, PeerOpenOptions } from "./peer-contract.ts";

export function cliHost(
  surroundings: Pick<CliHost, "environment" | "homeFolder" | "workingFolder">,
): CliHost {
  return {
    ...surroundings,
    openPeer,
    networks,
    diagnose,
    startEdge,
    wranglerPath,
    readInput,
    readLines,
    self: selfCommand(),
    ...asking(),
  };
}

/** The error for an edge command without the tools that only those who run an edge install. */
function toolsMissing(name: "miniflare" | "wrangler", cause?: unknown): PeerloomError {
  const spec = toolSpec(name);
  const words = name === "miniflare" ? "edge dev" : "edge deploy";
  return new PeerloomError(
    "edge/tools-missing",
    `This command needs ${name}, which is not installed with peerloom. Run: npm install ${spec}   or: npx -p peerloom -p ${spec} peerloom ${words}`,
    { cause },
  );
}

const runsOnDeno = "Deno" in globalThis;

// Adapters and the edge are loaded by the commands that need them, so that `help` and `status` start at once.
async function openPeer(options: PeerOpenOptions): Promise<CliPeer> {
  const { Peer } = await (runsOnDeno ? import("../deno.ts") : import("../node.ts"));
  return Peer.open(options);
}

async function networks(folder: string): Promise<Networks> {
  const entry = await (runsOnDeno ? import("../deno.ts") : import("../node.ts"));
  return entry.networks({ dataDir: folder });
}

async function* diagnose(options: NodeDiagnoseOptions): AsyncGenerator<Finding, void> {
  const entry = await (runsOnDeno ? import("../deno.ts") : import("../node.ts"));
  yield* entry.diagnose(options);
}

async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  try {
    const { startEmbeddedEdge } = await import("../../infra/embedded-edge.ts");
    return await startEmbeddedEdge(options);
  } catch (error) {
    if (isMissingModule(error)) throw toolsMissing("miniflare", error);
    if (addressInUse(error)) {
      throw new PeerloomError(
        "link/failed",
        `Port ${options.port} on ${options.host} is taken. Choose another with --port.`,
        { cause: error },
      );
    }
    throw error;
  }
}

function wranglerPath(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve("wrangler/package.json");
    return join(dirname(manifest), "bin", "wrangler.js");
  } catch (cause) {
    throw toolsMissing("wrangler", cause);
  }
}

async function readInput(bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > bytesMax)
      throw new PeerloomError("usage/invalid", `Standard input has more than ${bytesMax} bytes.`);
  }
  return concatBytes(...chunks);
}

function readLines(): AsyncIterable<string> {
  return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
}

/** Only where both ends are a terminal: a script must not wait for an answer. */
function asking(): Pick<CliHost, "ask"> {
  return process.stdin.isTTY && process.stderr.isTTY ? { ask } : {};
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal });
  } catch (cause) {
    throw new PeerloomError("aborted", "Stopped before the questions were answered.", { cause });
  } finally {
    lines.close();
  }
}

function isMissingModule(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === "ERR_MODULE_NOT_FOUND" &&
    error.message.includes("miniflare")
  );
}

function addressInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && /ADDRESS_IN_USE|EADDRINUSE/.test(String(error.code));
}

function selfCommand(): readonly string[] {
  const entry = fileURLToPath(new URL(isCheckout() ? "./main.ts" : "./main.js", import.meta.url));
  if (runsOnDeno) return [process.execPath, "run", "-A", entry];
  return [process.execPath, ...process.execArgv, entry];
}
