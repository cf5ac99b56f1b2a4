/** Modules under Deno, whose threads cannot be ended: what they give, and that nothing of them is left. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Command, cpuMs, descendants, isRunning, ROOT } from "./command.ts";

const ENTRY = join(ROOT, "test", "integration", "deno-sandbox.ts");
/** Under way for certain, rather than starting. */
const SPUN_MS = 300;

const start = (): Command => new Command([], { runtime: "deno", entry: ENTRY });

/** The processes of it, the program's first, once a module has used the processor for a while. */
async function spinning(command: Command): Promise<number[]> {
  const pids = [command.pid, ...(await descendants(command.pid))];
  const used = async (): Promise<number> => Math.max(...(await Promise.all(pids.map(cpuMs))));
  const before = await used();
  await expect.poll(used, { timeout: 30_000 }).toBeGreaterThan(before + SPUN_MS);
  return pids;
}

test("modules end as they do elsewhere, and one that never does is ended with all that runs it", async () => {
  const command = start();
  expect(await command.wait("ends")).toMatchObject({
    codes: {
      increment: "true",
      trap: "compute/trap",
      hog: "compute/memory-limit",
      chatterbox: "compute/too-large",
      liar: "compute/trap",
      diver: "compute/stack-limit",
      nonsense: "compute/module-invalid",
      ended: "compute/unavailable",
    },
  });
  await command.wait("spinning");
  const [, ...pids] = await spinning(command);
  command.kill("SIGUSR2");
  const { code, usedShare } = await command.wait("rested");
  expect(code).toBe("compute/unavailable");
  expect(usedShare).toBeLessThan(0.1);
  expect(pids.filter(isRunning)).toEqual([]);
});

test("a module that never ends ends with a parent that is killed", async () => {
  const command = start();
  await command.wait("spinning");
  const pids = await spinning(command);
  await command.stop("SIGKILL");
  await expect.poll(() => pids.filter(isRunning), { timeout: 20_000 }).toEqual([]);
});
