/**
 * Peers that have feeds, in virtual time: the real service over streams that take their time, in a network that a test cuts and
 * mends. Sessions and overlay are left out; everything that happens follows from the seed.
 */
import { expect } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { seededRandom, type SimRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import { Feeds } from "../../../peer/services/feeds/feeds.ts";
import type { ServiceHost } from "../../../peer/services/host.ts";
import type { Session, Stream, StreamHandler } from "../../../peer/session/contract.ts";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";
import type { NetworkName, PeerId } from "../../../shared/ids.ts";
import { MemoryLogs } from "../../unit/feeds/memory-logs.ts";

const DELAY_MS_MAX = 40;

export class FeedPeer {
  readonly identity: Identity;
  readonly feeds: Feeds;
  readonly logs: MemoryLogs;
  /** Peers of different groups do not reach each other. */
  group = 0;
  handler: StreamHandler | undefined;
  readonly streams = new Set<{ readonly to: FeedPeer; readonly stream: Stream }>();

  constructor(world: FeedWorld, identity: Identity, name: string, logs = new MemoryLogs()) {
    this.identity = identity;
    this.logs = logs;
    const host: ServiceHost = {
      id: identity.id,
      network: "world" as NetworkName,
      runtime: { ...simRuntime({ seed: `${world.seed}/${name}`, clock: world.clock }), logs },
      addresses: () => [],
      connect: async (id) => world.connect(this, id),
      sessions: () => [],
      sign: (bytes) => identity.sign(bytes),
      isLinked: async () => true,
      handle: (_, handler) => {
        this.handler = handler;
        return () => {
          this.handler = undefined;
        };
      },
    };
    this.feeds = new Feeds(host, {
      provide: async () => () => {},
      providers: async () => world.reachable(this).map((peer) => peer.identity.id),
    });
  }
}

export class FeedWorld {
  readonly seed: number;
  readonly clock = new SimClock();
  readonly random: SimRandom;
  readonly peers: FeedPeer[] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
  }

  async identity(name: string): Promise<Identity> {
    return identityFromSeed(this.random.fork(`identity ${name}`).bytes(32));
  }

  add(identity: Identity, name: string, logs?: MemoryLogs): FeedPeer {
    const peer = new FeedPeer(this, identity, name, logs);
    this.peers.push(peer);
    return peer;
  }

  reachable(from: FeedPeer): readonly FeedPeer[] {
    return this.peers.filter((peer) => peer.group === from.group && peer.identity.id !== from.identity.id);
  }

  /** Puts each peer into a group, and breaks what goes across. */
  regroup(groupOf: (peer: FeedPeer, index: number) => number): void {
    for (const [index, peer] of this.peers.entries()) peer.group = groupOf(peer, index);
    for (const peer of this.peers) {
      for (const { to, stream } of peer.streams) if (to.group !== peer.group) stream.reset("session/lost");
    }
  }

  connect(from: FeedPeer, id: PeerId): Session {
    const to = this.reachable(from).find((peer) => peer.identity.id === id);
    if (to === undefined) throw new PeerloomError("connect/no-path", "Not reachable in this world.");
    return this.#session(from, to);
  }

  async close(): Promise<void> {
    const closing = Promise.all(this.peers.map((peer) => peer.feeds.close()));
    await this.clock.runUntil(closing, 60_000);
    await this.clock.advance(60_000);
    expect(this.clock.timersPending).toBe(0);
    this.clock.close();
  }

  #session(from: FeedPeer, to: FeedPeer): Session {
    return Object.assign(new EventTarget(), {
      peerId: to.identity.id,
      path: { kind: "direct", transport: "tcp", why: "direct", rttMs: 1, description: "" } as const,
      bytesReceived: { direct: 0, relay: 0, overlay: 0 },
      closed: false,
      open: async (protocol: string) => {
        const [near, far] = this.#streams(protocol);
        const nearEnd = { to, stream: near };
        const farEnd = { to: from, stream: far };
        from.streams.add(nearEnd);
        to.streams.add(farEnd);
        void near.closed.then(() => from.streams.delete(nearEnd));
        void far.closed.then(() => to.streams.delete(farEnd));
        if (to.handler === undefined) near.reset("stream/no-handler");
        else void to.handler(far, this.#session(to, from));
        return near;
      },
      close: async () => {},
    });
  }

  #streams(protocol: string): [Stream, Stream] {
    const [there, back] = [this.#pipe(), this.#pipe()];
    const { promise, resolve } = Promise.withResolvers<void>();
    const reset = (code: ErrorCode = "stream/reset"): void => {
      for (const pipe of [there, back]) pipe.fail(new PeerloomError(code, "The stream was reset."));
      resolve();
    };
    void Promise.all([there.ended, back.ended]).then(() => resolve());
    const common = { id: 1, protocol, reset, closed: promise, departed: () => Promise.resolve() };
    return [
      { ...common, readable: back.readable, writable: there.writable },
      { ...common, readable: there.readable, writable: back.writable },
    ];
  }

  /** One way: in order, each piece some time later. */
  #pipe() {
    let input!: ReadableStreamDefaultController<Uint8Array>;
    let output!: WritableStreamDefaultController;
    let isOver = false;
    let lastAtMs = 0;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const later = (act: () => void): void => {
      const atMs = Math.max(lastAtMs, this.clock.monotonicMs() + this.random.unit() * DELAY_MS_MAX);
      lastAtMs = atMs;
      this.clock.schedule(atMs - this.clock.monotonicMs(), () => {
        if (!isOver) act();
      });
    };
    const readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        input = controller;
      },
      cancel: () => {
        isOver = true;
        resolve();
      },
    });
    const writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        output = controller;
      },
      write: (chunk) => {
        const copy = chunk.slice();
        later(() => input.enqueue(copy));
      },
      close: () => {
        later(() => {
          isOver = true;
          input.close();
          resolve();
        });
      },
    });
    const fail = (error: PeerloomError): void => {
      if (isOver) return;
      isOver = true;
      input.error(error);
      output.error(error);
      resolve();
    };
    return { readable, writable, ended, fail };
  }
}
