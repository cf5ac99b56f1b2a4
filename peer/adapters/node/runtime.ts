/** Node as a host. */
import type { Runtime, WebRtcHost } from "../../runtime.ts";
import { nodeAead } from "./aead.ts";
import { nodeClock } from "./clock.ts";
import { nodeFiles } from "./files.ts";
import { nodeLan } from "./lan.ts";
import { nodeLifecycle } from "./lifecycle.ts";
import { nodeLog } from "./log.ts";
import { folderLogs } from "./logs.ts";
import { nodeRandom } from "./random.ts";
import { nodeSandboxes } from "./sandbox.ts";
import { memoryStorage } from "../memory-storage.ts";
import { folderStorage } from "./storage.ts";
import { nodeSockets } from "./sockets.ts";
import { nodeTcp } from "./tcp.ts";
import { nodeUdp } from "./udp.ts";
import { nodeWebSocket } from "./websocket.ts";
import { nodeHash } from "./hash.ts";

export interface NodeRuntimeOptions {
  /** Folder of the identity and what else is remembered. Without it nothing is. */
  readonly dataDir: string | undefined;
  readonly webrtc: WebRtcHost | undefined;
}

export function nodeRuntime({ dataDir, webrtc }: NodeRuntimeOptions): Runtime {
  return {
    name: "Deno" in globalThis ? "deno" : "node",
    clock: nodeClock,
    lifecycle: nodeLifecycle(),
    random: nodeRandom,
    aead: nodeAead,
    hash: nodeHash,
    tcp: nodeTcp,
    sockets: nodeSockets,
    websocket: nodeWebSocket,
    webrtc,
    udp: nodeUdp,
    lan: nodeLan(),
    storage: dataDir === undefined ? memoryStorage() : folderStorage(dataDir),
    files: nodeFiles,
    logs: dataDir === undefined ? undefined : folderLogs(dataDir),
    sandboxes: nodeSandboxes,
    log: nodeLog(process.env["PEERLOOM_LOG"]),
  };
}
