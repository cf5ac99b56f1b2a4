/**
 * One stream, one way, over distance: two network namespaces with a line between them (test/natlab/line.ts) for each round trip and loss.
 * `node test/bench/distance.ts [--stacks A,B] [--rounds 1] [--warmSeconds 8] [--seconds 10] [--paths 50/0,50/1,100/0,100/1]`, as
 * round trip in ms / loss in percent each way. A JSON line a path. Root and a C compiler are needed; without, it says so and ends well.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openLine, whyNoLine } from "../natlab/line.ts";
import { Namespace, sweep, whyImpossible } from "../natlab/namespace.ts";
import { runBenchmark } from "./lib/benchmark.ts";
import { type Places, withTrio } from "./lib/processes.ts";

const LISTENER_HOST = "10.77.0.1";
const DIALLER_HOST = "10.77.0.2";

const named = process.argv.indexOf("--paths");
const paths = (named < 0 ? "50/0,50/1,100/0,100/1" : (process.argv.splice(named, 2)[1] ?? "")).split(",");
const impossible = whyImpossible() ?? whyNoLine();
if (impossible !== undefined) console.error(`Nothing is measured over distance: ${impossible}.`);
else {
  sweep();
  for (const path of paths) {
    const [rttMs = 0, lossPercent = 0] = path.split("/").map(Number);
    await measureOver(rttMs, lossPercent);
  }
}

async function measureOver(rttMs: number, lossPercent: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "peerloom-line-"));
  const [near, far] = [new Namespace("near"), new Namespace("far")];
  try {
    const ends = [
      { namespace: far, device: "eth0" },
      { namespace: near, device: "eth0" },
    ] as const;
    const line = await openLine(folder, ends, { delayMs: rttMs / 2, loss: lossPercent / 100 });
    far.address("eth0", `${LISTENER_HOST}/24`);
    near.address("eth0", `${DIALLER_HOST}/24`);
    const places: Places = {
      listener: { namespace: far.name, host: LISTENER_HOST },
      dialler: { namespace: near.name, host: DIALLER_HOST },
    };
    await runBenchmark({
      name: `distance ${rttMs} ms, ${lossPercent} % loss`,
      stacks: ["raw-tcp", "raw-datachannel", "hyperdht", "peerloom-webrtc", "peerloom-tcp"],
      rounds: 1,
      numbers: { warmSeconds: 8, seconds: 10, chunkBytes: 65_536 },
      ratios: [
        {
          of: "peerloom-webrtc",
          to: "raw-datachannel",
          figure: "mbPerSecond",
          ...(rttMs === 50 ? { atLeast: lossPercent === 0 ? 5 : 10 } : {}),
        },
        { of: "peerloom-webrtc", to: "raw-tcp", figure: "mbPerSecond" },
        { of: "peerloom-webrtc", to: "hyperdht", figure: "mbPerSecond" },
        { of: "peerloom-tcp", to: "raw-tcp", figure: "mbPerSecond" },
      ],
      measure: (stack, { warmSeconds = 0, seconds = 0, chunkBytes = 0 }) =>
        withTrio(
          stack,
          async ({ listener, dialler }) => {
            await dialler.call("pour", { chunkBytes });
            await sleep(warmSeconds * 1_000);
            const before = await listener.call("sunk", {});
            await sleep(seconds * 1_000);
            const after = await listener.call("sunk", {});
            return { mbPerSecond: (after.bytes - before.bytes) / (after.atMs - before.atMs) / 1_000 };
          },
          places,
        ),
    });
    line.close();
  } finally {
    for (const each of [near, far]) each.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
