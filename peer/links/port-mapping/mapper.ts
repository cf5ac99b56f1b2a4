/**
 * What maps ports: the gateway between this machine and the internet, asked by one of three protocols. All it says is a stranger's word
 * that came over the local network: it is bounded, and whoever announces an address looks at it first.
 */
import type { Clock, Random } from "../../runtime.ts";
import type { Route, UdpHost } from "../../runtime-udp.ts";

export type MappingProtocol = "PCP" | "NAT-PMP" | "UPnP-IGD";

/** RFC 6887 §11.1. */
export const NONCE_BYTES = 12;

/** A port of this machine as the outside reaches it. */
export interface MappedPort {
  /** IPv4 address, dotted; perhaps a private one, where another NAT is in front of the gateway. */
  readonly host: string;
  readonly port: number;
  /** For so long, as the gateway says, from the answer on. */
  readonly lifetimeMs: number;
}

/** One gateway and one of its protocols. It remembers what it was asked for, one TCP port at a time. */
export interface PortMapper {
  readonly protocol: MappingProtocol;
  /** IPv4 address. */
  readonly gateway: string;
  /**
   * Maps a TCP port of this machine, or renews that, and keeps the outer port where it can.
   * @throws PeerloomError `link/failed` (refused, or nonsense), `link/timeout` (silent), the signal's reason
   */
  map(port: number, lifetimeMs: number, signal: AbortSignal): Promise<MappedPort>;
  /** Removes what was asked for, if anything was. @throws PeerloomError as `map` does */
  unmap(signal: AbortSignal): Promise<void>;
}

/** What asking a gateway takes. */
export interface MappingContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly udp: Pick<UdpHost, "open">;
  readonly route: Route;
  /** `NONCE_BYTES` by which a gateway knows whose mapping it is, the same after a restart. */
  readonly nonce: Uint8Array;
}
