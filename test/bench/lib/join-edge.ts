/** The process of one embedded edge. Told what to do by IPC. */
import { setTimeout as rest } from "node:timers/promises";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../../infra/embedded-edge.ts";
import { NO_USAGE } from "../../../shared/budget.ts";
import { parseEdgeCost } from "../../../shared/edge-cost.ts";
import type { EdgeOperations } from "./join-operations.ts";
import { answerCalls, type Handlers } from "./remote.ts";
import { ownUsage } from "./usage.ts";

const TOKEN = "bench";

let edge: EmbeddedEdge | undefined;
let vars: Readonly<Record<string, string>> = {};

const handlers: Handlers<EdgeOperations> = {
  async start(wanted) {
    vars = { EDGE_ADMIN_TOKEN: TOKEN, ...wanted.vars };
    edge = await startEmbeddedEdge({ vars, onLog: () => {} });
    return edge.url;
  },
  async restart({ awayMs }) {
    if (edge === undefined) throw new Error("No edge runs.");
    const port = Number(new URL(edge.url).port);
    await edge.stop();
    await rest(awayMs); // what is measured, not a wait for anything
    edge = await startEmbeddedEdge({ port, vars, onLog: () => {} });
    return null;
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
  async account({ network: wanted }) {
    const response = await fetch(`${edge?.url}/v1/cost`, { headers: { authorization: `Bearer ${TOKEN}` } });
    const { networks } = parseEdgeCost(await response.json());
    return networks.find(({ network }) => network === wanted)?.usage ?? NO_USAGE;
  },
  async metrics() {
    const text = await (await fetch(`${edge?.url}/metrics`)).text();
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return Object.fromEntries(
      samples.map((line) => {
        const at = line.lastIndexOf(" ");
        return [line.slice(0, at), Number(line.slice(at + 1))] as const;
      }),
    );
  },
};

answerCalls<EdgeOperations>(handlers, async () => {
  await edge?.stop();
});
