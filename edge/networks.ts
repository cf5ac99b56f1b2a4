/**
 * Which networks this edge serves: its operator says so by `NETWORKS`. Decided in the Worker from the name alone and before anything else, so that
 * what is not served wakes no object. PeerJS knows no networks: it has its keys.
 */
import { type NetworkName, networkKindOf, parseNetworkName } from "../shared/ids.ts";
import { type Env, words } from "./env.ts";
import { isUpgrade, refuse, refuseSocket } from "./refusals.ts";

const ONLY_PRIVATE =
  "This edge takes private networks only. Make one with: peerloom network create, or join one by its invite.";
const ONLY_NAMED = "This edge takes only the networks that its operator has named in NETWORKS.";

/** All where nothing is named. What names no network lets none in. */
export function isServed(env: Env, network: NetworkName): boolean {
  const named = words(env.NETWORKS);
  if (named.length === 0 || named.includes("all") || named.includes(network)) return true;
  return named.includes("private") && networkKindOf(network) !== "open";
}

/** The network that a route names, or the answer to who names another. */
export function servedNetwork(env: Env, request: Request, name: string): NetworkName | Response {
  const network = parseNetworkName(name);
  if (network === undefined)
    return refuse("network/invalid-name", 'A network name is 1 to 64 of a-z, 0-9, ".", "_" and "-".');
  if (isServed(env, network)) return network;
  const message = words(env.NETWORKS).includes("private") ? ONLY_PRIVATE : ONLY_NAMED;
  return isUpgrade(request)
    ? refuseSocket("network/not-allowed", message)
    : refuse("network/not-allowed", message);
}
