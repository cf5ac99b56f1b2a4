/** `edge dev`: the whole edge on this machine, in workerd, without an account and without the internet. */
import { join, resolve } from "node:path";
import { ADMIN_TOKEN_VARIABLE, adminToken, adminUrl } from "./admin-token.ts";
import type { Command } from "./command.ts";
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
    const tokenFile = stateDir === undefined ? undefined : join(stateDir, "admin-token");
    const token = await adminToken(host.environment, tokenFile);
    const bounds = { min: 0, max: 999_999_999_999, default: 0 };
    const budget = values.integer("budget", bounds);
    const ofNetwork = values.integer("network-budget", bounds);
    output.note("Starting workerd …");
    const edge = await host.startEdge({
      host: values.text("host") ?? "127.0.0.1",
      port,
      ...(stateDir === undefined ? {} : { stateDir }),
      vars: {
        EDGE_ADMIN_TOKEN: token,
        ...(budget > 0 && { BUDGET_UNITS: String(budget) }),
        ...(ofNetwork > 0 && { BUDGET_NETWORK_UNITS: String(ofNetwork) }),
      },
    });
    try {
      const url = edge.url.replace(/\/+$/, "");
      const admin = adminUrl(url, token);
      output.result({ event: "ready", url, adminToken: token, admin }, url);
      output.note(`What it spends, and who is there: ${admin}`);
      output.note(
        `The same in a terminal: ${ADMIN_TOKEN_VARIABLE}=${token} peerloom edge cost --edge ${url}`,
      );
      output.note(`Running. Use it with: peerloom up --edge ${url}   Stop it with Ctrl-C.`);
      await untilStopped(signal);
    } finally {
      await edge.stop();
    }
  },
};
