/**
 * Two peers, Alice and Bob, and the paths between them, in virtual time. A test makes links, breaks them and moves the
 * clock; sessions, handshakes and streams are the real ones. Everything that happens follows from the seed.
 */
import { expect } from "vitest";
import { simAead } from "../../../peer/adapters/sim/aead.ts";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { type SimLinkPair, simLinkPair, type SimPathOptions } from "../../../peer/adapters/sim/link.ts";
import { seededRandom, type SimRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { SuspendableClock } from "../../../peer/adapters/sim/suspendable-clock.ts";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import type { LinkKind } from "../../../peer/links/link.ts";
import type { HashProvider } from "../../../peer/runtime.ts";
import type { StreamHandler } from "../../../peer/session/contract.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { Sessions } from "../../../peer/session/sessions.ts";
import type { NetworkName } from "../../../shared/ids.ts";

export type PeerName = "alice" | "bob";

export interface WorldOptions {
  readonly seed: number;
  /** Sealing answers at once (Node), or up to so much later and out of order (browsers). @default 0 */
  readonly sealingMsMax?: number;
  /** Every key derivation of a handshake, of which it has several, takes up to so much, as on a busy machine. @default 0 */
  readonly derivingMsMax?: number;
  /** Bytes that each peer keeps for sessions without a path. @default 128 MiB */
  readonly heldBytesMax?: number;
}

/** What a test says of a path; the rest is the simulator's. */
export type Wire = Partial<Omit<SimPathOptions<LinkKind>, "clock" | "random">> & {
  /** @default "alice" */
  readonly dialler?: PeerName;
};

export interface LinkInWorld extends SimLinkPair<LinkKind> {
  /** The dialler's session, once the link is one of its paths. */
  readonly connected: Promise<PeerSession>;
}

/** No handshake, close or resumption takes longer in these worlds; past that something hangs. */
const LIMIT_MS = 120_000;

export class SimPeer {
  readonly name: PeerName;
  readonly identity: Identity;
  readonly sessions: Sessions;
  /** The world's, until it is stopped. */
  readonly clock: SuspendableClock;
  readonly handlers = new Map<string, StreamHandler>();
  /** What the register of sessions told, in order. */
  readonly told: string[] = [];
  /** Called when a session has lost its last path. */
  onPathless: () => void = () => {};

  constructor(
    name: PeerName,
    identity: Identity,
    world: World,
    { sealingMsMax = 0, derivingMsMax = 0, heldBytesMax }: Omit<WorldOptions, "seed">,
  ) {
    const { clock, random } = world;
    this.name = name;
    this.identity = identity;
    this.clock = new SuspendableClock(clock);
    const later =
      sealingMsMax === 0
        ? undefined
        : { clock, random: random.fork(`${name}/sealing`), delayMsMax: sealingMsMax };
    const simulated = simRuntime({
      seed: `${world.seed}/${name}`,
      clock,
      aead: simAead(later === undefined ? {} : { later }),
    });
    const runtime = { ...simulated, clock: this.clock };
    this.sessions = new Sessions({
      runtime:
        derivingMsMax === 0 ? runtime : { ...runtime, hash: slowHash(world, `${name}/hash`, derivingMsMax) },
      identity,
      network: "world" as NetworkName,
      ...(heldBytesMax === undefined ? {} : { heldBytesMax }),
      handler: (protocol) => this.handlers.get(protocol),
      onOverlay: () => {},
      onSignal: (_session, message) => this.told.push(`signal ${message.length}`),
      onSession: () => this.told.push("session"),
      onPathless: () => {
        this.told.push("pathless");
        this.onPathless();
      },
      onEnd: () => this.told.push("end"),
    });
  }
}

export class World {
  readonly seed: number;
  readonly clock = new SimClock();
  readonly random: SimRandom;
  readonly links: LinkInWorld[] = [];
  alice!: SimPeer;
  bob!: SimPeer;

  private constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
  }

  static async open({ seed, ...pace }: WorldOptions): Promise<World> {
    const world = new World(seed);
    const make = async (name: PeerName): Promise<SimPeer> =>
      new SimPeer(name, await identityFromSeed(world.random.fork(`${name}/identity`).bytes(32)), world, pace);
    world.alice = await make("alice");
    world.bob = await make("bob");
    return world;
  }

  /** Makes a path; its dialler greets or attaches over it, the other side accepts it. */
  link({ dialler = "alice", kind = "tcp", ...wire }: Wire = {}): LinkInWorld {
    const pair = simLinkPair<LinkKind>({
      clock: this.clock,
      random: this.random.fork(`link ${this.links.length}`),
      kind,
      ...wire,
    });
    const [from, to] = dialler === "alice" ? [this.alice, this.bob] : [this.bob, this.alice];
    to.sessions.accept(pair.second);
    const connected = from.sessions.connectOver(to.identity.id, pair.first, new AbortController().signal);
    connected.catch(() => {}); // Who cares waits for it.
    // Not spread: `isAlive` must stay live.
    const link = Object.defineProperty(pair, "connected", { value: connected }) as LinkInWorld;
    this.links.push(link);
    return link;
  }

  /** Makes a path and waits until both sides have a session over it. */
  async connect(wire: Wire = {}): Promise<{ link: LinkInWorld; alice: PeerSession; bob: PeerSession }> {
    const link = this.link(wire);
    await this.until(link.connected);
    await this.untilTrue(() => this.sessionOf("alice") !== undefined && this.sessionOf("bob") !== undefined);
    return { link, alice: this.sessionOf("alice")!, bob: this.sessionOf("bob")! };
  }

  sessionOf(name: PeerName): PeerSession | undefined {
    const [peer, other] = name === "alice" ? [this.alice, this.bob] : [this.bob, this.alice];
    return peer.sessions.get(other.identity.id);
  }

  until<T>(promise: Promise<T>, limitMs: number = LIMIT_MS): Promise<T> {
    return this.clock.runUntil(promise, limitMs);
  }

  async untilTrue(condition: () => boolean, limitMs: number = LIMIT_MS): Promise<void> {
    for (let waitedMs = 0; !condition(); waitedMs += 10) {
      expect(waitedMs, `${String(condition)} within ${limitMs} ms of virtual time`).toBeLessThan(limitMs);
      await this.clock.advance(10);
    }
  }

  /** Ends everything. @returns the timers that the peers have left behind once all links are gone */
  async close(): Promise<number> {
    const closing = Promise.all([this.alice.sessions.close(), this.bob.sessions.close()]);
    await this.until(closing);
    await this.clock.settle();
    const left = this.clock.timersPending;
    this.clock.close();
    return left;
  }
}

function slowHash({ clock, random }: World, name: string, delayMsMax: number): HashProvider {
  const delays = random.fork(name);
  return {
    ...webCryptoHash,
    async hkdf(...call) {
      await clock.sleep(delays.integer(0, delayMsMax));
      return webCryptoHash.hkdf(...call);
    },
  };
}

/** Runs a test in a world of its own. */
export async function inWorld(options: WorldOptions, body: (world: World) => Promise<void>): Promise<void> {
  const world = await World.open(options);
  try {
    await body(world);
  } finally {
    world.clock.close();
  }
}
