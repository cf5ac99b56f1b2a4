/**
 * Whole peers, as applications open them, on a simulated internet: sessions, overlay and services are the very code that runs for real; clock,
 * randomness and network are simulated, so that a day passes in minutes and a seed repeats a run. There is no edge: the network is pure.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import { SimClock } from "../adapters/sim/clock.ts";
import { setGlobalTimers } from "../adapters/sim/global-timers.ts";
import { SimInternet, type SimMachine, type SimNat } from "../adapters/sim/internet.ts";
import { type SimRandom, seededRandom } from "../adapters/sim/random.ts";
import { simRuntime } from "../adapters/sim/runtime.ts";
import { SuspendableClock } from "../adapters/sim/suspendable-clock.ts";
import { simTcp } from "../adapters/sim/tcp.ts";
import { SimWebRtc } from "../adapters/sim/webrtc.ts";
import { memoryStorage } from "../adapters/memory-storage.ts";
import { storageLogs } from "../adapters/storage-logs.ts";
import { nodeAead } from "../adapters/node/aead.ts";
import { nodeHash } from "../adapters/node/hash.ts";
import { ALL_PARTS } from "../api/all-parts.ts";
import { Networks } from "../api/networks.ts";
import type { PeerOptions } from "../api/options.ts";
import { Peer } from "../api/peer.ts";
import { parseInvite } from "../identity/invites.ts";
import { loadOrCreateIdentity } from "../identity/identity-store.ts";
import type { Clock, KeyValueStorage } from "../runtime.ts";
import { LatencySpace, type Position } from "./latency.ts";

export interface SimulationOptions {
  /** Another one is another run; the same one is the same run, message by message. */
  readonly seed: number | string;
  /** Median round trip of two random peers, ms. @default 80 */
  readonly rttMsMedian?: number;
  /** Share of packets that every path loses; they are sent again and come late. @default 0 */
  readonly lossShare?: number;
  /** Simulated ms after which it is given up. @default 3_600_000 */
  readonly limitMs?: number;
  /**
   * `setTimeout`, `setInterval` and `Date` of this process go by simulated time while it runs, for applications that take no clock. One simulation at
   * a time. @default false
   */
  readonly globalTimers?: boolean;
}

export interface SimulatedPeerOptions extends Pick<
  PeerOptions,
  "network" | "secret" | "invite" | "overlay" | "forward" | "uploadLimit" | "downloadLimit"
> {
  /** Never through other peers. @default any way */
  readonly only?: "direct";
  /** @default "none", so that it takes links on an address that others know */
  readonly nat?: SimNat;
  /** Bytes a second that it sends at most, over all paths together. @default 12_500_000 */
  readonly uplinkBytesPerSecond?: number;
  /** Peers to begin with, which take links. @default up to three at random of those that run in its network */
  readonly bootstrap?: readonly Peer[];
}

/** A machine keeps its address, place and NAT when its peer is opened again. */
interface Machine {
  readonly machine: SimMachine;
  starts: number;
  isRunning: boolean;
}

/** What stays when a machine is off; it may be looked at before the machine is there. */
interface Disk {
  readonly storage: KeyValueStorage;
  readonly networks: Networks;
}

interface Running {
  readonly peer: Peer;
  readonly machine: SimMachine;
  readonly clock: SuspendableClock;
  /** Peers of one network, as far as their options tell. */
  readonly network: string;
  over(): void;
}

const BOOTSTRAPS_MAX = 3;
const PORT = 4_000;
const UPLINK_BYTES_PER_SECOND = 12_500_000;
const RTT_MS_MEDIAN = 80;
const LIMIT_MS = 3_600_000;
/** What does not answer by then is not waited for: as long as a dial takes. */
const LINKED_MS = 10_000;

export class SimulatedNetwork {
  /** For draws of the scenario's own. */
  readonly random: SimRandom;
  readonly #seed: number | string;
  readonly #time: SimClock;
  readonly #internet: SimInternet;
  readonly #webrtc: SimWebRtc;
  readonly #space: LatencySpace;
  readonly #machines = new Map<string, Machine>();
  /** By the machine's name. */
  readonly #disks = new Map<string, Disk>();
  readonly #places = new Map<SimMachine, Position>();
  readonly #running = new Map<Peer, Running>();

  constructor(clock: SimClock, options: SimulationOptions) {
    const { seed, rttMsMedian = RTT_MS_MEDIAN, lossShare = 0 } = options;
    this.#seed = seed;
    this.#time = clock;
    this.random = seededRandom(`${seed}/scenario`);
    const random = seededRandom(`${seed}/internet`);
    this.#space = new LatencySpace(random.fork("latency"), rttMsMedian);
    this.#internet = new SimInternet({
      clock,
      random,
      lossShare,
      oneWayMs: (from, to) => this.#space.rttMs(this.#placeOf(from), this.#placeOf(to)) / 2,
    });
    this.#webrtc = new SimWebRtc(this.#internet);
  }

  /** Simulated time. An application that is to be simulated takes its time from here and not from its host. */
  get clock(): Clock {
    return this.#time;
  }

  /** Simulated ms since the beginning. */
  get nowMs(): number {
    return this.#time.monotonicMs();
  }

  /** Lets simulated time go by. */
  sleep(ms: number): Promise<void> {
    return this.#time.sleep(ms);
  }

  /** Those that run, in the order in which they were opened. */
  get peers(): readonly Peer[] {
    return [...this.#running.keys()];
  }

  /**
   * Opens a peer on a machine of that name: a new one, or the one where it ran before, with what was stored there. Resolves when it is linked to
   * another one, if it has any to begin with and they answer.
   * @throws PeerloomError `usage/invalid` when it runs already, and what `Peer.open` throws
   */
  async open(name: string, options: SimulatedPeerOptions = {}): Promise<Peer> {
    const known = this.#machineOf(name, options);
    if (known.isRunning) throw new PeerloomError("usage/invalid", `"${name.slice(0, 100)}" runs already.`);
    known.isRunning = true;
    try {
      return await this.#start(name, known, options);
    } catch (error) {
      known.isRunning = false;
      throw error;
    }
  }

  async #start(name: string, known: Machine, options: SimulatedPeerOptions): Promise<Peer> {
    const { nat: _nat, uplinkBytesPerSecond: _uplink, bootstrap, ...asked } = options;
    const network = networkOf(asked);
    const { machine } = known;
    machine.isStill = false;
    known.starts += 1;
    const seed = `${this.#seed}/${name}/${known.starts}`;
    const clock = new SuspendableClock(this.#time);
    const random = seededRandom(`${seed}/webrtc`);
    const { storage } = this.#diskOf(name);
    const runtime = simRuntime({
      seed,
      clock,
      storage,
      logs: storageLogs(storage),
      // On the spot: WebCrypto's threads would be waited for thousands of times.
      aead: nodeAead,
      hash: nodeHash,
      tcp: simTcp(this.#internet, machine, clock),
      webrtc: this.#webrtc.host({ machine, clock, random }),
    });
    const first = (bootstrap ?? this.#drawBootstraps(network)).flatMap((each) => addressOf(each));
    const peer = await Peer.openOn(
      runtime,
      await loadOrCreateIdentity(runtime),
      {
        ...asked,
        edge: null,
        lan: false,
        bootstrap: first,
        ...(machine.nat === "none" ? { listen: `${machine.address}:${PORT}` } : {}),
      },
      ALL_PARTS,
    );
    const over = (): void => {
      known.isRunning = false;
      this.#running.delete(peer);
    };
    this.#running.set(peer, { peer, machine, clock, network, over });
    peer.addEventListener("close", over, { once: true });
    if (first.length > 0) await this.#linked(peer);
    return peer;
  }

  /** The private networks that the machine of that name owns or was invited to: makes networks and invites. */
  networks(name: string): Networks {
    return this.#diskOf(name).networks;
  }

  /** A machine loses its power: the peer does nothing more, and nobody is told. */
  crash(peer: Peer): void {
    const { machine, clock, over } = this.#require(peer);
    clock.suspend();
    machine.isStill = true;
    this.#internet.lose(machine);
    this.#webrtc.lose(machine);
    over();
  }

  /** A machine sleeps: its peer stands still, and nothing gets in or out. */
  suspend(peer: Peer): void {
    const { machine, clock } = this.#require(peer);
    clock.suspend();
    machine.isStill = true;
    this.#internet.changed();
  }

  /** It wakes: what was due meanwhile happens now, and what was on its way arrives. */
  resume(peer: Peer): void {
    const { machine, clock } = this.#require(peer);
    machine.isStill = false;
    this.#internet.changed();
    clock.resume();
  }

  /** Nothing passes between the groups any more; who is in none of them is in one with all the others, newcomers too. */
  split(...groups: readonly (readonly Peer[])[]): void {
    for (const { machine } of this.#machines.values()) machine.group = 0;
    for (const [i, group] of groups.entries())
      for (const peer of group) this.#require(peer).machine.group = i + 1;
    this.#internet.changed();
  }

  /** Everything passes again; what was on its way arrives. */
  heal(): void {
    this.split();
  }

  /** Round trip between two peers, ms, without jitter, loss and the time that sending takes. */
  rttMs(a: Peer, b: Peer): number {
    return this.#internet.rttMs(this.#require(a).machine, this.#require(b).machine);
  }

  /** All that a peer's machine has sent, bytes. */
  bytesSent(peer: Peer): number {
    return this.#require(peer).machine.uplink.bytesSent;
  }

  /** Closes all that runs. */
  async close(): Promise<void> {
    for (const { clock } of this.#running.values()) clock.resume();
    await Promise.all(this.peers.map((peer) => peer.close()));
  }

  #linked(peer: Peer): Promise<void> {
    if (peer.sessions().length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        peer.removeEventListener("session", done);
        resolve();
      };
      const timer = this.#time.setTimer(LINKED_MS, done);
      peer.addEventListener("session", done);
    });
  }

  /** @throws PeerloomError `usage/invalid` */
  #machineOf(name: string, { nat = "none", uplinkBytesPerSecond }: SimulatedPeerOptions): Machine {
    const known = this.#machines.get(name);
    if (known !== undefined) return known;
    const bytesPerSecond = uplinkBytesPerSecond ?? UPLINK_BYTES_PER_SECOND;
    if (!(bytesPerSecond > 0))
      throw new PeerloomError("usage/invalid", "uplinkBytesPerSecond must be a number above 0.");
    const made: Machine = {
      machine: this.#internet.add({ nat, bytesPerSecond }),
      starts: 0,
      isRunning: false,
    };
    this.#machines.set(name, made);
    this.#places.set(made.machine, this.#space.place());
    return made;
  }

  #diskOf(name: string): Disk {
    const known = this.#disks.get(name);
    if (known !== undefined) return known;
    const storage = memoryStorage();
    const random = seededRandom(`${this.#seed}/${name}/networks`);
    const made: Disk = { storage, networks: new Networks({ clock: this.#time, random }, storage) };
    this.#disks.set(name, made);
    return made;
  }

  #placeOf(machine: SimMachine): Position {
    const place = this.#places.get(machine);
    if (place === undefined) throw new PeerloomError("internal/assertion", "A machine without a place.");
    return place;
  }

  #drawBootstraps(network: string): Peer[] {
    const all = [...this.#running.values()].filter(
      (each) => each.network === network && each.peer.listenAddresses.length > 0,
    );
    const drawn: Peer[] = [];
    while (drawn.length < BOOTSTRAPS_MAX && all.length > 0)
      drawn.push(...all.splice(this.random.integer(0, all.length - 1), 1).map(({ peer }) => peer));
    return drawn;
  }

  /** @throws PeerloomError `usage/invalid` */
  #require(peer: Peer): Running {
    const running = this.#running.get(peer);
    if (running === undefined)
      throw new PeerloomError("usage/invalid", "That peer does not run in this simulation.");
    return running;
  }
}

/** Peers of one network have the same. @throws PeerloomError `network/invite-invalid` */
function networkOf({ network, secret, invite }: Pick<PeerOptions, "network" | "secret" | "invite">): string {
  const named = invite === undefined ? network : parseInvite(invite).network;
  return `${named ?? DEFAULT_NETWORK} ${secret ?? ""}`;
}

function addressOf(peer: Peer): string[] {
  const [address] = peer.listenAddresses;
  return address === undefined ? [] : [`${address}/${peer.id}`];
}

/**
 * Runs a scenario on a simulated network. Time goes on by itself while the scenario waits, as fast as the machine can; it stands still while
 * anything computes. Whatever runs in the end is closed. One process may run several beside each other; each has its own time, and
 * while any runs the answers of `crypto.subtle` come in the order of the calls.
 * @returns what the scenario returns
 * @throws PeerloomError `simulation/stuck` when the scenario waits for what cannot come, or longer than `limitMs`; what the scenario throws
 * @example
 * const heard = await simulate({ seed: 7 }, async (network) => {
 *   const [anna, ben] = [await network.open("anna"), await network.open("ben", { nat: "hard" })];
 *   const topic = ben.topic("news");
 *   await network.sleep(60_000);
 *   await anna.topic("news").publish("hello");
 *   for await (const { value } of topic) return value;
 * });
 */
export async function simulate<T>(
  options: SimulationOptions,
  scenario: (network: SimulatedNetwork) => Promise<T>,
): Promise<T> {
  const clock = new SimClock();
  try {
    const network = new SimulatedNetwork(clock, options);
    const setBack = options.globalTimers === true ? setGlobalTimers(clock) : () => {};
    try {
      return await clock.runUntil(scenario(network), options.limitMs ?? LIMIT_MS);
    } finally {
      await clock.runUntil(network.close()).finally(setBack);
    }
  } finally {
    clock.close();
  }
}
