/** A computation's patience, on virtual time: workers that keep what they get, that are not there, that come late. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { Compute, type MapOptions } from "../../../peer/services/compute/compute.ts";
import {
  BODY_BYTES_MAX,
  decodeFromAsker,
  encodeMessage,
  violation,
  type WorkerMessage,
} from "../../../peer/services/compute/protocol.ts";
import { ModuleCache } from "../../../peer/services/compute/module-cache.ts";
import { TURN_MS_MAX } from "../../../peer/services/compute/remote-worker.ts";
import { SandboxPool } from "../../../peer/services/compute/sandbox-pool.ts";
import { serveWork } from "../../../peer/services/compute/serve.ts";
import { MessageReader } from "../../../peer/services/files/protocol.ts";
import type { ServiceHost } from "../../../peer/services/host.ts";
import type { Session, Stream } from "../../../peer/session/contract.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { DEFAULT_NETWORK } from "../../../shared/ids.ts";
import { echo } from "../../wasm/modules.ts";
import { FakeSession, ID_A } from "../cli/fakes.ts";
import { streamPair } from "../stream-pair.ts";
import { FakeSandboxes } from "./fake-sandboxes.ts";

type Character = "honest" | "silent" | "busy";

/** A session with a peer that works, in its way, at the end of a pipe. */
class WorkingSession extends FakeSession {
  character: Character;
  asked = 0;

  constructor(character: Character) {
    super();
    this.character = character;
  }

  override open(protocol: string): Promise<Stream> {
    const there = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 64 });
    const back = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 64 });
    const writer = back.writable.getWriter();
    void this.#work(there.readable, writer).catch(() => {});
    return Promise.resolve({
      id: 1,
      protocol,
      readable: back.readable,
      writable: there.writable,
      departed: () => Promise.resolve(),
      reset: (code = "stream/reset") => {
        const error = new PeerloomError(code, "The stream was reset.");
        writer.abort(error).catch(() => {});
      },
      closed: Promise.resolve(),
    });
  }

  async #work(
    readable: ReadableStream<Uint8Array>,
    writer: WritableStreamDefaultWriter<Uint8Array>,
  ): Promise<void> {
    const reader = new MessageReader(readable, BODY_BYTES_MAX, violation);
    const say = async (message: WorkerMessage): Promise<void> => {
      for (const part of encodeMessage(message)) await writer.write(part);
    };
    for (let raw = await reader.next(); raw !== undefined; raw = await reader.next()) {
      const message = decodeFromAsker(raw);
      if (message.kind === "ask") {
        this.asked += 1;
        if (this.character === "busy") return say({ kind: "refusal", code: "compute/busy" });
        await say({ kind: "offer", slots: 1, taskMs: message.taskMs, wantsModule: true });
      } else if (message.kind === "task" && this.character === "honest")
        await say({ kind: "result", id: message.id, output: message.input });
    }
  }
}

/** A session with a peer that works indeed, in one slot, which others have had since before. */
class SharedSession extends FakeSession {
  readonly #clock: SimClock;
  readonly #pool: SandboxPool;

  /** @param othersMs what others have to do takes so long */
  constructor(clock: SimClock, othersMs: number) {
    super();
    this.#clock = clock;
    this.#pool = new SandboxPool(new FakeSandboxes(clock), clock, 1);
    const module = { key: "of others", bytes: new Uint8Array(8), memoryPages: 1 };
    const tasks = [{ module, input: Uint8Array.of(255), taskMs: othersMs, finish: () => {} }];
    this.#pool.add({ take: () => tasks.shift() });
    this.#pool.wake();
  }

  override open(protocol: string): Promise<Stream> {
    const { near, far } = streamPair(protocol);
    const offer = { slots: 1, memoryPagesMax: 1_024, taskMsMax: 3_600_000 };
    serveWork(far, {
      pool: this.#pool,
      modules: new ModuleCache(),
      hash: nodeHash,
      clock: this.#clock,
      ...offer,
    }).catch(() => {});
    return Promise.resolve(near);
  }

  override async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** Runs a computation to its end. @returns how it ended, when, and with how many results */
async function check(
  meet: readonly Session[] | ((clock: SimClock) => readonly Session[]),
  options: MapOptions = {},
  at: { readonly ms: number; readonly happens: () => void } = { ms: 0, happens: () => {} },
): Promise<{ code: string; seconds: number; results: number }> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const sessions = typeof meet === "function" ? meet(clock) : meet;
  const host: ServiceHost = {
    id: ID_A,
    network: DEFAULT_NETWORK,
    runtime: simRuntime({ seed: 1, clock }),
    addresses: () => [],
    connect: (id) => {
      const session = sessions.find(({ peerId }) => peerId === id);
      return session === undefined
        ? Promise.reject(new PeerloomError("connect/no-path", "Nobody."))
        : Promise.resolve(session);
    },
    sessions: () => sessions,
    sign: () => Promise.resolve(new Uint8Array(64)),
    isLinked: () => Promise.resolve(false),
    handle: () => () => {},
  };
  const compute = new Compute(host, {
    provide: () => Promise.resolve(() => {}),
    providers: () => Promise.reject(new PeerloomError("records/unavailable", "No overlay.")),
  });
  clock.schedule(at.ms, at.happens);
  let results = 0;
  const run = (async () => {
    for await (const _ of compute.map(echo, ["a", "b", "c"], options)) results += 1;
  })();
  const code = await clock.runUntil(
    run.then(
      () => "none",
      (error: unknown) => (error instanceof PeerloomError ? error.code : String(error)),
    ),
  );
  const seconds = clock.monotonicMs() / 1000;
  await Promise.all(sessions.map((session) => session.close()));
  expect(clock.timersPending).toBe(0);
  return { code, seconds, results };
}

test("an honest worker does it at once", async () => {
  expect(await check([new WorkingSession("honest")])).toEqual({ code: "none", seconds: 0, results: 3 });
});

test("nobody there: it gives up after its patience", async () => {
  const { code, seconds } = await check([], { patienceMs: 7_000 });
  expect(code).toBe("compute/no-workers");
  expect(seconds).toBeGreaterThanOrEqual(7);
  expect(seconds).toBeLessThan(8);
});

test("a worker that keeps all it gets and says nothing is given up, and does not hold the end up for ever", async () => {
  const session = new WorkingSession("silent");
  const { code, seconds } = await check([session], { taskMs: 1_000 });
  expect(code).toBe("compute/no-workers");
  expect(seconds).toBeLessThan(60);
  expect(session.asked).toBe(1);
});

test("one that is long busy with others' tasks is waited for, since it says so", async () => {
  const { code, seconds, results } = await check((clock) => [new SharedSession(clock, 600_000)], {
    taskMs: 1_000,
  });
  expect({ code, results }).toEqual({ code: "none", results: 3 });
  expect(seconds).toBeGreaterThanOrEqual(600);
  expect(seconds).toBeLessThan(605);
});

test("one that never does more than say so is given up", async () => {
  const { code, seconds } = await check((clock) => [new SharedSession(clock, 10 * TURN_MS_MAX)], {
    taskMs: 1_000,
  });
  expect(code).toBe("compute/no-workers");
  expect(seconds * 1_000).toBeGreaterThan(TURN_MS_MAX);
  expect(seconds * 1_000).toBeLessThan(TURN_MS_MAX + 60_000);
});

test("one that is busy is asked again, ever less often, and works when it can", async () => {
  const session = new WorkingSession("busy");
  const free = { ms: 9_000, happens: () => void (session.character = "honest") };
  const { code, seconds, results } = await check([session], {}, free);
  expect({ code, results }).toEqual({ code: "none", results: 3 });
  expect(seconds).toBeLessThan(19);
  expect(session.asked).toBeLessThan(9);
});

test("two must agree and only one is there: it gives up, and says so", async () => {
  const { code, results } = await check([new WorkingSession("honest")], { copies: 2, patienceMs: 3_000 });
  expect({ code, results }).toEqual({ code: "compute/no-workers", results: 0 });
});
