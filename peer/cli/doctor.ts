/** `doctor`: what of this machine's way to others works, and the one thing to do where something does not. */
import type { Check, Finding } from "../api/diagnosis/finding.ts";
import type { NodeDiagnoseOptions } from "../node.ts";
import { networkKindOf, requireNetworkName } from "../../shared/ids.ts";
import type { Command, CommandContext } from "./command.ts";
import { dataFolderPath, openDataFolder } from "./data-folder.ts";
import { networkOptions } from "./network-options.ts";
import { untilAborted } from "../overlay/abort.ts";

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
    context.output.note("Looking …");
    const options = await diagnoseOptions(context);
    if (!needsMember(options)) return look(context, options);
    // An invite counts whom it lets in, so that the one who is in already looks, if it does not run just now.
    const { path, statePath, close } = await openDataFolder(
      dataFolderPath(context.options.data, context.host),
      context.command.name,
      "any",
    );
    try {
      return await look(context, { ...options, dataDir: statePath, networksDir: path });
    } finally {
      await close();
    }
  },
};

async function look(context: CommandContext, options: NodeDiagnoseOptions): Promise<"done" | "unwell"> {
  const { host, signal } = context;
  const findings = host.diagnose(options);
  let isWell = false;
  for (;;) {
    const { value, done } = await untilAborted(findings.next(), signal);
    if (done === true) break;
    isWell = value.kind === "verdict" && value.code === "ok";
    tell(value, context);
  }
  return isWell ? "done" : "unwell";
}

/** Whether the way to a peer leads into a network by invite. */
function needsMember({ to, network, invite }: NodeDiagnoseOptions): boolean {
  if (to === undefined) return false;
  return (
    invite !== undefined || (network !== undefined && networkKindOf(requireNetworkName(network)) === "invite")
  );
}

async function diagnoseOptions(context: CommandContext): Promise<NodeDiagnoseOptions> {
  const { options, values, signal } = context;
  const { edge, listen, mapPorts, bootstrap, only, lan } = options;
  const to = values.text("to");
  const stun = values.texts("stun");
  return {
    ...(await networkOptions(context)),
    ...(edge === undefined ? {} : { edge }),
    ...(listen === undefined ? {} : { listen }),
    ...(mapPorts === undefined ? {} : { mapPorts }),
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
