/** A simulated peer's host: virtual time, seeded randomness, memory. No sockets: the world hands links to sessions. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { AeadProvider, Log, Runtime, StoredValue } from "../../runtime.ts";
import { simAead } from "./aead.ts";
import type { SimClock } from "./clock.ts";
import { seededRandom } from "./random.ts";
import { webCryptoHash } from "../web-crypto-hash.ts";

export interface SimRuntimeOptions {
  /** Peers of one run need different ones, e.g. `${seed}/alice`. */
  readonly seed: number | string;
  readonly clock: SimClock;
  /** @default simAead(), which answers at once */
  readonly aead?: AeadProvider;
  /** @default silent */
  readonly log?: Log;
}

/**
 * @example
 * const clock = new SimClock();
 * const runtime = simRuntime({ seed: "7/alice", clock });
 */
export function simRuntime({ seed, clock, aead = simAead(), log = SILENT }: SimRuntimeOptions): Runtime {
  const stored = new Map<string, StoredValue>();
  return {
    name: "sim",
    clock,
    random: seededRandom(seed),
    aead,
    hash: webCryptoHash,
    tcp: undefined,
    sockets: undefined,
    websocket: {
      connect: () =>
        Promise.reject(new PeerloomError("link/failed", "Simulated peers have no sockets. Use simLinkPair.")),
    },
    webrtc: undefined,
    udp: undefined,
    lan: undefined,
    storage: {
      get: (key) => Promise.resolve(stored.get(key)),
      set(key, value) {
        stored.set(key, value);
        return Promise.resolve();
      },
    },
    files: undefined,
    log,
  };
}

const SILENT: Log = { debug() {}, warn() {} };
