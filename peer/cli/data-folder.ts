/**
 * Where a process keeps its identity and what it needs to start again. A server (`up`, `share`) must own the folder.
 * A command that ends by itself (`get`, `ping`) owns it when it is free and else comes as a guest: a folder of its own
 * inside, with an identity that lasts as long as the command. So `share` in one terminal, `get` in another and
 * `status` in a third work with the default folder, and two peers never run under one identity.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { PeerloomError } from "../../shared/errors.ts";
import { birthOf, isAlive } from "../adapters/node/process-lock.ts";
import { lockFolder } from "./folder-lock.ts";

export interface DataFolder {
  /** The folder that was asked for: there `status` looks for the peer that runs on it. */
  readonly path: string;
  /** Where this process's peer keeps its state: the folder itself, or a guest's folder inside. */
  readonly statePath: string;
  readonly role: "owner" | "guest";
  /** Gives the lock back, or removes the guest's folder. Harmless twice. */
  close(): Promise<void>;
  /** The same from a process's `exit` handler. */
  closeNow(): void;
}

const GUESTS_NAME = "guests";

/** `--data`, else `$XDG_DATA_HOME/peerloom`, else `~/.peerloom`. */
export function dataFolderPath(
  option: string | undefined,
  host: {
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly homeFolder: string;
    readonly workingFolder: string;
  },
): string {
  if (option !== undefined) return resolve(host.workingFolder, option);
  const xdg = host.environment["XDG_DATA_HOME"] ?? "";
  // The XDG specification says that a relative path is to be ignored.
  return xdg.startsWith("/") ? join(xdg, "peerloom") : join(host.homeFolder, ".peerloom");
}

/**
 * Opens the folder for one process, making it when it is absent (0700).
 * @param role `owner` fails when another process owns the folder; `any` comes as a guest then
 * @throws PeerloomError `data/locked`, `data/unwritable`
 */
export async function openDataFolder(
  path: string,
  command: string,
  role: "owner" | "any",
): Promise<DataFolder> {
  await makeFolder(path);
  await removeDeadGuests(path);
  try {
    const lock = await lockFolder(path, command);
    return {
      path,
      statePath: path,
      role: "owner",
      close: () => lock.release(),
      closeNow: () => lock.releaseNow(),
    };
  } catch (error) {
    if (role === "any" && error instanceof PeerloomError && error.code === "data/locked")
      return openGuestFolder(path);
    throw error;
  }
}

async function openGuestFolder(path: string): Promise<DataFolder> {
  const birth = await birthOf(process.pid);
  const statePath = join(path, GUESTS_NAME, `${process.pid}-${birth}-${randomUUID()}`);
  await makeFolder(statePath);
  return {
    path,
    statePath,
    role: "guest",
    close: () => rm(statePath, { recursive: true, force: true }),
    closeNow: () => rmSync(statePath, { recursive: true, force: true }),
  };
}

/** A guest that was killed leaves its folder; whoever comes next takes it away. */
async function removeDeadGuests(path: string): Promise<void> {
  const guests = join(path, GUESTS_NAME);
  for (const name of await readdir(guests).catch(() => [])) {
    const match = /^(\d+)-(\d*)-/.exec(name);
    if (match === null || (await isAlive({ pid: Number(match[1]), birth: match[2] ?? "" }))) continue;
    await rm(join(guests, name), { recursive: true, force: true });
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new PeerloomError(
      "data/unwritable",
      `Cannot make the data folder ${path}. Choose another with --data DIR.`,
      { cause },
    );
  }
}
