/** Checks of this machine's way to the internet that need datagram sockets: one asks STUN servers, another the gateway. */
import { toPeerloomError } from "../../../shared/errors.ts";
import { isPublicAddress } from "../../links/candidates.ts";
import { findMappers } from "../../links/port-mapping/find-mappers.ts";
import { NONCE_BYTES } from "../../links/port-mapping/mapper.ts";
import type { StunServer } from "../../links/stun.ts";
import { withDeadline } from "../../overlay/abort.ts";
import { probeNat, type StunAnswers } from "../../overlay/nat-probe.ts";
import type { Runtime } from "../../runtime.ts";
import type { UdpHost } from "../../runtime-udp.ts";
import { type Check, check, reasonOf } from "./finding.ts";
import { GATEWAY_CHECK, natCheck, type NetworkFacts, udpCheck, unknownNetwork } from "./network-checks.ts";

/** A gateway is one hop away; UPnP's may take a second before it answers (UPnP Device Architecture 1.1 §1.3.2, MX). */
const GATEWAY_TIMEOUT_MS = 2_000;

/** @throws PeerloomError `aborted` */
export async function checkByDatagrams(
  runtime: Runtime,
  udp: UdpHost,
  servers: readonly StunServer[],
  signal: AbortSignal,
): Promise<NetworkFacts> {
  if (servers.length === 0) return unknownNetwork("no STUN server is known: give --stun HOST:PORT");
  const { ipv4, ipv6, mapping } = await probeNat(runtime, udp, servers);
  signal.throwIfAborted();
  const mapped = [...ipv4.mapped, ...ipv6.mapped];
  return {
    udp: mapped.length > 0,
    mapping,
    checks: [
      udpCheck(mapped, [...ipv4.failures, ...ipv6.failures]),
      ipv6Check(ipv6, udp.addresses()),
      natCheck(mapping),
    ],
  };
}

/** Whether the gateway maps ports, and by what; nothing is mapped for it. Never rejects, and takes two seconds at most. */
export async function checkGateway(runtime: Runtime, signal: AbortSignal): Promise<Check> {
  try {
    return await withDeadline(runtime.clock, GATEWAY_TIMEOUT_MS, signal, async (within) => {
      const anybody = { listenHost: "0.0.0.0", nonce: runtime.random.bytes(NONCE_BYTES) };
      for await (const { gateway, protocol } of findMappers(runtime, anybody, within))
        return check(
          GATEWAY_CHECK,
          true,
          `the gateway ${gateway} speaks ${protocol}: --map-ports with --listen asks it`,
        );
      return check(GATEWAY_CHECK, false, "no gateway is known to this machine");
    });
  } catch (error) {
    const { code } = toPeerloomError(error, "link/failed", "");
    const silent = "the gateway speaks neither PCP, NAT-PMP nor UPnP-IGD with this machine";
    return check(GATEWAY_CHECK, false, code === "link/timeout" ? silent : reasonOf(error));
  }
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
