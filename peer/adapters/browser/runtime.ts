/** A page as a host. */
import type { Log, Runtime } from "../../runtime.ts";
import { browserAead } from "./aead.ts";
import { browserClock } from "./clock.ts";
import { browserLifecycle } from "./lifecycle.ts";
import { browserRandom } from "./random.ts";
import { browserLogs } from "./logs.ts";
import { browserSandboxes } from "./sandboxes.ts";
import { browserStorage } from "./storage.ts";
import { browserWebRtc } from "./webrtc.ts";
import { browserWebSocket } from "./websocket.ts";
import { webCryptoHash } from "../web-crypto-hash.ts";

/** Their code is loaded with the first. */
export const loadOriginFiles = (): Promise<typeof import("./origin-files.ts")> => import("./origin-files.ts");

const silent: Log = { debug: () => {}, warn: () => {} };

/** @param servedBy origin of the edge that served this script, if one did */
export function browserRuntime(servedBy: string | null): Runtime {
  return {
    name: "browser",
    clock: browserClock,
    random: browserRandom,
    aead: browserAead,
    hash: webCryptoHash,
    tcp: undefined,
    sockets: undefined,
    websocket: browserWebSocket,
    webrtc: browserWebRtc(),
    udp: undefined,
    lan: undefined,
    storage: browserStorage,
    files: undefined,
    originFiles: {
      // A page whose edge is gone before does without.
      open: async (...call) => (await loadOriginFiles().catch(() => undefined))?.openOriginFile(...call),
    },
    logs: browserLogs,
    sandboxes: browserSandboxes(servedBy),
    lifecycle: browserLifecycle,
    log: silent,
  };
}
