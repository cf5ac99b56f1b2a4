/** peerloom on a simulated network, for tests of what is built on it: whole peers in simulated time. Node and Deno. */
export type * from "./api/exports.ts";
export type { Peer } from "./api/peer.ts";
export type { SimNat } from "./adapters/sim/internet.ts";
export type { SimRandom } from "./adapters/sim/random.ts";
export type { Clock, Timer } from "./runtime.ts";
export { simulate } from "./simulation/simulated-network.ts";
export type {
  SimulatedNetwork,
  SimulatedPeerOptions,
  SimulationOptions,
} from "./simulation/simulated-network.ts";
export { PeerloomError } from "../shared/errors.ts";
