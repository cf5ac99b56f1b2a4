/** Bare datagrams, and the way that IPv4 takes: what a peer asks of its host (runtime.ts) to look at its network. Types only. */

export type AddressFamily = "IPv4" | "IPv6";

/** Bare datagrams, for looking at the network; nothing of a peer travels by them. */
export interface UdpHost {
  /** @throws PeerloomError `link/unavailable` where the machine has no such family */
  open(family: AddressFamily): Promise<UdpSocket>;
  /** IP addresses of this machine's interfaces, loopback and link-local ones left out. */
  addresses(): readonly string[];
  /** Undefined where there is none, or the host does not tell. Takes some seconds at most. */
  route(): Promise<Route | undefined>;
}

/** IPv4's way to the internet: the default gateway, and this machine's own address in its network. */
export interface Route {
  readonly gateway: string;
  readonly local: string;
}

export interface UdpEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface UdpSocket {
  /** The host may be a name. Resolves when the system has it. @throws PeerloomError `link/failed` */
  send(bytes: Uint8Array, to: UdpEndpoint): Promise<void>;
  /** Memory is valid during the call only. */
  onMessage: (bytes: Uint8Array, from: UdpEndpoint) => void;
  close(): void;
}
