/** One process owns a data folder at a time. */
import { join } from "node:path";
import { PeerloomError } from "../../shared/errors.ts";
import { type LockOwner, lockOwner, type ProcessLock, takeLock } from "../adapters/node/process-lock.ts";

const LOCK_NAME = "lock";

/**
 * Takes the lock of an existing folder.
 * @throws PeerloomError `data/locked` when a living process has it, `data/unwritable`
 */
export async function lockFolder(folder: string, command: string): Promise<ProcessLock> {
  try {
    return await takeLock(join(folder, LOCK_NAME), command, (holder) => locked(folder, holder));
  } catch (cause) {
    if (cause instanceof PeerloomError) throw cause;
    throw new PeerloomError(
      "data/unwritable",
      `Cannot write to the data folder ${folder}. Choose another with --data DIR.`,
      { cause },
    );
  }
}

/** The living process that holds the folder, or undefined. */
export function folderOwner(folder: string): Promise<LockOwner | undefined> {
  return lockOwner(join(folder, LOCK_NAME));
}

function locked(folder: string, holder: LockOwner | undefined): PeerloomError {
  return new PeerloomError(
    "data/locked",
    holder === undefined
      ? `The data folder ${folder} is being taken by other processes. Try again.`
      : `The data folder ${folder} is in use by "peerloom ${holder.command}" (process ${holder.pid}). Stop it, or give this one its own with --data DIR.`,
  );
}
