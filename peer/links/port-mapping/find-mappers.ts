/**
 * Which protocols the default gateway speaks, the best first: PCP and NAT-PMP are asked for in one breath, for old gateways are silent to
 * what they do not know; UPnP, which takes a search, two documents and XML, after them.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Runtime } from "../../runtime.ts";
import { askGateway } from "./ask-gateway.ts";
import type { MappingContext, MappingProtocol, PortMapper } from "./mapper.ts";
import { decodeExternalAddress, EXTERNAL_ADDRESS_REQUEST, NatPmpMapper } from "./nat-pmp.ts";
import { encodeAnnounce, GATEWAY_PORT, isAnnounced, PcpMapper } from "./pcp.ts";
import { findIgd } from "./upnp.ts";

/** A listener on one of these is reached through every address of the machine. */
const EVERYWHERE: readonly string[] = ["0.0.0.0", "::"];

/**
 * None where there is no gateway. Nothing is mapped by looking; the next one is looked for when it is asked for, about 4 s for each of the two
 * steps where nobody answers.
 * @param listenHost where the gateway has to send to
 * @throws PeerloomError `link/unavailable` (it cannot send there, or there is no UDP), `link/failed`, the signal's reason
 */
export async function* findMappers(
  { clock, random, udp }: Pick<Runtime, "clock" | "random" | "udp">,
  listenHost: string,
  signal: AbortSignal,
): AsyncGenerator<PortMapper, void> {
  const route = await udp?.route();
  if (udp === undefined || route === undefined) return;
  if (!EVERYWHERE.includes(listenHost) && listenHost !== route.local) {
    const where = `The gateway ${route.gateway} sends to ${route.local}, and this peer listens on ${listenHost} alone`;
    throw new PeerloomError("link/unavailable", `${where}: listen on 0.0.0.0.`);
  }
  const context: MappingContext = { clock, random, udp, route };
  const spoken = await probe(context, signal);
  if (spoken !== undefined) yield spoken === "PCP" ? new PcpMapper(context) : new NatPmpMapper(context);
  const igd = await findIgd(context, signal);
  if (igd !== undefined) yield igd;
}

async function probe(
  context: MappingContext,
  signal: AbortSignal,
): Promise<Exclude<MappingProtocol, "UPnP-IGD"> | undefined> {
  const { gateway: host, local } = context.route;
  const question = {
    sends: [encodeAnnounce(local), EXTERNAL_ADDRESS_REQUEST].map((bytes) => ({ bytes, host })),
    port: GATEWAY_PORT,
    read: (answer: Uint8Array) => {
      if (isAnnounced(answer)) return "PCP" as const;
      return decodeExternalAddress(answer)?.result === 0 ? ("NAT-PMP" as const) : undefined;
    },
  };
  return askGateway(context, question, signal);
}
