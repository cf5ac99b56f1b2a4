/** A command line without a process: streams that keep what they get, a peer without a network, signals by hand. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { COMMANDS } from "../../../peer/cli/commands.ts";
import { networks } from "../../../peer/node.ts";
import type { CliHost } from "../../../peer/cli/command.ts";
import type { TextSink } from "../../../peer/cli/output.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK } from "../../../shared/ids.ts";
import { formatTicket } from "../../../peer/services/files/ticket.ts";
import type {
  CliComputation,
  CliPeer,
  CliTopic,
  Download,
  PeerOpenOptions,
} from "../../../peer/cli/peer-contract.ts";
import type { TaskResult } from "../../../peer/services/compute/computation.ts";
import type { TaskInputs } from "../../../peer/services/compute/input-reader.ts";
import type { MapOptions } from "../../../peer/services/compute/compute.ts";
import type { WorkOptions } from "../../../peer/services/compute/work-offer.ts";
import type { SearchHit } from "../../../peer/services/search/search.ts";
import type { TopicMessage, TopicOptions, TopicValue } from "../../../peer/services/topics/topic-options.ts";
import { run } from "../../../peer/cli/run.ts";
import type { PathInfo, Session, Stream } from "../../../peer/session/contract.ts";
import { requirePeerId } from "../../../shared/ids.ts";

export const ID_A = requirePeerId(`${"a".repeat(51)}q`);
export const ID_B = requirePeerId(`${"b".repeat(51)}a`);

export class TextKeeper implements TextSink {
  text = "";
  readonly isTTY: boolean;
  readonly columns = 80;
  #waiting: { readonly words: string; readonly resolve: () => void }[] = [];

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
    for (const { words, resolve } of this.#waiting) if (this.text.includes(words)) resolve();
  }

  /** Resolves as soon as the words have been written; the test's own deadline bounds it. */
  contains(words: string): Promise<void> {
    if (this.text.includes(words)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ words, resolve }));
  }

  events(): Record<string, unknown>[] {
    return this.text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A session whose streams echo. */
export class FakeSession extends EventTarget implements Session {
  readonly peerId = ID_B;
  readonly bytesReceived = { direct: 0, relay: 0, overlay: 0 };
  closed = false;
  path: PathInfo = {
    kind: "relay",
    transport: "relay",
    why: "direct-pending",
    rttMs: 1.5,
    description: "fake",
  };

  open(protocol: string): Promise<Stream> {
    const pipe = new TransformStream<Uint8Array, Uint8Array>();
    return Promise.resolve({
      id: 1,
      protocol,
      readable: pipe.readable,
      writable: pipe.writable,
      departed: () => Promise.resolve(),
      reset: () => undefined,
      closed: Promise.resolve(),
    });
  }

  close(): Promise<void> {
    this.closed = true;
    this.dispatchEvent(new CustomEvent("close", { detail: "session/closed" }));
    return Promise.resolve();
  }
}

/** A ticket as `get` reads it. */
export const TICKET: string = formatTicket({
  hash: new Uint8Array(32),
  network: DEFAULT_NETWORK,
  name: "a.txt",
  bytes: 10,
  providers: [],
  edge: undefined,
});

export class FakePeer extends EventTarget implements CliPeer {
  readonly id = ID_A;
  readonly edge = "http://edge.test";
  readonly network = DEFAULT_NETWORK;
  readonly listenAddresses = ["tcp://127.0.0.1:4000"];
  readonly session = new FakeSession();
  readonly options: PeerOpenOptions;
  closed = 0;
  files: CliPeer["files"] = {
    share: (path, options) => {
      options?.onProgress?.({ bytes: 10, total: 10 });
      return Promise.resolve({
        ticket: TICKET,
        hash: "hash1",
        bytes: 10,
        name: path.split("/").at(-1) ?? "",
        close: () => Promise.resolve(),
      });
    },
    get: () => new FakeDownload(),
    limit: () => undefined,
  };

  records: CliPeer["records"] = {
    store: () => Promise.resolve({ key: "k".repeat(64), copies: 5, seq: 0 }),
    set: () => Promise.resolve({ key: "k".repeat(64), copies: 5, seq: 7 }),
    find: () => Promise.resolve(undefined),
  };

  worked: WorkOptions | undefined;
  mapped: MapOptions | undefined;
  compute: CliPeer["compute"] = {
    work: (options) => {
      this.worked = options;
      return Promise.resolve({ slots: options.slots ?? 2 });
    },
    map: (_module, inputs, options) => {
      this.mapped = options;
      return new FakeComputation(inputs);
    },
  };

  ports: CliPeer["ports"] = {
    expose: () => {
      throw new PeerloomError("usage/invalid", "no ports in this test");
    },
    forward: () => Promise.reject(new PeerloomError("ports/refused", "no ports in this test")),
  };

  readonly banned: string[] = [];
  membership: CliPeer["membership"] = {
    ban: (id) => {
      this.banned.push(id);
      return Promise.resolve({ number: this.banned.length, edge: true, peers: 2 });
    },
    unban: (id) => {
      this.banned.splice(this.banned.indexOf(id), 1);
      return Promise.resolve({ number: 9, edge: false, peers: 0 });
    },
  };

  constructor(options: PeerOpenOptions = {}) {
    super();
    this.options = options;
  }

  connect(): Promise<Session> {
    return Promise.resolve(this.session);
  }

  async *search(): AsyncGenerator<SearchHit> {
    for (const name of ["a.txt", "b\u001b[31m.txt"])
      yield { name, bytes: 10, hash: "hash1", ticket: TICKET, via: "index", sources: 2 };
  }

  topics: { readonly name: string; readonly options: TopicOptions | undefined; readonly topic: FakeTopic }[] =
    [];
  topic(name: string, options?: TopicOptions): FakeTopic {
    const topic = new FakeTopic();
    this.topics.push({ name, options, topic });
    return topic;
  }

  handle(): () => void {
    return () => undefined;
  }

  /** Those that stand when the command gets the peer. */
  readonly linked: Session[] = [];
  sessions(): Session[] {
    return this.linked;
  }

  status(): ReturnType<CliPeer["status"]> {
    const { kind, transport, why, rttMs } = this.session.path;
    const peers = [{ id: ID_B, path: kind, transport, why, rttMs: rttMs ?? null }];
    return {
      id: this.id,
      edge: this.edge,
      network: this.network,
      peers,
      listen: this.listenAddresses,
      mapping: null,
      shares: [],
      topics: [],
      overlay: { links: 3, relayed: 0, ready: false, dropped: 1 },
      records: { kept: 2, refused: 0 },
    };
  }

  close(): Promise<void> {
    this.closed += 1;
    return Promise.resolve();
  }
}

/** Somebody is there, and says three things; three more are missed before the last. */
export class FakeTopic extends EventTarget implements CliTopic {
  readonly peers = [ID_B];
  readonly published: TopicValue[] = [];
  missed = 0;
  closed = 0;

  publish(value: TopicValue): Promise<number> {
    this.published.push(value);
    return Promise.resolve(1);
  }

  close(): Promise<void> {
    this.closed += 1;
    return Promise.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TopicMessage> {
    for (const [i, value] of ["hello\u001b[31m", { a: 1 }, Uint8Array.of(1)].entries()) {
      if (i === 2) this.missed = 3;
      yield { from: ID_B, value, timeMs: 0, id: "", isPast: i === 0 };
    }
  }
}

export class FakeDownload extends EventTarget implements Download {
  saveTo(path = "/here/name"): ReturnType<Download["saveTo"]> {
    for (const bytes of [0, 10]) {
      this.dispatchEvent(new CustomEvent("progress", { detail: { bytes, total: 10, sources: 1 } }));
    }
    const by = { direct: 4, relay: 6 };
    const result = { path, bytes: 10, seconds: 0.5, sources: 1, hash: "hash1", by, discarded: 0 };
    return Promise.resolve(result);
  }
}

/** Gives every input back, as done by one peer after the other. */
export class FakeComputation extends EventTarget implements CliComputation {
  readonly contributors = [ID_B];
  readonly progress = { done: 0, given: 0, isComplete: true, workers: 1, rejected: 1 };
  readonly #inputs: TaskInputs;

  constructor(inputs: TaskInputs) {
    super();
    this.#inputs = inputs;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TaskResult> {
    for await (const input of this.#inputs) {
      const value = typeof input === "string" ? new TextEncoder().encode(input) : input;
      yield { index: this.progress.done++, value, by: [ID_B] };
      this.dispatchEvent(new CustomEvent("progress"));
    }
  }
}

export interface Running {
  readonly stdout: TextKeeper;
  readonly stderr: TextKeeper;
  readonly exitCode: Promise<number>;
  readonly peers: readonly FakePeer[];
  /** As Ctrl-C does. */
  stop(): void;
}

export interface RunOptions extends Partial<CliHost> {
  readonly data?: string;
  readonly makePeer?: (options: PeerOpenOptions) => FakePeer | Promise<FakePeer>;
}

/** Starts one command line with fakes all around. */
export function start(argv: readonly string[], options: RunOptions = {}): Running {
  const stdout = new TextKeeper();
  const stderr = new TextKeeper();
  const controller = new AbortController();
  const peers: FakePeer[] = [];
  const host: CliHost = {
    environment: {},
    homeFolder: options.data ?? "/nonexistent",
    workingFolder: "/here",
    self: [],
    openPeer: async (peerOptions) => {
      const peer = await (options.makePeer?.(peerOptions) ?? new FakePeer(peerOptions));
      peers.push(peer);
      return peer;
    },
    readLines: async function* () {
      yield* ["one", "two"];
    },
    readInput: () => Promise.resolve(new Uint8Array(0)),
    startEdge: () => Promise.reject(new Error("no edge in this test")),
    wranglerPath: () => {
      throw new Error("no wrangler in this test");
    },
    networks: (folder) => Promise.resolve(networks({ dataDir: folder })),
    diagnose: () => {
      throw new Error("nothing to look at in this test");
    },
    ...options,
  };
  const words = options.data === undefined ? argv : [...argv, "--data", options.data];
  const exitCode = run(
    words,
    COMMANDS,
    { stdout, stderr },
    host,
    { begin: () => controller.signal },
    "1.2.3",
  );
  return { stdout, stderr, exitCode, peers, stop: () => controller.abort() };
}
