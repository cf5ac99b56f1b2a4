/** A simulated peer's host: virtual time, seeded randomness, memory. Sockets are the world's, which may hand links to sessions instead. */
import { PeerloomError } from "../../../shared/errors.ts";
import type {
  AeadProvider,
  Clock,
  HashProvider,
  KeyValueStorage,
  Log,
  LogHost,
  Runtime,
  TcpHost,
  WebRtcHost,
} from "../../runtime.ts";
import { memoryStorage } from "../memory-storage.ts";
import { simAead } from "./aead.ts";
import { seededRandom } from "./random.ts";
import { webCryptoHash } from "../web-crypto-hash.ts";

export interface SimRuntimeOptions {
  /** Peers of one run need different ones, e.g. `${seed}/alice`. */
  readonly seed: number | string;
  readonly clock: Clock;
  /** @default simAead(), which answers at once */
  readonly aead?: AeadProvider;
  /** @default WebCrypto's */
  readonly hash?: HashProvider;
  /** @default none */
  readonly tcp?: TcpHost;
  /** @default none */
  readonly webrtc?: WebRtcHost;
  /** @default forgotten with the runtime */
  readonly storage?: KeyValueStorage;
  /** @default none */
  readonly logs?: LogHost;
  /** @default silent */
  readonly log?: Log;
}

/**
 * @example
 * const clock = new SimClock();
 * const runtime = simRuntime({ seed: "7/alice", clock });
 */
export function simRuntime(options: SimRuntimeOptions): Runtime {
  const { seed, clock, tcp, webrtc, logs } = options;
  const { aead = simAead(), hash = webCryptoHash, storage = memoryStorage(), log = SILENT } = options;
  return {
    name: "sim",
    clock,
    random: seededRandom(seed),
    aead,
    hash,
    tcp,
    sockets: undefined,
    websocket: {
      connect: () => Promise.reject(new PeerloomError("link/failed", "Simulated peers have no WebSockets.")),
    },
    webrtc,
    udp: undefined,
    lan: undefined,
    storage,
    logs,
    files: undefined,
    log,
  };
}

const SILENT: Log = { debug() {}, warn() {} };
