import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { start } from "./fakes.ts";

const SHORT = ["sim", "--nodes", "60", "--seconds", "4"];
const SMALL = [...SHORT, "--lookups", "40"];

test("sim prints its figures, and the same seed the same bytes", { timeout: 60_000 }, async () => {
  const run = async (seed: string): Promise<string> => {
    const running = start([...SMALL, "--seed", seed, "--json"]);
    expect(await running.exitCode).toBe(0);
    const [event] = running.stdout.events();
    expect(event).toMatchObject({
      event: "done",
      nodes: 60,
      seed,
      lookups: { firstTry: 1, success: 1 },
      edgeMessagesPerPeerHour: 0,
    });
    return running.stdout.text;
  };
  const first = await run("a");
  expect(await run("a")).toBe(first);
  expect(await run("b")).not.toBe(first);
});

test("sim tells people in words", { timeout: 60_000 }, async () => {
  const running = start(SMALL);
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.text).toMatch(/^Simulated in [\d.]+ s, in \d+ MB of memory at most\n60 peers with/);
  expect(running.stdout.text).toContain("100 % at the first try");
});

test.each([
  ["--churn", "soon"],
  ["--churn", "1ms"],
  ["--kill", "1"],
  ["--malicious", "-0.1"],
  ["--loss", "1"],
  ["--nat", "half"],
  ["--nodes", "5"],
])("sim refuses %s %s in one line", async (option, value) => {
  const running = start(["sim", option, value, "--json"]);
  expect(await running.exitCode).toBe(2);
  expect(running.stdout.events()).toMatchObject([{ event: "error", code: "usage/invalid" }]);
});

test("sim refuses more peers than there is memory for", async () => {
  const available = vi.spyOn(process, "availableMemory").mockReturnValue(2_000_000_000);
  onTestFinished(() => available.mockRestore());
  const running = start(["sim", "--nodes", "20000", "--json"]);
  expect(await running.exitCode).toBe(2);
  const [event] = running.stdout.events();
  expect(event).toMatchObject({ event: "error", code: "usage/invalid" });
  expect((event as { message: string }).message).toMatch(/4762 MB of memory, and 2000 MB are free/);
});

test("sim can be stopped in the middle of a simulated second", { timeout: 60_000 }, async () => {
  const running = start(["sim", "--nodes", "3000", "--seconds", "86400"]);
  await running.stderr.contains("Building");
  running.stop();
  expect(await running.exitCode).toBe(130);
});

test("sim cuts a network in two and tells when it is one again", { timeout: 60_000 }, async () => {
  const running = start([...SMALL, "--cut", "20s", "--records", "20", "--json"]);
  expect(await running.exitCode).toBe(0);
  const events = running.stdout.events() as { readonly cut: { readonly mergedMs: number } }[];
  expect(events).toMatchObject([{ records: { count: 20, found: 1 }, lookups: { success: 1 } }]);
  expect(events[0]?.cut.mergedMs).toBeLessThanOrEqual(60_000);
});

test(
  "sim loses packets, and lets half of the peers meet through others only",
  { timeout: 60_000 },
  async () => {
    const run = async (...options: string[]): Promise<{ lookups: { rttMsP99: number; success: number } }> => {
      // The slowest of a hundred has to be among them.
      const running = start([...SHORT, "--lookups", "400", ...options, "--json"]);
      expect(await running.exitCode).toBe(0);
      return running.stdout.events()[0] as { lookups: { rttMsP99: number; success: number } };
    };
    const [quiet, lossy, natted] = [await run(), await run("--loss", "0.05"), await run("--nat", "0.5")];
    expect(lossy.lookups.success).toBe(1);
    expect(lossy.lookups.rttMsP99).toBeGreaterThan(quiet.lookups.rttMsP99 + 150);
    expect(natted).toMatchObject({ lookups: { success: 1 }, records: { found: 1 } });
    expect(natted.lookups).not.toEqual(quiet.lookups);
  },
);
