/** One process of a benchmark: helper, listener or dialler of the stack named in its argument. Told what to do by IPC. */
import { firstEcho, ping, pour, sendBulk, serve, sunkBytes } from "./application.ts";
import type { Operations } from "./operations.ts";
import { answerCalls, type Handlers } from "./remote.ts";
import { type Conn, loadStack, type Stack } from "./stack.ts";
import type { ComputeStack } from "../stacks/compute.ts";
import { ownUsage } from "./usage.ts";

const stack: Stack = await loadStack(process.argv[2] ?? "");
const held: Conn[] = [];
let address = "";

const handlers: Handlers<Operations> = {
  async helper() {
    if (stack.helper === undefined) throw new Error("This stack has no helper.");
    return stack.helper();
  },
  listen: ({ helper }) => stack.listen(serve, helper),
  async prepare(args) {
    address = args.address;
    await stack.prepare?.(address, args.helper);
    return null;
  },
  async bulk({ bytes, chunkBytes }) {
    return sendBulk(await stack.dial(address), bytes, stack.chunkBytes ?? chunkBytes);
  },
  async pour({ chunkBytes }) {
    const conn = await stack.dial(address);
    held.push(conn);
    void pour(conn, stack.chunkBytes ?? chunkBytes);
    return null;
  },
  async sunk() {
    return { bytes: sunkBytes(), atMs: performance.now() };
  },
  async latency({ count, bytes }) {
    return ping(await stack.dial(address), count, bytes);
  },
  async connect() {
    const startMs = performance.now();
    const conn = await stack.dial(address);
    await firstEcho(conn);
    const tookMs = performance.now() - startMs;
    await conn.close();
    return tookMs;
  },
  async hold({ count }) {
    for (let i = 0; i < count; i++) {
      if (stack.hold !== undefined) {
        await stack.hold(address);
        continue;
      }
      const conn = await stack.dial(address);
      await firstEcho(conn);
      held.push(conn);
    }
    return null;
  },
  async usage({ collect }) {
    return ownUsage(collect);
  },
  async share({ path }) {
    const { sharePath } = await import("../stacks/peerloom-files.ts");
    return sharePath(stack, path);
  },
  async get({ ticket, path }) {
    const { getTicket } = await import("../stacks/peerloom-files.ts");
    return getTicket(stack, ticket, path);
  },
  async compute(tasks) {
    if (!("compute" in stack)) throw new Error("Only compute stacks run tasks.");
    return (stack as ComputeStack).compute(tasks);
  },
};

answerCalls<Operations>(handlers, async () => {
  await stack.stop?.();
});
