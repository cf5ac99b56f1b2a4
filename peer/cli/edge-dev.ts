/** `edge dev`: the whole edge on this machine, in workerd, without an account and without the internet. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "./command.ts";
import { ADMIN_TOKEN_VARIABLE } from "./edge-cost.ts";
import { untilStopped } from "./with-peer.ts";

export const edgeDev: Command = {
  name: "edge dev",
  synopsis: "",
  summary: "run an edge on this machine until it is stopped",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    host: { type: "string", value: "HOST", help: "default: 127.0.0.1" },
    port: { type: "string", value: "PORT", help: "default: 8787; 0: the system chooses" },
    state: {
      type: "string",
      value: "DIR",
      help: "keep the objects' state here; default: only while it runs",
    },
    budget: {
      type: "string",
      value: "UNITS",
      help: "units a day, after which it closes; default: 1000000, $0.15 at Cloudflare's list price",
    },
    "network-budget": { type: "string", value: "UNITS", help: "of them, for one network; default: all" },
  },
  serves: true,
  run: async ({ values, host, output, signal }) => {
    const port = values.integer("port", { min: 0, max: 65_535, default: 8787 });
    const state = values.text("state");
    const stateDir = state === undefined ? undefined : resolve(host.workingFolder, state);
    const adminToken = await adminTokenOf(host.environment[ADMIN_TOKEN_VARIABLE], stateDir);
    const bounds = { min: 0, max: 999_999_999_999, default: 0 };
    const budget = values.integer("budget", bounds);
    const ofNetwork = values.integer("network-budget", bounds);
    output.note("Starting workerd …");
    const edge = await host.startEdge({
      host: values.text("host") ?? "127.0.0.1",
      port,
      ...(stateDir === undefined ? {} : { stateDir }),
      vars: {
        EDGE_ADMIN_TOKEN: adminToken,
        ...(budget > 0 && { BUDGET_UNITS: String(budget) }),
        ...(ofNetwork > 0 && { BUDGET_NETWORK_UNITS: String(ofNetwork) }),
      },
    });
    try {
      const url = edge.url.replace(/\/+$/, "");
      output.result({ event: "ready", url, adminToken }, url);
      output.note(`What it costs: ${ADMIN_TOKEN_VARIABLE}=${adminToken} peerloom edge cost --edge ${url}`);
      output.note(`Running. Use it with: peerloom up --edge ${url}   Stop it with Ctrl-C.`);
      await untilStopped(signal);
    } finally {
      await edge.stop();
    }
  },
};

/** The user's, else that of the state, else a new one, kept in the state where there is one. */
async function adminTokenOf(given: string | undefined, stateDir: string | undefined): Promise<string> {
  if (given !== undefined && given !== "") return given;
  const made = randomBytes(24).toString("base64url");
  if (stateDir === undefined) return made;
  const file = join(stateDir, "admin-token");
  await mkdir(stateDir, { recursive: true });
  const kept = await readFile(file, "utf8").catch(() => "");
  if (kept !== "") return kept.trim();
  await writeFile(file, `${made}\n`, { mode: 0o600 });
  return made;
}
