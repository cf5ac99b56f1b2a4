/**
 * A line with delay, jitter and loss between two namespaces. Many kernels lack `sch_netem`, so a small program of ours (line.c, two TAP
 * devices) stands in everywhere: one behaviour to know. It is compiled when first needed. Weighed: Python, which every distribution has and
 * which moves a tenth of the packets; a proxy in Node, which would see streams and not the packets whose loss is the point.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command, type Namespace } from "./namespace.ts";

const SOURCE = fileURLToPath(new URL("./line.c", import.meta.url));
const START_TIMEOUT_MS = 10_000;

export interface LineOptions {
  /** One way: half the round trip it makes. */
  readonly delayMs: number;
  /** Up to so much more, one way; packets stay in order. @default 0 */
  readonly jitterMs?: number;
  /** Of the IP packets, each way, 0 to 1. @default 0 */
  readonly loss?: number;
  /** What is lost follows from it. @default 1 */
  readonly seed?: number;
}

/** One end: the device, made inside that namespace, down and without an address until it is given one. */
export interface LineEnd {
  readonly namespace: Namespace;
  readonly device: string;
}

/** Why no line can be made here, or undefined when it can. */
export function whyNoLine(): string | undefined {
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  try {
    command("cc", ["--version"]);
    return undefined;
  } catch {
    return "there is no C compiler (cc) for test/natlab/line.c";
  }
}

/** Ends with this process too. */
export interface Line {
  close(): void;
}

/** @param folder for the compiled program @throws Error when it cannot be compiled or made */
export async function openLine(
  folder: string,
  [first, second]: readonly [LineEnd, LineEnd],
  { delayMs, jitterMs = 0, loss = 0, seed = 1 }: LineOptions,
): Promise<Line> {
  const program = join(folder, "line");
  if (!existsSync(program)) command("cc", ["-O2", "-o", program, SOURCE]);
  const numbers = [delayMs * 1_000, jitterMs * 1_000, loss * 1_000_000, seed].map((each) =>
    String(Math.round(each)),
  );
  const ends = [first.namespace.name, first.device, second.namespace.name, second.device];
  const child = spawn(program, [...ends, ...numbers], { stdio: ["pipe", "pipe", "inherit"] });
  const gone = once(child, "exit").then(() => {
    throw new Error("The line ended before it was ready.");
  });
  gone.catch(() => {}); // Later it ends because it is closed.
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  await Promise.race([once(child.stdout, "data", { signal }), gone]);
  for (const { namespace, device } of [first, second])
    namespace.ip("link", "set", device, "txqueuelen", "10000", "up");
  return { close: () => void child.stdin.end() };
}
