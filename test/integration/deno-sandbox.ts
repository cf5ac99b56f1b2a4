/**
 * A program with sandboxes, for Deno. Says how each module ends; then runs one that never does, ends that sandbox when it gets
 * SIGUSR2, says how much of a processor it used in the second after that, and begins again with the one that never does.
 */
import { once } from "node:events";
import process from "node:process";
import { nodeSandboxes } from "../../peer/adapters/node/sandbox.ts";
import type { Sandbox } from "../../peer/runtime.ts";
import { PAGE_BYTES, checkModule } from "../../peer/services/compute/module-check.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { chatterbox, diver, hog, increment, liar, spin, trap } from "../wasm/modules.ts";

const PAGES = 16;
const LIMITS = { outputBytesMax: 100_000, memoryBytesMax: PAGES * PAGE_BYTES };
const REST_MS = 1_000;

const say = (event: string, fields: object = {}): void => console.log(JSON.stringify({ event, ...fields }));
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof PeerloomError ? error.code : String(error)),
  );

async function loaded(module: Uint8Array): Promise<Sandbox> {
  const sandbox = nodeSandboxes.start();
  await sandbox.load(checkModule(module).bound(PAGES));
  return sandbox;
}

const sandbox = await loaded(increment);
const output = await sandbox.run(new Uint8Array(90_000).fill(1), LIMITS);
const codes: Record<string, string> = {
  increment: String(output.length === 90_000 && output.every((byte) => byte === 2)),
};
for (const [name, module] of Object.entries({ trap, hog, chatterbox, liar, diver })) {
  await sandbox.load(checkModule(module).bound(PAGES));
  codes[name] = await codeOf(sandbox.run(Uint8Array.of(1), LIMITS));
}
codes["nonsense"] = await codeOf(sandbox.load(new Uint8Array(3)));
await sandbox.kill();
codes["ended"] = await codeOf(sandbox.run(Uint8Array.of(1), LIMITS));
say("ends", { codes });

for (;;) {
  const spinning = await loaded(spin);
  const running = codeOf(spinning.run(Uint8Array.of(1), LIMITS));
  const told = once(process, "SIGUSR2");
  say("spinning");
  await told;
  await spinning.kill();
  const code = await running;
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  const { user, system } = process.cpuUsage(before);
  say("rested", { code, usedShare: (user + system) / 1_000 / REST_MS });
}
