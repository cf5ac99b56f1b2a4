/**
 * Checks of this machine's way to the internet: whether STUN answers, over which address family, how a NAT in between maps, and whether the gateway
 * maps ports.
 */
import { toPeerloomError } from "../../../shared/errors.ts";
import { isPublicAddress } from "../../links/candidates.ts";
import { findMappers } from "../../links/port-mapping/find-mappers.ts";
import { NONCE_BYTES } from "../../links/port-mapping/mapper.ts";
import type { StunServer } from "../../links/stun.ts";
import { withDeadline } from "../../overlay/abort.ts";
import { type Mapping, probeNat, type StunAnswers } from "../../overlay/nat-probe.ts";
import type { Runtime } from "../../runtime.ts";
import { reasonOf } from "./edge-checks.ts";
import { type Check, check } from "./finding.ts";

/** A gateway is one hop away; UPnP's may take a second before it answers (UPnP Device Architecture 1.1 §1.3.2, MX). */
const GATEWAY_TIMEOUT_MS = 2_000;

export interface NetworkFacts {
  /** Undefined: it could not be found out. */
  readonly udp: boolean | undefined;
  readonly mapping: Mapping;
  readonly checks: readonly Check[];
}

export async function checkNetwork(
  runtime: Runtime,
  servers: readonly StunServer[],
  signal: AbortSignal,
): Promise<NetworkFacts> {
  const { udp } = runtime;
  if (udp === undefined) return unknown("this runtime has no UDP sockets");
  if (servers.length === 0) return unknown("no STUN server is known: give --stun HOST:PORT");
  const { ipv4, ipv6, mapping } = await probeNat(runtime, udp, servers);
  signal.throwIfAborted();
  const mapped = [...ipv4.mapped, ...ipv6.mapped];
  const seen = [...new Set(mapped.map(({ address, port }) => `${address} port ${port}`))].join(", ");
  const why = [...new Set([...ipv4.failures, ...ipv6.failures])].join("; ");
  const answers = mapped.length > 0;
  return {
    udp: answers,
    mapping,
    checks: [
      check("udp", answers, answers ? `STUN sees ${seen}` : `no STUN server answers: ${why}`),
      ipv6Check(ipv6, udp.addresses()),
      natCheck(mapping),
    ],
  };
}

/** Whether the gateway maps ports, and by what; nothing is mapped for it. Never rejects, and takes two seconds at most. */
export async function checkGateway(runtime: Runtime, signal: AbortSignal): Promise<Check> {
  const name = "port mapping";
  if (runtime.udp === undefined) return check(name, null, "this runtime has no UDP sockets");
  try {
    return await withDeadline(runtime.clock, GATEWAY_TIMEOUT_MS, signal, async (within) => {
      const anybody = { listenHost: "0.0.0.0", nonce: runtime.random.bytes(NONCE_BYTES) };
      for await (const { gateway, protocol } of findMappers(runtime, anybody, within))
        return check(
          name,
          true,
          `the gateway ${gateway} speaks ${protocol}: --map-ports with --listen asks it`,
        );
      return check(name, false, "no gateway is known to this machine");
    });
  } catch (error) {
    const { code } = toPeerloomError(error, "link/failed", "");
    const silent = "the gateway speaks neither PCP, NAT-PMP nor UPnP-IGD with this machine";
    return check(name, false, code === "link/timeout" ? silent : reasonOf(error));
  }
}

/** Two peers that cannot dial each other need it. */
export function checkWebRtc(runtime: Runtime): Check {
  return runtime.webrtc === undefined
    ? check("webrtc", false, "not there: npm install node-datachannel (Deno needs --allow-ffi)")
    : check("webrtc", true, "there");
}

function ipv6Check({ mapped }: StunAnswers, own: readonly string[]): Check {
  const [first] = mapped;
  if (first !== undefined) return check("ipv6", true, `STUN sees ${first.address}`);
  const addresses = own.filter((address) => address.includes(":") && isPublicAddress(address));
  if (addresses.length === 0) return check("ipv6", false, "this machine has no public IPv6 address");
  return check(
    "ipv6",
    null,
    `this machine has ${addresses.join(", ")}, but no STUN server answered over IPv6`,
  );
}

function natCheck(mapping: Mapping): Check {
  switch (mapping) {
    case "none":
      return check("nat", true, "none: the internet sees this machine's own address");
    case "endpoint-independent":
      return check("nat", true, "one mapping for all destinations: UDP can be punched through");
    case "symmetric":
      return check(
        "nat",
        false,
        "another mapping for each destination (symmetric): UDP gets through to few others",
      );
    case "unknown":
      return check("nat", null, "unknown: two STUN servers must answer to compare");
  }
}

function unknown(why: string): NetworkFacts {
  const checks = ["udp", "ipv6", "nat"].map((name) => check(name, null, why));
  return { udp: undefined, mapping: "unknown", checks };
}
