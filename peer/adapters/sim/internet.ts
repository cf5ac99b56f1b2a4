/**
 * A simulated internet: machines at addresses of their own, behind a NAT or not, and the paths between them, which may be cut and come back.
 * What travels on a path is a link end's business (link-end.ts); sockets are made of paths by tcp.ts and webrtc.ts.
 */
import type { Random } from "../../runtime.ts";
import type { SimClock } from "./clock.ts";
import { type SimLinkPair, simLinkPair } from "./link.ts";
import type { SimLink } from "./link-end.ts";
import { SimUplink } from "./uplink.ts";

/**
 * What a machine is reached through. `none`: whoever knows its address. `easy`: whoever it has agreed with to meet, as through NATs that map
 * alike for all (RFC 4787). `hard`: the same, but for others behind a hard one, as where NATs are symmetric.
 */
export type SimNat = "none" | "easy" | "hard";

/** Jitter of a path, as a share of its latency. */
const JITTER_SHARE = 0.1;
/** Addresses drawn: of networks that are not private, reserved or multicast. */
const FIRST_OCTET_MIN = 11;
const FIRST_OCTET_MAX = 99;

export type SimTransport = "tcp" | "webrtc";

/** Takes what dials a port. */
export type SimAccept = (end: SimLink<SimTransport>, from: SimMachine) => void;

export interface SimMachineOptions {
  readonly nat: SimNat;
  /** What it sends by, all paths together; receiving is not limited. */
  readonly bytesPerSecond: number;
}

export class SimMachine {
  readonly address: string;
  readonly nat: SimNat;
  readonly uplink: SimUplink;
  /** Who listens. */
  readonly ports: Map<number, SimAccept> = new Map();
  /** Machines of other groups are not reached. */
  group = 0;
  /** Nothing gets in or out: it sleeps, or is gone. */
  isStill = false;

  constructor(address: string, clock: SimClock, { nat, bytesPerSecond }: SimMachineOptions) {
    this.address = address;
    this.nat = nat;
    this.uplink = new SimUplink(clock, bytesPerSecond);
  }
}

export interface SimInternetOptions {
  readonly clock: SimClock;
  readonly random: Random;
  /** Share of packets lost on every path. */
  readonly lossShare: number;
  /** From one machine to another, ms. */
  oneWayMs(from: SimMachine, to: SimMachine): number;
}

interface Path {
  readonly from: SimMachine;
  readonly to: SimMachine;
  readonly pair: SimLinkPair<SimTransport>;
}

export class SimInternet {
  readonly clock: SimClock;
  readonly #options: SimInternetOptions;
  readonly #machines = new Map<string, SimMachine>();
  #paths: Path[] = [];
  #pathsSwept = 0;

  constructor(options: SimInternetOptions) {
    this.clock = options.clock;
    this.#options = options;
  }

  add(options: SimMachineOptions): SimMachine {
    const { random } = this.#options;
    const octet = (min: number, max: number): number => min + Math.floor(random.unit() * (max - min + 1));
    let address: string;
    do
      address = [octet(FIRST_OCTET_MIN, FIRST_OCTET_MAX), octet(0, 255), octet(0, 255), octet(1, 254)].join(
        ".",
      );
    while (this.#machines.has(address));
    const machine = new SimMachine(address, this.clock, options);
    this.#machines.set(address, machine);
    return machine;
  }

  at(address: string): SimMachine | undefined {
    return this.#machines.get(address);
  }

  rttMs(from: SimMachine, to: SimMachine): number {
    return 2 * this.#options.oneWayMs(from, to);
  }

  /** Whether a packet gets through now. */
  reaches(from: SimMachine, to: SimMachine): boolean {
    return from.group === to.group && !from.isStill && !to.isStill;
  }

  /** A path between two that reach each other; what `bufferLowBytes` is, SimLinkOptions says. */
  connect(
    from: SimMachine,
    to: SimMachine,
    how: { readonly kind: SimTransport; readonly frameBytesMax: number; readonly bufferLowBytes?: number },
  ): SimLinkPair<SimTransport> {
    const { clock, random, lossShare, oneWayMs } = this.#options;
    const latencyMs = oneWayMs(from, to);
    const pair = simLinkPair<SimTransport>({
      clock,
      random,
      lossShare,
      latencyMs,
      jitterMs: JITTER_SHARE * latencyMs,
      uplinks: [from.uplink, to.uplink],
      ...how,
    });
    this.#sweep();
    this.#paths.push({ from, to, pair });
    return pair;
  }

  /** Machines have slept, woken or come into other groups: their paths stand still or go on. Nothing on the way is lost. */
  changed(): void {
    for (const { from, to, pair } of this.#paths) {
      if (this.reaches(from, to)) pair.resume();
      else pair.pause();
    }
  }

  /** A machine is gone without a word; whoever had a path to it meets silence. */
  lose(machine: SimMachine): void {
    machine.ports.clear();
    for (const { from, to, pair } of this.#paths) if (from === machine || to === machine) pair.cut("neither");
    this.#paths = this.#paths.filter(({ from, to }) => from !== machine && to !== machine);
  }

  /** Forgets the paths that are over, each time their number has doubled. */
  #sweep(): void {
    if (this.#paths.length < 2 * this.#pathsSwept) return;
    this.#paths = this.#paths.filter(({ pair }) => pair.isAlive);
    this.#pathsSwept = Math.max(this.#paths.length, 64);
  }
}
