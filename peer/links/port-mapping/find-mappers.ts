/**
 * Which protocols the default gateway speaks. All are asked for at once, since gateways are silent to what they do not know; PCP and NAT-PMP
 * answer with one datagram, so where they are spoken they come before UPnP's search and documents.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Runtime } from "../../runtime.ts";
import { askGateway, type Question } from "./ask-gateway.ts";
import type { MappingContext, PortMapper } from "./mapper.ts";
import { decodeExternalAddress, EXTERNAL_ADDRESS_REQUEST, NatPmpMapper } from "./nat-pmp.ts";
import { encodeAnnounce, GATEWAY_PORT, isAnnounced, PcpMapper } from "./pcp.ts";
import { findIgd } from "./upnp.ts";

/** A listener on one of these is reached through every address of the machine. */
const EVERYWHERE: readonly string[] = ["0.0.0.0", "::"];

/**
 * As they are found; none where there is no gateway. Nothing is mapped by looking, which takes about 4 s where nobody answers.
 * @param listenHost where the gateway has to send to
 * @throws PeerloomError `link/unavailable` (it cannot send there, or there is no UDP), `link/failed`, the signal's reason
 */
export async function* findMappers(
  { clock, random, udp }: Pick<Runtime, "clock" | "random" | "udp">,
  { listenHost, nonce }: { readonly listenHost: string } & Pick<MappingContext, "nonce">,
  signal: AbortSignal,
): AsyncGenerator<PortMapper, void> {
  const route = await udp?.route();
  if (udp === undefined || route === undefined) return;
  if (!EVERYWHERE.includes(listenHost) && listenHost !== route.local) {
    const where = `The gateway ${route.gateway} sends to ${route.local}, and this peer listens on ${listenHost} alone`;
    throw new PeerloomError("link/unavailable", `${where}: listen on 0.0.0.0.`);
  }
  const context: MappingContext = { clock, random, udp, route, nonce };
  const over = new AbortController();
  const within = AbortSignal.any([signal, over.signal]);
  try {
    const looks = [probe(context, within), findIgd(context, within)];
    for await (const mapper of asTheyCome(looks)) if (mapper !== undefined) yield mapper;
  } finally {
    over.abort(new PeerloomError("aborted", "A gateway was found."));
  }
}

/** The values in the order in which they are there. @throws at the end, what the first to fail did */
async function* asTheyCome<T>(promises: readonly Promise<T>[]): AsyncGenerator<T, void> {
  const failures: unknown[] = [];
  const waiting = new Map(
    promises.map((promise, i) => {
      const settled = promise.then(
        (value) => ({ i, values: [value] }),
        (error: unknown) => {
          failures.push(error);
          return { i, values: [] };
        },
      );
      return [i, settled] as const;
    }),
  );
  while (waiting.size > 0) {
    const { i, values } = await Promise.race(waiting.values());
    waiting.delete(i);
    yield* values;
  }
  if (failures.length > 0) throw failures[0];
}

async function probe(context: MappingContext, signal: AbortSignal): Promise<PortMapper | undefined> {
  const { gateway: host, local } = context.route;
  const question: Question<PortMapper> = {
    sends: [encodeAnnounce(local), EXTERNAL_ADDRESS_REQUEST].map((bytes) => ({ bytes, host })),
    port: GATEWAY_PORT,
    read: (answer: Uint8Array) => {
      if (isAnnounced(answer)) return new PcpMapper(context);
      return decodeExternalAddress(answer)?.result === 0 ? new NatPmpMapper(context) : undefined;
    },
  };
  return askGateway(context, question, signal);
}
