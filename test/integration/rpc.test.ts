/** Calls between real peers over real sessions: values, streams both ways, deadlines, cancelling, errors, loss. */
import { once } from "node:events";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type CallContext, type Peer, PeerloomError, RemoteError } from "../../peer/node.ts";
import { costOf, TOKEN } from "../attacks/suite.ts";
import { RELAY_MESSAGES_BURST, RELAY_MESSAGES_PER_SECOND } from "../../shared/limits.ts";
import { bootstrapOf, codeOf, openEdge, openPeer } from "./peers.ts";

/** One serves, one calls. */
async function pair(): Promise<{ server: Peer; caller: Peer }> {
  const server = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const caller = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(server) });
  return { server, caller };
}

const calc = {
  add: (a: number, b: number) => a + b,
  echo: (value: unknown) => Promise.resolve(value),
  nothing(): void {},
  count: (given?: string) => (given === undefined ? "none" : "one"),
  from(this: CallContext) {
    return this.from;
  },
  async *upTo(end: number) {
    for (let n = 1; n <= end; n++) yield Promise.resolve(n);
  },
  async sum(numbers: AsyncIterable<number>) {
    let sum = 0;
    for await (const n of numbers) sum += n;
    return sum;
  },
  async *doubled(numbers: AsyncIterable<number>) {
    for await (const n of numbers) yield 2 * n;
  },
};

async function* numbers(end: number): AsyncGenerator<number> {
  for (let n = 1; n <= end; n++) yield Promise.resolve(n);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function named<T>(name: string, value: T): Record<string, T> {
  return { [name]: value };
}

/** Resolves when the served method says so. */
function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, opened: promise };
}

describe("values", () => {
  test("a served object is called by name, typed, with what plain data can be", async () => {
    const { server, caller } = await pair();
    server.serve("calc/1", calc);
    const remote = caller.rpc<typeof calc>(server.id, "calc/1");
    expect(await remote.add(2, 3)).toBe(5);
    expectTypeOf(remote.add).returns.resolves.toBeNumber();
    expect(await remote.nothing()).toBeUndefined();
    expect(await remote.count()).toBe("none");
    expect(await remote.count(undefined)).toBe("none");
    expect(await remote.count("x")).toBe("one");
    expect(await remote.from()).toBe(caller.id);
    const values = [
      null,
      true,
      -1.5,
      2 ** 53,
      "text with ü and 😀",
      "x".repeat(100_000),
      new Uint8Array([1, 2, 3]),
      new Uint8Array(500_000).fill(7),
      [[], {}, [1, [2, "x", null]]],
      { a: { b: [new Uint8Array(3)] }, constructor: "x", ...named("then", 1) },
    ];
    for (const value of values) expect(await remote.echo(value)).toEqual(value);
    expect(await remote.echo({ a: 1, b: undefined })).toEqual({ a: 1 });
  });

  test("1,000 calls at once are all answered, each with its own answer", async () => {
    const { server, caller } = await pair();
    let running = 0;
    let most = 0;
    server.serve("slow/1", {
      async half(n: number) {
        most = Math.max(most, ++running);
        await new Promise(setImmediate);
        running -= 1;
        return n / 2;
      },
    });
    const remote = caller.rpc<{ half(n: number): number }>(server.id, "slow/1");
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, n) => remote.half(n)));
    expect(answers).toEqual(Array.from({ length: 1_000 }, (_, n) => n / 2));
    expect(most).toBe(64);
    expect(caller.sessions()).toHaveLength(1);
  });

  test("what cannot be sent is refused where it would be sent from", async () => {
    const { server, caller } = await pair();
    server.serve("odd/1", {
      ...calc,
      map: () => new Map(),
      large: () => new Uint8Array(2 ** 20),
    });
    const remote = caller.rpc<Record<string, (...args: unknown[]) => unknown>>(server.id, "odd/1");
    const call = (name: string, ...args: unknown[]): Promise<string> =>
      codeOf((remote[name] as (...args: unknown[]) => Promise<unknown>)(...args));
    const loop: Record<string, unknown> = {};
    loop["loop"] = loop;
    for (const value of [
      new Map(),
      new Date(0),
      1n,
      Number.NaN,
      () => 1,
      Symbol("x"),
      loop,
      "\ud800",
      [numbers(1)],
    ]) {
      expect(await call("echo", value)).toBe("rpc/invalid-value");
    }
    expect(await call("echo", new Uint8Array(2 ** 20))).toBe("rpc/too-large");
    expect(
      await call(
        "echo",
        Array.from({ length: 70_000 }, () => 0),
      ),
    ).toBe("rpc/too-large");
    expect(await call("map")).toBe("rpc/invalid-value");
    expect(await call("large")).toBe("rpc/too-large");
    expect(await call("echo", "still here")).toBe("none");
    expect(await call("echo", ...Array.from({ length: 33 }, () => 1))).toBe("usage/invalid");
    expect(await call("n".repeat(65))).toBe("usage/invalid");
  });
});

describe("what is not there", () => {
  test("methods of prototypes, unknown methods and unknown services are refused by name", async () => {
    const { server, caller } = await pair();
    class Shop {
      readonly price = () => 3;
      hidden(): number {
        return 4;
      }
    }
    server.serve("shop/1", new Shop());
    const remote = caller.rpc<Shop>(server.id, "shop/1");
    expect(await remote.price()).toBe(3);
    expect(await codeOf(remote.hidden() as unknown as Promise<number>)).toBe("rpc/unknown-method");
    expect(await codeOf(caller.rpc<Shop>(server.id, "other/1").price())).toBe("rpc/not-served");
    expect(() => server.serve("empty/1", {})).toThrow(PeerloomError);
    expect(() =>
      server.serve(
        "then/1",
        named("then", () => 1),
      ),
    ).toThrow(/another name/);
    expect(() => server.serve("", calc)).toThrow(PeerloomError);
    expect(() => caller.rpc("nobody", "calc/1")).toThrow(PeerloomError);
    expect(() => caller.rpc(server.id, "calc/1", { timeoutMs: 0 })).toThrow(PeerloomError);
    expect(await codeOf(caller.rpc<Shop>(caller.id, "shop/1").price())).toBe("connect/self");
  });

  test("a service taken back is gone, what runs is aborted, and it may be served again", async () => {
    const { server, caller } = await pair();
    const begun = gate();
    const aborted = gate();
    const stop = server.serve("long/1", {
      forever(this: CallContext) {
        this.signal.addEventListener("abort", aborted.open);
        begun.open();
        return new Promise(() => {});
      },
      quick: () => 1,
    });
    const remote = caller.rpc<{ forever(): Promise<void>; quick(): number }>(server.id, "long/1");
    const code = codeOf(remote.forever());
    await begun.opened;
    stop();
    await aborted.opened;
    expect(await code).toBe("rpc/interrupted");
    expect(await codeOf(remote.quick())).toBe("rpc/not-served");
    server.serve("long/1", { quick: () => 2 });
    expect(await remote.quick()).toBe(2);
  });
});

describe("streams", () => {
  test("a result is streamed to a loop or an await, an argument to the method, and both at once", async () => {
    const { server, caller } = await pair();
    server.serve("calc/1", calc);
    const remote = caller.rpc<typeof calc>(server.id, "calc/1");
    expect(await collect(remote.upTo(5_000))).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
    expect(await collect(await remote.upTo(3))).toEqual([1, 2, 3]);
    expect(await collect(remote.upTo(0))).toEqual([]);
    expect(await remote.sum(numbers(5_000))).toBe(12_502_500);
    expect(await collect(remote.doubled(numbers(1_000)))).toEqual(
      Array.from({ length: 1_000 }, (_, i) => 2 * i + 2),
    );
    expect(await codeOf(collect(remote.add(1, 2) as unknown as AsyncIterable<number>))).toBe(
      "rpc/invalid-value",
    );
    const streams = Array.from({ length: 50 }, (_, i) => collect(remote.doubled(numbers(i))));
    expect((await Promise.all(streams)).map((items) => items.length)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  test("a slow reader stops the producer, on either side", async () => {
    const { server, caller } = await pair();
    const item = new Uint8Array(64 * 1024);
    let produced = 0;
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) {
        produced += item.length;
        yield item;
      }
    };
    const reading = gate();
    server.serve("slow/1", {
      endless,
      ping: () => "pong",
      async one(items: AsyncIterable<Uint8Array>) {
        const iterator = items[Symbol.asyncIterator]();
        await iterator.next();
        await reading.opened;
        await iterator.next();
        return "read two";
      },
    });
    const remote = caller.rpc<{
      endless(): AsyncGenerator<Uint8Array>;
      ping(): string;
      one(items: AsyncIterable<Uint8Array>): Promise<string>;
    }>(server.id, "slow/1");
    /** Until nothing more is produced during many calls on the same session. */
    const atRest = async (): Promise<number> => {
      for (let last = -1; last !== produced;) {
        last = produced;
        for (let i = 0; i < 50; i++) expect(await remote.ping()).toBe("pong");
      }
      return produced;
    };
    const iterator = remote.endless()[Symbol.asyncIterator]();
    await iterator.next();
    expect(await atRest()).toBeLessThan(8 * 1024 * 1024);
    await iterator.return?.();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });

    produced = 0;
    const answer = remote.one(endless());
    expect(await atRest()).toBeLessThan(8 * 1024 * 1024);
    reading.open();
    expect(await answer).toBe("read two");
  });

  test("breaking out of a loop ends the producer's generator, also one that waits; an answer ends the argument's", async () => {
    const { server, caller } = await pair();
    const ended = gate();
    const waitEnded = gate();
    server.serve("feed/1", {
      async *ticks() {
        try {
          for (let n = 0; ; n++) yield await Promise.resolve(n);
        } finally {
          ended.open();
        }
      },
      async *waiting(this: CallContext) {
        yield 1;
        await new Promise<void>((resolve) => this.signal.addEventListener("abort", () => resolve()));
        waitEnded.open();
      },
      async first(items: AsyncIterable<number>) {
        for await (const item of items) return item;
        return -1;
      },
    });
    const remote = caller.rpc<{
      ticks(): AsyncIterable<number>;
      waiting(): AsyncIterable<number>;
      first(items: AsyncIterable<number>): Promise<number>;
    }>(server.id, "feed/1");
    for await (const n of remote.ticks()) if (n === 10) break;
    await ended.opened;
    for await (const n of remote.waiting()) if (n === 1) break;
    await waitEnded.opened;
    const argumentEnded = gate();
    const source = async function* (): AsyncGenerator<number> {
      try {
        for (let n = 7; ; n++) yield await Promise.resolve(n);
      } finally {
        argumentEnded.open();
      }
    };
    expect(await remote.first(source())).toBe(7);
    await argumentEnded.opened;
  });

  test("errors come behind the items, from either side", async () => {
    const { server, caller } = await pair();
    server.serve("fails/1", {
      async *after(n: number) {
        yield* numbers(n);
        throw Object.assign(new Error("no more"), { code: "app/empty" });
      },
      sum: calc.sum,
      async *bad() {
        yield 1;
        yield new Map();
      },
    });
    const remote = caller.rpc<{
      after(n: number): AsyncIterable<number>;
      sum(items: AsyncIterable<number>): Promise<number>;
      bad(): AsyncIterable<number>;
    }>(server.id, "fails/1");
    const seen: number[] = [];
    const reading = (async () => {
      for await (const n of remote.after(3)) seen.push(n);
    })();
    await expect(reading).rejects.toMatchObject({ code: "app/empty", message: "no more" });
    expect(seen).toEqual([1, 2, 3]);
    expect(await codeOf(collect(remote.bad()))).toBe("rpc/invalid-value");
    const source = async function* (): AsyncGenerator<number> {
      yield 1;
      throw Object.assign(new Error("source is dry"), { code: "app/dry" });
    };
    await expect(remote.sum(source())).rejects.toMatchObject({ code: "app/dry" });
  });
});

describe("ends before the answer", () => {
  test("a deadline ends it on both sides", async () => {
    const { server, caller } = await pair();
    const aborted = gate();
    server.serve("hang/1", {
      hang(this: CallContext) {
        this.signal.addEventListener("abort", aborted.open);
        return new Promise(() => {});
      },
    });
    await caller.connect(server.id);
    // Long enough to arrive on a busy machine.
    const remote = caller.rpc<{ hang(): Promise<void> }>(server.id, "hang/1", { timeoutMs: 2_000 });
    expect(await codeOf(remote.hang())).toBe("rpc/timeout");
    await aborted.opened;
  });

  test("a signal ends it on both sides, whether it runs, streams or has not begun", async () => {
    const { server, caller } = await pair();
    const begun = gate();
    const aborted = gate();
    const streamAborted = gate();
    server.serve("hang/1", {
      hang(this: CallContext) {
        this.signal.addEventListener("abort", aborted.open);
        begun.open();
        return new Promise(() => {});
      },
      async *feed(this: CallContext) {
        this.signal.addEventListener("abort", streamAborted.open);
        yield 1;
        await streamAborted.opened;
      },
    });
    interface Hang {
      hang(): Promise<void>;
      feed(): AsyncIterable<number>;
    }
    const controller = new AbortController();
    const remote = caller.rpc<Hang>(server.id, "hang/1", { signal: controller.signal });
    const code = codeOf(remote.hang());
    const iterator = (await remote.feed())[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 1 });
    await begun.opened;
    const next = codeOf(iterator.next());
    controller.abort();
    expect(await code).toBe("aborted");
    expect(await next).toBe("aborted");
    await Promise.all([aborted.opened, streamAborted.opened]);
    expect(await codeOf(remote.hang())).toBe("aborted");
  });

  test("more than may wait is refused, and what waited is answered", async () => {
    const { server, caller } = await pair();
    const release = gate();
    server.serve("one/1", { wait: () => release.opened.then(() => "done") }, { concurrency: 1 });
    const remote = caller.rpc<{ wait(): Promise<string> }>(server.id, "one/1");
    const codes = Array.from({ length: 1_030 }, () => codeOf(remote.wait()));
    // One runs, 1,024 wait, five are refused.
    for (const code of codes.slice(1_025)) expect(await code).toBe("rpc/busy");
    release.open();
    expect(new Set(await Promise.all(codes.slice(0, 1_025)))).toEqual(new Set(["none"]));
  });

  test("a session lost during a call fails it, once; the next call connects again", async () => {
    const { server, caller } = await pair();
    const begun = gate();
    let ran = 0;
    server.serve("lost/1", {
      hang: () => {
        ran += 1;
        begun.open();
        return new Promise(() => {});
      },
      async *feed() {
        yield 1;
        await new Promise(() => {});
      },
      quick: () => "quick",
    });
    const remote = caller.rpc<{ hang(): Promise<void>; feed(): AsyncIterable<number>; quick(): string }>(
      server.id,
      "lost/1",
    );
    const code = codeOf(remote.hang());
    const iterator = (await remote.feed())[Symbol.asyncIterator]();
    await iterator.next();
    const next = codeOf(iterator.next());
    await begun.opened;
    const [session] = caller.sessions();
    const closed = session && once(session, "close");
    await server.sessions()[0]?.close();
    await closed;
    expect(await code).toBe("rpc/interrupted");
    expect(await next).toBe("rpc/interrupted");
    expect(await remote.quick()).toBe("quick");
    expect(ran).toBe(1);
    await server.close();
    expect(await codeOf(caller.rpc<typeof calc>(server.id, "lost/1", { timeoutMs: 500 }).add(1, 2))).not.toBe(
      "none",
    );
  });

  test("a peer that closes ends its calls, and those to it", async () => {
    const { server, caller } = await pair();
    const begun = gate();
    server.serve("hang/1", {
      hang: () => {
        begun.open();
        return new Promise(() => {});
      },
    });
    const remote = caller.rpc<{ hang(): Promise<void> }>(server.id, "hang/1");
    const code = codeOf(remote.hang());
    await begun.opened;
    await caller.close();
    expect(await code).toBe("peer/closed");
    expect(await codeOf(remote.hang())).toBe("peer/closed");
  });
});

test("errors keep their codes; what has none says nothing", async () => {
  const { server, caller } = await pair();
  const secret = "/home/somebody/secret";
  const thrown: Record<string, unknown> = {
    ours: new PeerloomError("files/not-found", "That is not shared here."),
    app: Object.assign(new Error("Only 3 left."), { code: "shop/out-of-stock" }),
    long: Object.assign(new Error("m".repeat(5_000)), { code: "shop/long" }),
    longCode: Object.assign(new Error(secret), { code: "c".repeat(65) }),
    plain: new TypeError(secret),
    system: Object.assign(new Error(secret), { code: "ENOENT", syscall: "open" }),
    text: secret,
    nothing: undefined,
  };
  server.serve("throws/1", {
    fail(name: string) {
      throw thrown[name];
    },
  });
  const remote = caller.rpc<{ fail(name: string): void }>(server.id, "throws/1");
  const errorOf = (name: string): Promise<unknown> => remote.fail(name).catch((error: unknown) => error);
  const ours = await errorOf("ours");
  expect(ours).toBeInstanceOf(PeerloomError);
  expect(ours).toMatchObject({ code: "files/not-found", message: "That is not shared here." });
  const app = await errorOf("app");
  expect(app).toBeInstanceOf(RemoteError);
  expect(app).toMatchObject({ code: "shop/out-of-stock", message: "Only 3 left." });
  expect(String((app as Error).stack)).not.toContain("throws/1");
  expect(await errorOf("long")).toMatchObject({ code: "shop/long", message: "m".repeat(1_000) });
  for (const name of ["longCode", "plain", "system", "text", "nothing"]) {
    const error = await errorOf(name);
    expect(error).toMatchObject({ code: "rpc/failed" });
    expect(JSON.stringify(error) + String(error)).not.toContain(secret);
  }
});

test("calls and streams go through the relay too", async () => {
  const edge = await openEdge();
  const server = await openPeer({ edge: edge.url, only: "relay" });
  const caller = await openPeer({ edge: edge.url, only: "relay" });
  server.serve("calc/1", calc);
  const remote = caller.rpc<typeof calc>(server.id, "calc/1");
  expect(await Promise.all(Array.from({ length: 200 }, (_, n) => remote.add(n, 1)))).toHaveLength(200);
  expect(await collect(remote.doubled(numbers(2_000)))).toHaveLength(2_000);
  expect(caller.sessions()[0]?.path.kind).toBe("relay");
});

test("calls through the relay without a pause between them are slowed in the end, and none fails", async () => {
  const edge = await openEdge(0, { EDGE_ADMIN_TOKEN: TOKEN });
  const server = await openPeer({ edge: edge.url, only: "relay" });
  const caller = await openPeer({ edge: edge.url, only: "relay" });
  server.serve("calc/1", calc);
  const session = await caller.connect(server.id);
  const moves: string[] = [];
  session.addEventListener("path", () => void moves.push(session.path.kind));
  const { add } = caller.rpc<typeof calc>(server.id, "calc/1");
  const startMs = performance.now();
  const calls = 300 + RELAY_MESSAGES_BURST / 2;
  for (let n = 0; n < calls; n++) expect(await add(n, 1)).toBe(n + 1);
  const seconds = (performance.now() - startMs) / 1_000;
  const { networks } = await costOf(edge.url);
  const messages = networks.reduce((sum, { usage }) => sum + usage.messages, 0);
  expect(messages).toBeGreaterThanOrEqual(2 * calls);
  const paced = RELAY_MESSAGES_BURST / 2 + (seconds + 1) * (RELAY_MESSAGES_PER_SECOND / 2);
  expect(messages).toBeLessThan(2 * paced);
  expect(moves).toEqual([]);
});
