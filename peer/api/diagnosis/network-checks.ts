/** Checks of this machine's way to the internet by UDP: whether STUN answers, over which address family, and how a NAT in between maps. */
import { isPublicAddress } from "../../links/candidates.ts";
import type { StunServer } from "../../links/stun.ts";
import { type Mapping, probeNat, type StunAnswers } from "../../overlay/nat-probe.ts";
import type { Runtime } from "../../runtime.ts";
import { type Check, check } from "./finding.ts";

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
