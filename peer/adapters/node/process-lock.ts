/**
 * One process has something at a time: a data folder, a part file. The lock is a file that names its owner; it is put in
 * place by `link`, which either succeeds whole or finds one there. A lock whose process is gone (kill -9, power cut) is
 * taken over, by one taker at a time. Node has no flock, so the owner is recognised by pid and, on Linux, by when that
 * pid was born: pids come round again after a restart.
 */
import { constants, readFileSync, unlinkSync } from "node:fs";
import { copyFile, link, readFile, rm, stat, unlink, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Who has it, as written in the lock. */
export interface LockOwner {
  readonly pid: number;
  /** When the pid was born, in the system's own words; "" where it does not tell. */
  readonly birth: string;
  /** The command it runs, for the message that others get. */
  readonly command: string;
  /** Differs for every acquisition. */
  readonly nonce: string;
}

export interface ProcessLock {
  /** Harmless twice. */
  release(): Promise<void>;
  /** The same from a process's `exit` handler, where nothing can be awaited. */
  releaseNow(): void;
}

/** A takeover lasts milliseconds; a file older than this was left by one that crashed in the middle. */
const TAKEOVER_STALE_MS = 5000;
/** Rounds of looking again while others come and go. */
const ATTEMPTS_MAX = 100;
const ATTEMPT_PAUSE_MS = 20;

/**
 * Takes a lock whose file is `path`; its folder is there.
 * @param locked the error when a living process has it; undefined: others are taking it just now
 * @throws that error, and what the file system does
 */
export async function takeLock(
  path: string,
  command: string,
  locked: (holder: LockOwner | undefined) => Error,
): Promise<ProcessLock> {
  const owner: LockOwner = {
    pid: process.pid,
    birth: await birthOf(process.pid),
    command,
    nonce: randomUUID(),
  };
  const text = JSON.stringify(owner);
  // Short, for `path` may be as long as names can be.
  const draft = join(dirname(path), `lock.${owner.pid}.${owner.nonce}`);
  try {
    await writeFile(draft, text, { mode: 0o600, flag: "wx" });
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (await linkOnce(draft, path)) return heldLock(path, text);
      const holder = await readOwner(path);
      if (holder !== undefined && (await isAlive(holder))) throw locked(holder);
      if (!(await removeStale(path, draft))) await sleep(ATTEMPT_PAUSE_MS);
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw locked(undefined);
}

/** The living process that has the lock, or undefined. */
export async function lockOwner(path: string): Promise<LockOwner | undefined> {
  const holder = await readOwner(path);
  return holder !== undefined && (await isAlive(holder)) ? holder : undefined;
}

/** True while the process of that pid and birth runs. */
export async function isAlive(owner: Pick<LockOwner, "pid" | "birth">): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false; // else it lives, and belongs to somebody else
  }
  const birth = await birthOf(owner.pid);
  return owner.birth === "" || birth === "" || birth === owner.birth;
}

/** Field 22 of /proc/PID/stat, counted behind the command's closing parenthesis; "" elsewhere. */
export async function birthOf(pid: number): Promise<string> {
  try {
    const line = await readFile(`/proc/${pid}/stat`, "utf8");
    return line.slice(line.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

/** Removes a lock whose owner is gone. Only the one who holds the takeover file may; false: somebody else does. */
async function removeStale(path: string, draft: string): Promise<boolean> {
  const takeover = `${path}.takeover`;
  if (!(await linkOnce(draft, takeover))) {
    const found = await stat(takeover).catch(() => undefined);
    // ctime: the draft may be old, linking it is what renews it.
    if (found !== undefined && Date.now() - found.ctimeMs > TAKEOVER_STALE_MS)
      await rm(takeover, { force: true });
    return false;
  }
  try {
    const holder = await readOwner(path);
    if (holder === undefined || !(await isAlive(holder))) await rm(path, { force: true });
    return true;
  } finally {
    await rm(takeover, { force: true });
  }
}

function heldLock(path: string, text: string): ProcessLock {
  let held = true;
  return {
    release: async () => {
      if (!held) return;
      held = false;
      if ((await readFile(path, "utf8").catch(() => "")) === text) await unlink(path).catch(() => undefined);
    },
    releaseNow: () => {
      if (!held) return;
      held = false;
      try {
        if (readFileSync(path, "utf8") === text) unlinkSync(path);
      } catch {
        // The process is ending; the next one finds a lock without an owner and takes it.
      }
    },
  };
}

/** True when the link was made, false when something stands there already. */
async function linkOnce(from: string, to: string): Promise<boolean> {
  try {
    // Not every drive has hard links; a copy is not there whole at once, but it is there once.
    await link(from, to).catch((error: unknown) =>
      codeOf(error) === "EEXIST"
        ? Promise.reject(error as Error)
        : copyFile(from, to, constants.COPYFILE_EXCL),
    );
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Undefined when there is no lock, or one that no version of ours wrote. */
async function readOwner(path: string): Promise<LockOwner | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { pid, birth, command, nonce } = value as Partial<Record<keyof LockOwner, unknown>>;
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return { pid, birth: textOf(birth), command: textOf(command), nonce: textOf(nonce) };
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
