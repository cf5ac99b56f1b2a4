import { type EdgeCost, parseEdgeCost } from "../../shared/edge-cost.ts";
import { askEdge } from "./ask-edge.ts";

/**
 * What an edge has spent today, network by network.
 * @param token its `EDGE_ADMIN_TOKEN`
 * @throws PeerloomError `edge/unreachable`, `edge/not-admin`, `edge/rate-limited`, `wire/malformed`; what aborts the signal
 */
export async function readEdgeCost(edge: string, token: string, signal?: AbortSignal): Promise<EdgeCost> {
  return parseEdgeCost(
    await askEdge(new URL("/v1/cost", edge), { authorization: `Bearer ${token}` }, signal),
  );
}
