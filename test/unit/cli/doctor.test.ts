import { expect, test } from "vitest";
import type { DiagnoseOptions } from "../../../peer/api/diagnosis/diagnose.ts";
import { check, type Finding, type VerdictCode } from "../../../peer/api/diagnosis/finding.ts";
import { ID_B, start } from "./fakes.ts";

function doctor(
  argv: readonly string[],
  code: VerdictCode,
): { asked: DiagnoseOptions[]; running: ReturnType<typeof start> } {
  const asked: DiagnoseOptions[] = [];
  const diagnose = async function* (options: DiagnoseOptions): AsyncGenerator<Finding, void> {
    asked.push(options);
    yield check("udp", true, "STUN sees 203.0.113.1 port 5000");
    await Promise.resolve();
    yield check("nat", null, "unknown");
    yield { kind: "verdict", code, advice: "Do this." };
  };
  return { asked, running: start(["doctor", ...argv], { diagnose }) };
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
