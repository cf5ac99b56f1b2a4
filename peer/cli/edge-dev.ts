/** `edge dev`: the whole edge on this machine, in workerd, without an account and without the internet. */
import { resolve } from "node:path";
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
  },
  serves: true,
  run: async ({ values, host, output, signal }) => {
    const port = values.integer("port", { min: 0, max: 65_535, default: 8787 });
    const state = values.text("state");
    output.note("Starting workerd …");
    const edge = await host.startEdge({
      host: values.text("host") ?? "127.0.0.1",
      port,
      ...(state === undefined ? {} : { stateDir: resolve(host.workingFolder, state) }),
    });
    try {
      const url = edge.url.replace(/\/+$/, "");
      output.result({ event: "ready", url }, url);
      output.note(`Running. Use it with: peerloom up --edge ${url}   Stop it with Ctrl-C.`);
      await untilStopped(signal);
    } finally {
      await edge.stop();
    }
  },
};
