/**
 * All benchmarks one after the other, a JSON line each; or those that are named: `npm run bench -- bulk latency`.
 * Options are each benchmark's own: run its file.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ALL = [
  "bulk",
  "distance",
  "latency",
  "idle",
  "connect",
  "memory",
  "files",
  "swarm",
  "overlay",
  "topics",
  "feeds",
  "compute",
  "workers",
  "rpc",
  "peerjs",
  "edge",
];

const named = process.argv.slice(2);
const unknown = named.find((name) => !ALL.includes(name));
if (unknown !== undefined) {
  process.stderr.write(`No benchmark "${unknown}"; there are ${ALL.join(", ")}.\n`);
  process.exit(2);
}
for (const name of named.length > 0 ? named : ALL) {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, [file], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
