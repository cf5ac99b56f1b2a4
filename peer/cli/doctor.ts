/** `doctor`: what of this machine's way to others works, and the one thing to do where something does not. */
import type { Check, Finding } from "../api/diagnosis/finding.ts";
import type { Command, CommandContext } from "./command.ts";
import { untilAborted } from "./with-peer.ts";

export const doctor: Command = {
  name: "doctor",
  synopsis: "",
  summary: "find out what keeps peers apart; exit code 1 when anything does",
  positionalsMin: 0,
  positionalsMax: 0,
  options: {
    to: {
      type: "string",
      value: "ID",
      help: "look at the way to this peer, and at every path that is tried",
    },
    stun: {
      type: "string",
      multiple: true,
      value: "HOST:PORT",
      help: "ask this STUN server instead of the edge's; two tell what the NAT does",
    },
  },
  serves: false,
  run: async (context) => {
    const { host, signal, output } = context;
    output.note("Looking …");
    const findings = host.diagnose(diagnoseOptions(context));
    let isWell = false;
    for (;;) {
      const { value, done } = await untilAborted(findings.next(), signal);
      if (done === true) break;
      isWell = value.kind === "verdict" && value.code === "ok";
      tell(value, context);
    }
    return isWell ? "done" : "unwell";
  },
};

function diagnoseOptions({
  options,
  values,
  signal,
}: CommandContext): Parameters<CommandContext["host"]["diagnose"]>[0] {
  const { edge, network, listen, bootstrap, only, lan } = options;
  const to = values.text("to");
  const stun = values.texts("stun");
  return {
    ...(edge === undefined ? {} : { edge }),
    ...(network === undefined ? {} : { network }),
    ...(listen === undefined ? {} : { listen }),
    ...(only === undefined ? {} : { only }),
    ...(lan === undefined ? {} : { lan }),
    ...(bootstrap.length === 0 ? {} : { bootstrap }),
    ...(to === undefined ? {} : { to }),
    ...(stun.length === 0 ? {} : { stun }),
    signal,
  };
}

function tell(finding: Finding, { output }: CommandContext): void {
  if (finding.kind === "check") {
    const { name, ok, detail } = finding;
    output.result({ event: "check", name, ok, detail }, `${mark(ok)}  ${name.padEnd(26)}  ${detail}`);
  } else {
    const { code, advice } = finding;
    output.result({ event: "verdict", code, advice }, `\n${code}: ${advice}`);
  }
}

function mark(ok: Check["ok"]): string {
  return ok === null ? " ? " : ok ? "ok " : "no ";
}
