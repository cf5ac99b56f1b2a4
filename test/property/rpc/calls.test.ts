/**
 * Calls both ways between two peers in virtual time, in random interleavings: answers, streams, failures, deadlines, callers who give up,
 * paths that break, sessions that end. Whatever comes, every call ends once, with its own answer or a code that fits, no method runs
 * twice for one call, and nothing is left running.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { SimRandom } from "../../../peer/adapters/sim/random.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import type { CallContext } from "../../../peer/services/rpc/context.ts";
import { MessageReader, MessageWriter } from "../../../peer/services/rpc/message-stream.ts";
import { Rpc } from "../../../peer/services/rpc/rpc.ts";
import { callsProtocol } from "../../../peer/services/rpc/naming.ts";
import {
  decodeCalleeMessage,
  encodeCall,
  encodeItemsHead,
  ITEMS_PROTOCOL,
} from "../../../peer/services/rpc/protocol.ts";
import { encode } from "../../../shared/codec.ts";
import type { Session } from "../../../peer/session/contract.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import { inWorld, type PeerName, type World } from "../session/world.ts";

const seed = fc.nat();
const OPERATIONS = 80;

/** What methods of one side leave behind. */
interface Trace {
  running: number;
  /** How often, by the call's id. */
  readonly ran: Map<number, number>;
}

/** What each side serves: every method takes its time and notes that it ran. */
function methodsOf({ clock }: World, trace: Trace) {
  const begin = (id: number): void => {
    trace.ran.set(id, (trace.ran.get(id) ?? 0) + 1);
    trace.running += 1;
  };
  const work = async <T>(id: number, body: () => Promise<T>): Promise<T> => {
    begin(id);
    try {
      return await body();
    } finally {
      trace.running -= 1;
    }
  };
  return {
    wait(this: CallContext, id: number, ms: number) {
      return work(id, async () => {
        await clock.sleep(ms, this.signal);
        return id;
      });
    },
    fail(this: CallContext, id: number, ms: number) {
      return work(id, async () => {
        await clock.sleep(ms, this.signal);
        throw new PeerloomError("files/not-found", `${id}`);
      });
    },
    async *feed(this: CallContext, id: number, count: number, ms: number) {
      begin(id);
      try {
        for (let n = 0; n < count; n++) {
          await clock.sleep(ms, this.signal);
          yield n;
        }
      } finally {
        trace.running -= 1;
      }
    },
    sum(id: number, numbers: AsyncIterable<number>) {
      return work(id, async () => {
        let sum = 0;
        for await (const n of numbers) sum += n;
        return sum;
      });
    },
  };
}

type Methods = ReturnType<typeof methodsOf>;

interface Side {
  readonly rpc: Rpc;
  readonly served: Trace;
}

function sideOf(world: World, name: PeerName): Side {
  const peer = world[name];
  const other = name === "alice" ? "bob" : "alice";
  const served: Trace = { running: 0, ran: new Map() };
  const session = async (): Promise<Session> => {
    const standing = world.sessionOf(name);
    return standing === undefined || standing.closed
      ? world.link({ dialler: name, latencyMs: 5 }).connected
      : standing;
  };
  let dialling: Promise<Session> | undefined;
  const rpc = new Rpc({
    id: peer.identity.id,
    network: "world" as NetworkName,
    runtime: simRuntime({ seed: `${world.seed}/${name}/rpc`, clock: world.clock }),
    addresses: () => [],
    connect: (id) => {
      expect(id).toBe(world[other].identity.id);
      dialling ??= session().finally(() => (dialling = undefined));
      return dialling;
    },
    sessions: () => [],
    sign: (bytes) => peer.identity.sign(bytes),
    isLinked: () => Promise.resolve(true),
    handle: (protocol, handler) => {
      peer.handlers.set(protocol, handler);
      return () => void (peer.handlers.get(protocol) === handler && peer.handlers.delete(protocol));
    },
  });
  rpc.serve("work/1", methodsOf(world, served), { concurrency: 8 });
  return { rpc, served };
}

/** One random call. @returns what came of it: "right", or a code */
async function operate(
  world: World,
  side: Side,
  to: PeerName,
  id: number,
  random: SimRandom,
): Promise<string> {
  const controller = new AbortController();
  const options = {
    ...(random.unit() < 0.2 ? { timeoutMs: random.integer(1, 60) } : {}),
    ...(random.unit() < 0.2 ? { signal: controller.signal } : {}),
  };
  const remote = side.rpc.remote<Methods>(world[to].identity.id, "work/1", options);
  const ms = random.integer(0, 50);
  const count = random.integer(0, 30);
  const stopAt = random.unit() < 0.3 ? random.integer(0, 10) : count;
  const timer = world.clock.setTimer(random.integer(0, 80), () => controller.abort());
  const source = async function* (): AsyncGenerator<number> {
    for (let n = 0; n < count; n++) {
      await world.clock.sleep(random.integer(0, 5));
      yield n;
    }
  };
  const checks: (() => Promise<boolean>)[] = [
    async () => (await remote.wait(id, ms)) === id,
    async () => {
      const error: unknown = await remote.fail(id, ms).catch((reason: unknown) => reason);
      if (error instanceof PeerloomError && error.code === "files/not-found")
        return error.message === `${id}`;
      throw error;
    },
    async () => {
      let expected = 0;
      for await (const n of remote.feed(id, count, random.integer(0, 5))) {
        if (n !== expected++) return false;
        if (expected > stopAt) break;
      }
      return expected === Math.min(count, stopAt + 1) || expected === count;
    },
    async () => (await remote.sum(id, source())) === (count * (count - 1)) / 2,
  ];
  const check = checks[random.integer(0, checks.length - 1)] as () => Promise<boolean>;
  try {
    return (await check()) ? "right" : "wrong";
  } catch (error) {
    return error instanceof PeerloomError ? error.code : `untyped: ${String(error)}`;
  } finally {
    timer.cancel();
  }
}

interface Trouble {
  /** Paths break; the session moves to new ones. */
  readonly breaks?: boolean;
  /** Sessions end. */
  readonly ends?: boolean;
}

async function run(world: World, { breaks = false, ends = false }: Trouble): Promise<string[]> {
  await world.connect({ latencyMs: 5 });
  const sides = { alice: sideOf(world, "alice"), bob: sideOf(world, "bob") };
  const random = world.random.fork("calls");
  const outcomes: Promise<string>[] = [];
  for (let id = 1; id <= OPERATIONS; id++) {
    const [from, to]: [PeerName, PeerName] = random.unit() < 0.5 ? ["alice", "bob"] : ["bob", "alice"];
    outcomes.push(operate(world, sides[from], to, id, random.fork(`call ${id}`)));
    if (random.unit() < 0.3) await world.clock.advance(random.integer(1, 20));
    if (breaks && random.unit() < 0.05) {
      // Another path first: without any, nobody here would make one.
      await world.until(world.link({ latencyMs: 5 }).connected);
      world.links.find((link) => link.isAlive)?.cut("both");
    }
    if (ends && random.unit() < 0.05)
      await world.until(world.sessionOf("alice")?.close() ?? Promise.resolve());
  }
  const found = await world.until(Promise.all(outcomes));
  for (const { served } of Object.values(sides)) {
    await world.untilTrue(() => served.running === 0);
    for (const [id, times] of served.ran) expect({ id, times }).toEqual({ id, times: 1 });
  }
  for (const { rpc } of Object.values(sides)) rpc.close();
  // What the test itself streams is in the middle of a sleep.
  await world.clock.advance(10);
  // Streams end with an acknowledgement at most; nothing else holds the session.
  await world.untilTrue(() => (world.sessionOf("alice")?.streamCount ?? 0) === 0);
  expect(await world.close()).toBe(0);
  return found;
}

test("every call ends with its own answer, its deadline, or because its caller gave up", () =>
  fc.assert(
    fc.asyncProperty(seed, fc.boolean(), (number, breaks) =>
      inWorld({ seed: number }, async (world) => {
        const found = new Set(await run(world, { breaks }));
        for (const code of ["right", "rpc/timeout", "aborted"]) found.delete(code);
        expect([...found]).toEqual([]);
      }),
    ),
    { numRuns: 15 },
  ));

test("when sessions end, what was under way is interrupted and nothing runs twice", () =>
  fc.assert(
    fc.asyncProperty(seed, (number) =>
      inWorld({ seed: number }, async (world) => {
        const found = new Set(await run(world, { ends: true }));
        for (const code of ["right", "rpc/timeout", "aborted", "rpc/interrupted"]) found.delete(code);
        // Met while connecting, before the call was sent.
        for (const code of ["session/closed", "session/unknown"]) found.delete(code);
        expect([...found]).toEqual([]);
      }),
    ),
    { numRuns: 15 },
  ));

test("a side that talks nonsense loses its stream and nothing else", () =>
  fc.assert(
    fc.asyncProperty(seed, (number) =>
      inWorld({ seed: number }, async (world) => {
        const { alice } = await world.connect();
        const side = sideOf(world, "bob");
        const random = world.random.fork("nonsense");
        const framed = (message: Uint8Array): Uint8Array => {
          const bytes = new Uint8Array(4 + message.length);
          new DataView(bytes.buffer).setUint32(0, message.length);
          bytes.set(message, 4);
          return bytes;
        };
        const call = encodeCall({ id: 1, timeoutMs: 1_000, method: "wait", args: [1, 10_000] });
        const said: [string, Uint8Array][] = [
          [callsProtocol("work/1"), random.bytes(random.integer(1, 300))],
          [callsProtocol("work/1"), framed(encode([0, 1, 2]))],
          [callsProtocol("work/1"), Uint8Array.from([...framed(call), ...framed(call)])],
          [ITEMS_PROTOCOL, random.bytes(random.integer(1, 300))],
          [ITEMS_PROTOCOL, framed(encodeItemsHead({ callsStreamId: 1, callId: 1, slot: 1 }))],
          [ITEMS_PROTOCOL, new Uint8Array(0)],
        ];
        for (const [protocol, bytes] of said) {
          const stream = await alice.open(protocol);
          const writer = stream.writable.getWriter();
          writer.write(bytes).catch(() => {}); // It may be refused meanwhile.
          writer.close().catch(() => {});
          await world.until(stream.closed.then(() => stream.readable.cancel().catch(() => {})));
        }
        // One who says nothing is cut, and one who opens a second stream has the first ended.
        const silent = await alice.open(ITEMS_PROTOCOL);
        await world.until(silent.closed);
        const first = await alice.open(callsProtocol("work/1"));
        const second = await alice.open(callsProtocol("work/1"));
        await world.until(first.closed);
        second.reset();
        expect(alice.closed).toBe(false);
        await world.untilTrue(() => side.served.running === 0);
        side.rpc.close();
        expect(await world.close()).toBe(0);
      }),
    ),
    { numRuns: 10 },
  ));

test("the serving side holds to a deadline by itself, and aborts what runs", () =>
  inWorld({ seed: 1 }, async (world) => {
    const { alice } = await world.connect({ latencyMs: 5 });
    const side = sideOf(world, "bob");
    const stream = await alice.open(callsProtocol("work/1"));
    const writer = new MessageWriter(stream.writable);
    const reader = new MessageReader(stream.readable);
    const answers: unknown[] = [];
    const reading = (async () => {
      while (await reader.read((message) => answers.push(decodeCalleeMessage(message))));
    })();
    reading.catch(() => {}); // It ends with the session.
    writer.send(encodeCall({ id: 1, timeoutMs: 100, method: "wait", args: [1, 10_000] }));
    // A ninth waits behind eight, and its time is over there.
    for (let id = 2; id <= 8; id++)
      writer.send(encodeCall({ id, timeoutMs: 50_000, method: "wait", args: [id, 300] }));
    writer.send(encodeCall({ id: 9, timeoutMs: 60, method: "wait", args: [9, 0] }));
    await world.clock.advance(50);
    expect(side.served.running).toBe(8);
    await world.clock.advance(100);
    expect(side.served.running).toBe(7);
    expect(answers).toMatchObject(
      [9, 1].map((id) => ({ kind: "failure", id, failure: { code: "rpc/timeout" } })),
    );
    await world.clock.advance(300);
    expect(answers).toHaveLength(9);
    expect(side.served.ran.has(9)).toBe(false);
    side.rpc.close();
    await world.close();
  }));

test("a stream without calls is closed after a while, and the next call opens another", () =>
  inWorld({ seed: 2 }, async (world) => {
    const { alice } = await world.connect({ latencyMs: 5 });
    const sides = [sideOf(world, "alice"), sideOf(world, "bob")] as const;
    const remote = sides[0].rpc.remote<Methods>(world.bob.identity.id, "work/1");
    const call = async (id: number): Promise<void> => {
      const answer = remote.wait(id, 0);
      expect(await world.until(answer)).toBe(id);
    };
    await call(1);
    await world.clock.advance(20_000);
    await call(2);
    await world.clock.advance(20_000);
    expect(alice.streamCount).toBe(1);
    await world.clock.advance(20_000);
    expect([alice.streamCount, world.sessionOf("bob")?.streamCount]).toEqual([0, 0]);
    await call(3);
    expect(alice.streamCount).toBe(1);
    for (const { rpc } of sides) rpc.close();
    await world.close();
  }));
