import { expect, test } from "vitest";
import { networks, type NodeDiagnoseOptions } from "../../../peer/node.ts";
import { check, type Finding, type VerdictCode } from "../../../peer/api/diagnosis/finding.ts";
import { ID_B, type RunOptions, start, temporaryFolder } from "./fakes.ts";

function doctor(
  argv: readonly string[],
  code: VerdictCode,
  options: RunOptions = {},
): { asked: NodeDiagnoseOptions[]; running: ReturnType<typeof start> } {
  const asked: NodeDiagnoseOptions[] = [];
  const diagnose = async function* (options: NodeDiagnoseOptions): AsyncGenerator<Finding, void> {
    asked.push(options);
    yield check("udp", true, "STUN sees 203.0.113.1 port 5000");
    await Promise.resolve();
    yield check("nat", null, "unknown");
    yield { kind: "verdict", code, advice: "Do this." };
  };
  return { asked, running: start(["doctor", ...argv], { diagnose, ...options }) };
}

test("doctor prints its checks and the verdict, and ends with 0 when nothing is wrong", async () => {
  const { running } = doctor(["--json"], "ok");
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([
    { event: "check", name: "udp", ok: true, detail: "STUN sees 203.0.113.1 port 5000" },
    { event: "check", name: "nat", ok: null, detail: "unknown" },
    { event: "verdict", code: "ok", advice: "Do this." },
  ]);
});

test("a bad verdict ends with 1, and is no error of the command", async () => {
  const { running } = doctor(["--json"], "udp-blocked");
  expect(await running.exitCode).toBe(1);
  expect(running.stdout.events().map(({ event }) => event)).toEqual(["check", "check", "verdict"]);
  const forPeople = doctor([], "udp-blocked").running;
  expect(await forPeople.exitCode).toBe(1);
  expect(forPeople.stdout.text).toContain("udp-blocked: Do this.");
});

test("what the user says reaches the diagnosis", async () => {
  const words = [
    "--to",
    ID_B,
    "--stun",
    "a:1",
    "--stun",
    "b:2",
    "--edge",
    "http://edge.test",
    "--network",
    "lab",
  ];
  const { asked, running } = doctor(words, "ok");
  await running.exitCode;
  expect(asked).toMatchObject([{ to: ID_B, stun: ["a:1", "b:2"], edge: "http://edge.test", network: "lab" }]);
});

test("a private network is looked at by who is let in: a secret goes along, an invite brings the data folder", async () => {
  const data = await temporaryFolder();
  const network = await networks({ dataDir: data }).create();
  const bySecret = doctor(["--to", ID_B], "ok", { data, environment: { PEERLOOM_SECRET: "s" } });
  expect(await bySecret.running.exitCode).toBe(0);
  expect(bySecret.asked).toMatchObject([{ secret: "s" }]);
  expect(bySecret.asked[0]).not.toHaveProperty("dataDir");
  const byInvite = doctor(["--to", ID_B, "--network", network], "ok", { data });
  expect(await byInvite.running.exitCode).toBe(0);
  expect(byInvite.asked).toMatchObject([{ network, dataDir: data, networksDir: data }]);
});
