/**
 * Peers that share files and nothing else, in simulated time: the whole file service of each, and between them streams without loss or delay.
 * Twenty of them run in a second or two, where whole peers would take a minute.
 */
import { SimClock } from "../../peer/adapters/sim/clock.ts";
import { seededRandom } from "../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../peer/adapters/sim/runtime.ts";
import { DISK } from "../../peer/services/files/disk-saving.ts";
import type { ProviderRecords } from "../../peer/services/files/discovery.ts";
import { Files } from "../../peer/services/files/files.ts";
import type { TransferLimits } from "../../peer/services/files/limits.ts";
import type { ServiceHost } from "../../peer/services/host.ts";
import type { Session, Stream, StreamHandler } from "../../peer/session/contract.ts";
import { bufferSource } from "../../shared/bytes.ts";
import { type ErrorCode, PeerloomError } from "../../shared/errors.ts";
import { DEFAULT_NETWORK, type PeerId, peerIdFromKey } from "../../shared/ids.ts";

const BUFFERED_BYTES = 262_144;
/** Who is away is given up after this time. */
const DIAL_MS = 1_000;

class Pipe {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #fail: (error: PeerloomError) => void;

  constructor() {
    const strategy = new ByteLengthQueuingStrategy({ highWaterMark: BUFFERED_BYTES });
    let controller!: TransformStreamDefaultController<Uint8Array>;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(
      {
        start: (own) => {
          controller = own;
        },
        // Who writes may use its memory again.
        transform: (bytes) => controller.enqueue(bytes.slice()),
      },
      strategy,
      strategy,
    );
    this.readable = readable;
    this.writable = writable;
    this.#fail = (error) => controller.error(error);
  }

  end(code: ErrorCode): void {
    this.#fail(new PeerloomError(code, "The stream was reset."));
  }
}

/** One stream as both its ends see it. */
function streamPair(protocol: string): readonly [Stream, Stream] {
  const pipes = [new Pipe(), new Pipe()] as const;
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const reset = (code: ErrorCode = "stream/reset"): void => {
    for (const pipe of pipes) pipe.end(code);
    resolve();
  };
  const end = (from: Pipe, to: Pipe): Stream => ({
    id: 0,
    protocol,
    readable: from.readable,
    writable: to.writable,
    departed: () => Promise.resolve(),
    reset,
    closed,
  });
  return [end(pipes[0], pipes[1]), end(pipes[1], pipes[0])];
}

class WorldSession extends EventTarget implements Session {
  readonly peerId: PeerId;
  readonly path = { kind: "direct", transport: "tcp", why: "direct", rttMs: 1, description: "" } as const;
  readonly bytesReceived = { direct: 0, relay: 0, overlay: 0 };
  readonly closed = false;
  readonly #open: (protocol: string) => Stream;

  constructor(peerId: PeerId, open: (protocol: string) => Stream) {
    super();
    this.peerId = peerId;
    this.#open = open;
  }

  async open(protocol: string): Promise<Stream> {
    return this.#open(protocol);
  }

  async close(): Promise<void> {}
}

export class WorldPeer {
  readonly id: PeerId;
  readonly files: Files;
  isAway = false;
  readonly #world: FilesWorld;
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #streams = new Set<Stream>();

  constructor(world: FilesWorld, number: number, limits: TransferLimits) {
    const key = new Uint8Array(32);
    new DataView(key.buffer).setUint32(0, number + 1);
    this.id = peerIdFromKey(key);
    this.#world = world;
    const host: ServiceHost = {
      id: this.id,
      network: DEFAULT_NETWORK,
      runtime: simRuntime({ seed: `${world.seed}/${number}`, clock: world.clock }),
      addresses: () => [],
      connect: (id) => this.connect(id),
      sessions: () => [],
      sign: () => Promise.resolve(new Uint8Array(64)),
      isLinked: () => Promise.resolve(true),
      handle: (protocol, handler) => {
        this.#handlers.set(protocol, handler);
        return () => this.#handlers.delete(protocol);
      },
    };
    this.files = new Files(host, { edge: undefined, records: world.records(this.id), limits, disk: DISK });
  }

  async connect(id: PeerId): Promise<Session> {
    const other = this.#world.peer(id);
    if (this.isAway || other.isAway) {
      await this.#world.clock.sleep(DIAL_MS);
      throw new PeerloomError("connect/no-path", "It is away.");
    }
    return new WorldSession(id, (protocol) => {
      const [own, theirs] = streamPair(protocol);
      this.#keep(own);
      other.#keep(theirs);
      const session = new WorldSession(this.id, () => {
        throw new Error("Nobody asks back.");
      });
      void other.#handlers.get(protocol)?.(theirs, session);
      return own;
    });
  }

  /** Its streams are cut, and nobody reaches it until it is back. */
  away(): void {
    this.isAway = true;
    for (const stream of this.#streams) stream.reset("session/closed");
  }

  back(): void {
    this.isAway = false;
  }

  #keep(stream: Stream): void {
    this.#streams.add(stream);
    void stream.closed.then(() => this.#streams.delete(stream));
  }
}

export class FilesWorld {
  readonly clock: SimClock = new SimClock();
  readonly seed: number;
  readonly #peers = new Map<PeerId, WorldPeer>();
  readonly #providers = new Map<string, Set<PeerId>>();

  constructor(seed: number) {
    this.seed = seed;
  }

  open(limits: TransferLimits = {}): WorldPeer {
    const peer = new WorldPeer(this, this.#peers.size, limits);
    this.#peers.set(peer.id, peer);
    return peer;
  }

  peer(id: PeerId): WorldPeer {
    const peer = this.#peers.get(id);
    if (peer === undefined) throw new Error("There is no such peer.");
    return peer;
  }

  /** Bytes that no chunk has twice. */
  content(bytes: number): Blob {
    return new Blob([bufferSource(seededRandom(`${this.seed}/content`).bytes(bytes))]);
  }

  records(id: PeerId): ProviderRecords {
    return {
      provide: async (key) => {
        const providers = this.#providers.get(key) ?? new Set();
        this.#providers.set(key, providers.add(id));
        return () => providers.delete(id);
      },
      providers: async (key) => [...(this.#providers.get(key) ?? [])],
    };
  }
}

/** Runs a scenario whose waits are the clock's, and gives the host back afterwards. */
export async function withFiles(seed: number, act: (world: FilesWorld) => Promise<void>): Promise<void> {
  const world = new FilesWorld(seed);
  try {
    await act(world);
  } finally {
    world.clock.close();
  }
}
