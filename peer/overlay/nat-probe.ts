/**
 * How the internet sees a socket of this machine, and how a NAT in between maps (RFC 4787 §4.1): one socket asks several STUN servers,
 * and compares what they saw. ICE agents tell too little: libjuice asks one server only.
 */
import { toPeerloomError } from "../../shared/errors.ts";
import { askStun, type MappedAddress, parseStunUrl, type StunServer } from "../links/stun.ts";
import type { IceServer, Runtime } from "../runtime.ts";
import type { AddressFamily, UdpHost, UdpSocket } from "../runtime-udp.ts";

/** Servers asked of each family, one after the other. */
const SERVERS_MAX = 4;
/** Two are enough to compare. */
const ANSWERS_WANTED = 2;
/** What was found is believed for this long; networks change. */
const KEEP_MS = 60_000;

/** `unknown`: fewer than two servers answered, and the one that did saw somebody else's address. */
export type Mapping = "none" | "endpoint-independent" | "symmetric" | "unknown";

/** What the servers of one family said. */
export interface StunAnswers {
  readonly mapped: readonly MappedAddress[];
  /** Why a server gave none. */
  readonly failures: readonly string[];
}

export interface NatFacts {
  readonly ipv4: StunAnswers;
  readonly ipv6: StunAnswers;
  /** Of IPv4 where it is there, else of IPv6. */
  readonly mapping: Mapping;
}

/** The STUN servers that a list of ICE servers names. */
export function stunServersOf(servers: readonly IceServer[]): StunServer[] {
  return servers.flatMap(({ urls }) => urls.flatMap((url) => parseStunUrl(url) ?? []));
}

/** Takes some milliseconds where servers answer, and at most a few seconds for each that does not. */
export async function probeNat(
  runtime: Runtime,
  host: UdpHost,
  servers: readonly StunServer[],
): Promise<NatFacts> {
  const [ipv4, ipv6] = await Promise.all([
    askAll(runtime, host, "IPv4", servers),
    askAll(runtime, host, "IPv6", servers),
  ]);
  const { mapped } = ipv4.mapped.length > 0 ? ipv4 : ipv6;
  return { ipv4, ipv6, mapping: mappingOf(mapped, host.addresses()) };
}

/** RFC 5780 §4.3: one socket, several servers, the same mapping or not. */
export function mappingOf(mapped: readonly MappedAddress[], own: readonly string[]): Mapping {
  const [first] = mapped;
  if (first === undefined) return "unknown";
  if (own.includes(first.address)) return "none";
  if (mapped.length < ANSWERS_WANTED) return "unknown";
  return mapped.every(({ address, port }) => address === first.address && port === first.port)
    ? "endpoint-independent"
    : "symmetric";
}

/** Remembers the answer for those who ask when a path has failed. */
export class NatProbe {
  readonly #runtime: Runtime;
  readonly #servers: () => Promise<readonly IceServer[]>;
  #known: { readonly mapping: Promise<Mapping>; readonly untilMs: number } | undefined;

  constructor(runtime: Runtime, servers: () => Promise<readonly IceServer[]>) {
    this.#runtime = runtime;
    this.#servers = servers;
  }

  /** Never rejects. */
  mapping(): Promise<Mapping> {
    const nowMs = this.#runtime.clock.monotonicMs();
    if (this.#known === undefined || this.#known.untilMs < nowMs)
      this.#known = { mapping: this.#probe(), untilMs: nowMs + KEEP_MS };
    return this.#known.mapping;
  }

  async #probe(): Promise<Mapping> {
    const { udp, log } = this.#runtime;
    if (udp === undefined) return "unknown";
    try {
      const servers = stunServersOf(await this.#servers());
      // One server alone shows nothing.
      if (servers.length < ANSWERS_WANTED) return "unknown";
      return (await probeNat(this.#runtime, udp, servers)).mapping;
    } catch (error) {
      log.debug("nat not probed", { error: String(error) });
      return "unknown";
    }
  }
}

async function askAll(
  runtime: Runtime,
  host: UdpHost,
  family: AddressFamily,
  servers: readonly StunServer[],
): Promise<StunAnswers> {
  const [mapped, failures]: [MappedAddress[], string[]] = [[], []];
  let socket: UdpSocket | undefined;
  try {
    socket = await host.open(family);
    for (const server of servers.filter((each) => mayBe(each, family)).slice(0, SERVERS_MAX)) {
      const failure = await askOne(runtime, socket, server, mapped);
      if (failure !== undefined) failures.push(failure);
      if (mapped.length === ANSWERS_WANTED) break;
    }
  } catch (error) {
    failures.push(toPeerloomError(error, "link/unavailable", String(error)).message);
  } finally {
    socket?.close();
  }
  return { mapped, failures };
}

async function askOne(
  runtime: Runtime,
  socket: UdpSocket,
  server: StunServer,
  mapped: MappedAddress[],
): Promise<string | undefined> {
  try {
    const answer = await askStun(socket, server, runtime);
    if (answer === undefined) return `${server.host} is silent`;
    mapped.push(answer.mapped);
    return undefined;
  } catch (error) {
    return toPeerloomError(error, "link/failed", String(error)).message;
  }
}

/** Names may be of either family; their resolution tells. */
function mayBe({ host }: StunServer, family: AddressFamily): boolean {
  const isName = !/^[\d.]+$/.test(host) && !host.includes(":");
  return isName || host.includes(":") === (family === "IPv6");
}
