/**
 * Runs scripts of the package at the same time: `node test/together.ts test:integration test:browser`. Two thirds of an integration test
 * is waiting, so browsers have the machine for themselves most of the time. Lines of the first come as they are written, those of the
 * others in one piece when each has ended.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

async function runScript(name: string, isFirst: boolean): Promise<number> {
  const child = spawn("npm", ["run", "-s", name], {
    stdio: ["ignore", isFirst ? "inherit" : "pipe", isFirst ? "inherit" : "pipe"],
    // Windows has a batch file of that name.
    shell: process.platform === "win32",
  });
  const stop = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  const lines: Uint8Array[] = [];
  for (const output of [child.stdout, child.stderr])
    output?.on("data", (bytes: Uint8Array) => lines.push(bytes));
  const [code] = (await once(child, "close")) as [number | null];
  process.stdout.write(Buffer.concat(lines));
  return code ?? 1;
}

const codes = await Promise.all(process.argv.slice(2).map((name, index) => runScript(name, index === 0)));
process.exitCode = Math.max(...codes);
