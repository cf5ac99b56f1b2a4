/**
 * What is told of this machine's way to the internet, however it was learnt: whether STUN answers, over which address family, and how a NAT in between
 * maps. Datagram sockets tell it (datagram-checks.ts), and where there are none, ICE (ice-checks.ts).
 */
import type { Mapping } from "../../overlay/nat-probe.ts";
import type { Runtime } from "../../runtime.ts";
import { type Check, check } from "./finding.ts";

export interface NetworkFacts {
  /** Undefined: it could not be found out. */
  readonly udp: boolean | undefined;
  readonly mapping: Mapping;
  readonly checks: readonly Check[];
}

/** The check that asks the gateway. */
export const GATEWAY_CHECK = "port mapping";

/** Where nothing could be asked. */
export function unknownNetwork(why: string): NetworkFacts {
  const checks = ["udp", "ipv6", "nat"].map((name) => check(name, null, why));
  return { udp: undefined, mapping: "unknown", checks };
}

/** Two peers that cannot dial each other need it. */
export function checkWebRtc({ webrtc, tcp }: Pick<Runtime, "webrtc" | "tcp">): Check {
  if (webrtc !== undefined) return check("webrtc", true, "there");
  const missing =
    tcp === undefined
      ? "not there: this browser has it switched off, or this is no page but a worker"
      : "not there: npm install node-datachannel (Deno needs --allow-ffi)";
  return check("webrtc", false, missing);
}

/**
 * @param mapped where servers see this machine
 * @param failures why there is nothing of the others
 */
export function udpCheck(
  mapped: readonly { readonly address: string; readonly port: number }[],
  failures: readonly string[],
): Check {
  if (mapped.length === 0)
    return check("udp", false, `no STUN server answers: ${[...new Set(failures)].join("; ")}`);
  const seen = new Set(mapped.map(({ address, port }) => `${address} port ${port}`));
  return check("udp", true, `STUN sees ${[...seen].join(", ")}`);
}

/** @param why it is unknown, if it is */
export function natCheck(mapping: Mapping, why = "two STUN servers must answer to compare"): Check {
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
      return check("nat", null, `unknown: ${why}`);
  }
}
