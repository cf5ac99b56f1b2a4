/** Processing power between real peers: found, used, lied to, abused, lost and stopped; in the library and as processes. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Peer } from "../../peer/node.ts";
import {
  BODY_BYTES_MAX,
  decodeFromWorker,
  encodeMessage,
  violation,
  type WorkerMessage,
} from "../../peer/services/compute/protocol.ts";
import { WORK_PROTOCOL } from "../../peer/services/compute/work-protocol.ts";
import { MessageReader } from "../../peer/services/files/protocol.ts";
import { sha256 } from "../../shared/bytes.ts";
import * as modules from "../wasm/modules.ts";
import { Command, descendants, finish, isRunning, startEdge, temporaryFolder } from "./command.ts";
import { codeOf, linkedTo, openEdge, openPeer, openPeerOn } from "./peers.ts";
import { collect, openCircle, pretendToWork, text, workersOf } from "./work.ts";

const INPUTS = Array.from({ length: 60 }, (_, i) => `input ${i}`);
/** Counts down so many times: about 20 ms. */
const BURN = new Uint8Array(Uint32Array.of(20_000_000).buffer);

describe("working peers", () => {
  test("are found by who has tasks, and share them; every result is right", async () => {
    const [asker, a, b] = (await openCircle(3)) as [Peer, Peer, Peer];
    for (const peer of [a, b]) await peer.compute.work({ slots: 1 });
    // Until both have been found, however slow this machine is.
    const inputs = function* (): Generator<Uint8Array> {
      for (let i = 0; i < 40 || run.contributors.length < 2; i++) yield BURN;
    };
    const run = asker.compute.map(modules.burn, inputs());
    const results = await collect(run);
    const { done, given } = run.progress;
    expect([...results.keys()].sort((x, y) => x - y)).toEqual(Array.from({ length: given }, (_, i) => i));
    for (const { value } of results.values()) expect(value).toEqual(BURN);
    expect(workersOf(results)).toEqual(new Set([a.id, b.id]));
    expect(run.progress).toMatchObject({ isComplete: true, rejected: 0 });
    expect(done).toBe(given);
  });

  test("the first result of a warm network is there within a second", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1 });
    // The compiler's share is paid by a first run.
    await collect(asker.compute.map(modules.echo, ["x"]));
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const startMs = performance.now();
      await collect(asker.compute.map(modules.echo, [`warm ${i}`]));
      times.push(performance.now() - startMs);
    }
    expect(Math.min(...times)).toBeLessThan(1_000);
  });

  test("are known to the overlay as providers, until it is taken back", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await using offer = await worker.compute.work();
    expect(offer.slots).toBeGreaterThan(0);
    const key = Buffer.from(await sha256(Buffer.from("peerloom/work/main"))).toString("hex");
    await expect.poll(() => asker.records.providers(key), { timeout: 20_000 }).toEqual([worker.id]);
  });

  test("go on when the edge is gone", async () => {
    const edge = await openEdge();
    const asker = await openPeer({ edge: edge.url, listen: "127.0.0.1:0", webrtc: false });
    const worker = await openPeer({ edge: edge.url, listen: "127.0.0.1:0", webrtc: false });
    await linkedTo(asker, 1);
    await edge.stop();
    await worker.compute.work({ slots: 1 });
    expect(text((await collect(asker.compute.map(modules.increment, ["HAL"]))).get(0)?.value)).toBe("IBM");
  });

  test("work for those they are told to, and within their limits", async () => {
    const [worker, friend, stranger] = (await openCircle(3)) as [Peer, Peer, Peer];
    await worker.compute.work({ slots: 1, allow: [friend.id], memoryPages: 16, announce: false });
    const options = { workers: [worker.id], patienceMs: 1_000, memoryPages: 16 };
    expect((await collect(friend.compute.map(modules.echo, ["x"], options))).size).toBe(1);
    for (const [peer, more] of [
      [stranger, {}],
      [friend, { memoryPages: 17 }],
    ] as const) {
      const failing = collect(peer.compute.map(modules.echo, ["x"], { ...options, ...more }));
      expect(await codeOf(failing)).toBe("compute/no-workers");
    }
  });

  test("inputs are read as they are needed, and results wait for their reader", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1 });
    let given = 0;
    const endless = function* (): Generator<string> {
      for (;;) yield `input ${given++}`;
    };
    let read = 0;
    for await (const { index, value } of asker.compute.map(modules.echo, endless())) {
      expect(text(value)).toBe(`input ${index}`);
      if (++read === 300) break;
    }
    expect(given).toBeLessThan(300 + 1_024 + 256);
  });
});

describe("liars", () => {
  test("one of three lies in every answer: no wrong result, and it is found out and not asked again", async () => {
    const [asker, a, b, liar] = (await openCircle(4)) as [Peer, Peer, Peer, Peer];
    for (const peer of [a, b]) await peer.compute.work({ slots: 1 });
    const impostor = pretendToWork(liar, ({ id }) => ({ kind: "result", id, output: Uint8Array.of(66) }));
    const inputs = function* (): Generator<string> {
      for (let i = 0; i < 60 || run.progress.rejected === 0; i++) yield `input ${i}`;
    };
    const options = { copies: 2, agree: 2, workers: [liar.id] };
    const run = asker.compute.map(modules.echo, inputs(), options);
    const results = await collect(run);
    expect(results.size).toBe(run.progress.given);
    for (const [index, { value }] of results) expect(text(value)).toBe(`input ${index}`);
    expect(workersOf(results)).toEqual(new Set([a.id, b.id]));
    expect(impostor.asked).toBeGreaterThan(0);
    const asked = impostor.offers;
    const again = await collect(asker.compute.map(modules.echo, INPUTS, options));
    expect(again.size).toBe(INPUTS.length);
    expect(impostor.offers).toBe(asked);
  });

  test("one that says a task fails, one that says nothing and one that talks nonsense do no harm", async () => {
    const [asker, honest, failing, silent, mad] = (await openCircle(5)) as [Peer, Peer, Peer, Peer, Peer];
    await honest.compute.work({ slots: 1 });
    pretendToWork(failing, ({ id }) => ({ kind: "failure", id, code: "compute/trap" }));
    pretendToWork(silent, () => undefined);
    pretendToWork(mad, () => ({ kind: "offer", slots: 1, taskMs: 1, wantsModule: true }));
    const results = await collect(asker.compute.map(modules.echo, INPUTS, { copies: 1 }));
    for (const [index, input] of INPUTS.entries()) expect(text(results.get(index)?.value)).toBe(input);
    expect(workersOf(results)).toEqual(new Set([honest.id]));
  });

  test("where all disagree nothing is taken", async () => {
    const [asker, ...liars] = (await openCircle(4)) as [Peer, Peer, Peer, Peer];
    for (const [i, liar] of liars.entries())
      pretendToWork(liar, ({ id }) => ({ kind: "result", id, output: Uint8Array.of(i) }));
    const run = collect(asker.compute.map(modules.echo, ["x"], { copies: 2, agree: 2 }));
    expect(await codeOf(run)).toBe("compute/no-agreement");
  });
});

describe("modules that mean harm", () => {
  test("each is refused or killed by its code, and the worker lives on", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1 });
    const cases = [
      [modules.spin, "compute/time-limit"],
      [modules.spinAtStart, "compute/time-limit"],
      [modules.glutton, "compute/time-limit"],
      [modules.hog, "compute/memory-limit"],
      [modules.trap, "compute/trap"],
      [modules.liar, "compute/trap"],
      [modules.chatterbox, "compute/too-large"],
      [modules.importer, "compute/module-refused"],
      [modules.echo.subarray(0, 20), "compute/module-invalid"],
    ] as const;
    for (const [module, code] of cases) {
      const run = collect(asker.compute.map(module, ["x"], { taskMs: 300 }));
      expect(await codeOf(run)).toBe(code);
      expect((await collect(asker.compute.map(modules.echo, ["x"]))).size).toBe(1);
    }
  });

  test("a worker trusts nobody's check: what a modified peer sends it is refused all the same", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1, memoryPages: 4 });
    const ask = async (
      module: Uint8Array,
      memoryPages: number,
      sent = module,
    ): Promise<WorkerMessage | undefined> => {
      const session = await asker.connect(worker.id);
      const stream = await session.open(WORK_PROTOCOL);
      const writer = stream.writable.getWriter();
      writer.closed.catch(() => {});
      const hash = await sha256(module);
      for (const message of [
        { kind: "ask", hash, memoryPages, taskMs: 1_000 },
        { kind: "module", module: sent },
      ] as const) {
        for (const part of encodeMessage(message)) writer.write(part).catch(() => {});
      }
      const reader = new MessageReader(stream.readable, BODY_BYTES_MAX, violation);
      for (let raw = await reader.next(); raw !== undefined; raw = await reader.next()) {
        const message = decodeFromWorker(raw);
        if (message.kind !== "offer") return message;
      }
      return undefined;
    };
    const refusal = (code: string): unknown => ({ kind: "refusal", code });
    expect(await ask(modules.importer, 4)).toEqual(refusal("compute/module-refused"));
    expect(await ask(modules.echo, 5)).toEqual(refusal("compute/memory-limit"));
    expect(await ask(modules.echo, 1)).toEqual(refusal("compute/memory-limit"));
    expect(await ask(Uint8Array.of(1, 2, 3), 4)).toEqual(refusal("compute/module-invalid"));
    expect(await ask(modules.echo, 4, modules.trap)).toEqual(refusal("compute/protocol"));
    expect((await collect(asker.compute.map(modules.echo, ["x"], { memoryPages: 4 }))).size).toBe(1);
  });

  test("one input of many that traps fails by its number, with one worker as with two", async () => {
    const [asker, a, b] = (await openCircle(3)) as [Peer, Peer, Peer];
    for (const worker of [a, b]) {
      await worker.compute.work({ slots: 1 });
      const run = collect(asker.compute.map(modules.trapOnOne, ["a", Uint8Array.of(1), "b"]));
      await expect(run).rejects.toMatchObject({
        code: "compute/trap",
        message: expect.stringContaining("Input 1") as string,
      });
    }
  });
});

describe("what may go wrong", () => {
  test("a worker that is lost in the middle costs nothing but time", async () => {
    const [asker, a, b] = (await openCircle(3)) as [Peer, Peer, Peer];
    for (const peer of [a, b]) await peer.compute.work({ slots: 1 });
    const seen = new Set<number>();
    let closing: Promise<void> | undefined;
    const inputs = function* (): Generator<Uint8Array> {
      for (let i = 0; i < 40 || closing === undefined; i++) yield BURN;
      for (let i = 0; i < 20; i++) yield BURN;
    };
    const run = asker.compute.map(modules.burn, inputs());
    for await (const { index, by } of run) {
      expect(seen.has(index)).toBe(false);
      seen.add(index);
      if (by.includes(a.id)) closing ??= a.close();
    }
    expect(seen.size).toBe(run.progress.given);
    await closing;
  });

  test("it is stopped by its signal, by leaving the loop and by closing the peer; the worker is free again", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1 });
    const controller = new AbortController();
    const stopped = codeOf(
      collect(asker.compute.map(modules.spin, ["x"], { signal: controller.signal, taskMs: 3_600_000 })),
    );
    const brief = asker.compute.map(modules.echo, INPUTS);
    controller.abort();
    expect(await stopped).toBe("aborted");
    for await (const { value } of brief) {
      expect(value.length).toBeGreaterThan(0);
      break;
    }
    expect(await codeOf(collect(brief))).toBe("usage/invalid");
    const already = collect(asker.compute.map(modules.echo, ["x"], { signal: AbortSignal.abort() }));
    expect(await codeOf(already)).toBe("aborted");
    // The slot that span for ever is needed for this.
    expect((await collect(asker.compute.map(modules.echo, ["x"]))).size).toBe(1);
    const last = codeOf(collect(asker.compute.map(modules.spin, ["x"], { taskMs: 3_600_000 })));
    await asker.close();
    expect(await last).toBe("peer/closed");
    expect(await codeOf(collect(asker.compute.map(modules.echo, ["x"])))).toBe("peer/closed");
  });

  test("nobody works; a host without threads; wrong use: each has its code", async () => {
    const [asker] = (await openCircle(1)) as [Peer];
    const code = (...args: Parameters<Peer["compute"]["map"]>): Promise<string> =>
      codeOf((async () => collect(asker.compute.map(...args)))());
    expect(await code(modules.echo, ["x"], { patienceMs: 300 })).toBe("compute/no-workers");
    expect(await code(modules.echo, ["x"], { copies: 0 })).toBe("usage/invalid");
    expect(await code(modules.echo, ["x"], { copies: 2, agree: 3 })).toBe("usage/invalid");
    expect(await code(modules.echo, ["x"], { workers: ["nobody"] })).toBe("id/invalid");
    expect(await code(modules.echo, ["x"], { memoryPages: 1 })).toBe("compute/memory-limit");
    expect(await code(modules.echo, [new Uint8Array(4 * 1024 * 1024 + 1)])).toBe("compute/too-large");
    expect(await code(modules.echo, [1 as never])).toBe("usage/invalid");
    expect(await code(modules.echo, [])).toBe("none");
    const poor = await openPeerOn(() => ({ sandboxes: undefined }), { edge: null });
    expect(await codeOf(poor.compute.work())).toBe("compute/unavailable");
    const offer = await asker.compute.work({ slots: 1 });
    expect(await codeOf(asker.compute.work())).toBe("usage/invalid");
    await offer.close();
    expect(await codeOf(asker.compute.work({ slots: 0 }))).toBe("usage/invalid");
    await (await asker.compute.work({ slots: 1 })).close();
  });

  test("inputs that fail fail the computation, and are closed when it ends before them", async () => {
    const [asker, worker] = (await openCircle(2)) as [Peer, Peer];
    await worker.compute.work({ slots: 1 });
    const broken = async function* (): AsyncGenerator<string> {
      yield "x";
      throw new TypeError("no more");
    };
    expect(await codeOf(collect(asker.compute.map(modules.echo, broken())))).toBe("usage/invalid");
    const closed = Promise.withResolvers<void>();
    const waiting = async function* (): AsyncGenerator<string> {
      try {
        for (;;) yield "x";
      } finally {
        closed.resolve();
      }
    };
    for await (const { index } of asker.compute.map(modules.echo, waiting())) if (index >= 0) break;
    await closed.promise;
  });
});

test("work and run as processes, on Node and Deno, with an edge and one of them killed", async () => {
  const edge = await startEdge();
  const folder = await temporaryFolder();
  const words = async (): Promise<string[]> => ["--edge", edge, "--data", await temporaryFolder()];
  const node = new Command(["work", "--slots", "1", "--listen", "127.0.0.1:0", ...(await words())]);
  const deno = new Command(["work", "--slots", "1", "--listen", "127.0.0.1:0", ...(await words())], {
    runtime: "deno",
  });
  const ids = [];
  for (const command of [node, deno]) {
    const ready = await command.wait("ready");
    expect(ready).toMatchObject({ slots: 1 });
    ids.push(ready["id"]);
  }
  await writeFile(join(folder, "increment.wasm"), modules.increment);
  await writeFile(join(folder, "spin.wasm"), modules.spin);
  for (const name of ["HAL", "VMS"]) await writeFile(join(folder, name), name);
  const run = async (module: string, ...more: string[]): ReturnType<typeof finish> =>
    finish(["run", module, "--input", "HAL", "VMS", ...more, ...(await words())], { folder });

  const both = await run("increment.wasm", "--copies", "2");
  expect(both.code).toBe(0);
  const results = both.events.filter(({ event }) => event === "result");
  const values = new Map(results.map(({ index, value }) => [index, value]));
  expect(values).toEqual(new Map([[0, "IBM"], [1, "WNT"]])); // prettier-ignore
  for (const { by } of results) expect(new Set(by as string[])).toEqual(new Set(ids));
  expect(both.events.at(-1)).toEqual({ event: "done", results: 2, workers: 2, rejected: 0 });

  expect((await run("spin.wasm", "--time", "1")).events.at(-1)).toMatchObject({
    event: "error",
    code: "compute/time-limit",
  });
  expect((await run("increment.wasm", "--copies", "2")).code).toBe(0);
  const sandboxes = await descendants(deno.pid);
  expect(sandboxes.length).toBeGreaterThan(0);
  await deno.stop("SIGKILL");
  await expect.poll(() => sandboxes.filter(isRunning), { timeout: 20_000 }).toEqual([]);
  const one = await run("increment.wasm", "--workers", String(ids[0]));
  expect(one.events.at(-1)).toEqual({ event: "done", results: 2, workers: 1, rejected: 0 });
  expect(await node.stop()).toBe(0);
});
