/**
 * Which network a command is for. A secret and an invite come by the environment or a file, never as words of the command line: those are
 * shown to every user of the machine and kept in the shell's history.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { utf8Decode } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { CommandContext } from "./command.ts";
import type { PeerOpenOptions } from "./peer-contract.ts";

/** Longer than any invite. */
const TEXT_BYTES_MAX = 8_192;
const STDIN = "-";

/** @throws PeerloomError `usage/invalid` */
export async function networkOptions({
  options,
  host,
}: Pick<CommandContext, "options" | "host">): Promise<
  Pick<PeerOpenOptions, "network" | "secret" | "invite">
> {
  const { network, inviteFile, secretFile } = options;
  const variables = host.environment;
  // What was asked for on the command line is meant more than what stands in the environment.
  const fromEnvironment = inviteFile === undefined && secretFile === undefined;
  const read = async (file: string | undefined, name: string): Promise<string | undefined> => {
    if (file !== undefined) return readText(file, host);
    const value = fromEnvironment ? (variables[name] ?? "").trim() : "";
    return value === "" ? undefined : value;
  };
  const invite = await read(inviteFile, "PEERLOOM_INVITE");
  const secret = await read(secretFile, "PEERLOOM_SECRET");
  return {
    ...(network !== undefined && { network }),
    ...(invite !== undefined && { invite }),
    ...(secret !== undefined && { secret }),
  };
}

async function readText(file: string, host: CommandContext["host"]): Promise<string> {
  if (file === STDIN) return utf8Decode(await host.readInput(TEXT_BYTES_MAX)).trim();
  try {
    return (await readFile(resolve(host.workingFolder, file), "utf8")).trim();
  } catch (cause) {
    throw new PeerloomError("usage/invalid", `${file} cannot be read.`, { cause });
  }
}
