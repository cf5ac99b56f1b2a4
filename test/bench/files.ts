/**
 * A file from disk to disk, verified: `share` in one process, `get` in another, beside the same bytes over a bare socket
 * (`raw-tcp`, memory to memory). `node test/bench/files.ts [--stacks A,B] [--rounds 3] [--mib 1024]`
 */
import { randomFillSync } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBenchmark } from "./lib/benchmark.ts";
import { withTrio } from "./lib/processes.ts";

const BLOCK_BYTES = 1024 * 1024;
const SHARE_MS_MAX = 600_000;

const folder = await mkdtemp(join(tmpdir(), "peerloom-bench-"));
let made: string | undefined;

/** Random, so that nothing on the way can shrink it. Made once a run. */
async function sourceFile(mib: number): Promise<string> {
  if (made !== undefined) return made;
  made = join(folder, "source.bin");
  const file = await open(made, "w");
  const block = new Uint8Array(BLOCK_BYTES);
  for (let i = 0; i < mib; i++) await file.write(randomFillSync(block));
  await file.close();
  return made;
}

try {
  await runBenchmark({
    name: "files",
    stacks: ["raw-tcp", "peerloom-tcp", "peerloom-webrtc", "peerloom-relay"],
    rounds: 3,
    numbers: { mib: 1_024 },
    ratios: [
      { of: "peerloom-tcp", to: "raw-tcp", figure: "mbPerSecond" },
      { of: "peerloom-relay", to: "peerloom-tcp", figure: "mbPerSecond" },
    ],
    measure: (stack, { mib = 0 }) =>
      withTrio(stack, async ({ listener, dialler, usage }) => {
        const bytes = mib * 2 ** 20;
        let seconds: number;
        let shareSeconds = 0;
        if (stack === "raw-tcp") seconds = await dialler.call("bulk", { bytes, chunkBytes: 65_536 });
        else {
          const path = await sourceFile(mib);
          const startMs = performance.now();
          const ticket = await listener.call("share", { path }, SHARE_MS_MAX);
          shareSeconds = (performance.now() - startMs) / 1000;
          const target = join(folder, `${stack}.bin`);
          seconds = await dialler.call("get", { ticket, path: target }, SHARE_MS_MAX);
          await rm(target);
        }
        const [sharer, getter] = await usage(false);
        return {
          mbPerSecond: bytes / 1e6 / seconds,
          shareSeconds,
          sharerMiBPeak: (sharer?.residentBytesPeak ?? 0) / 2 ** 20,
          getterMiBPeak: (getter?.residentBytesPeak ?? 0) / 2 ** 20,
        };
      }),
  });
} finally {
  await rm(folder, { recursive: true, force: true });
}
