/**
 * workerd outlives a parent that is killed with SIGKILL, and keeps the port. So a small child waits for its standard input to end,
 * which happens however this process dies, and then kills what was left and removes the temporary folder. One watch serves all
 * embedded edges of a process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import process from "node:process";

/** A watch over one edge's folder. */
export interface OrphanWatch {
  /** The folder is gone already; the last one ends the child. */
  close(): Promise<void>;
}

/** Ignores signals that a terminal sends to everybody: the parent decides, and the end of input says that it is gone. */
const SHELL_WATCH = `trap '' INT TERM HUP
pids= ; folders=
while IFS= read -r line; do
  case $line in pids*) pids=\${line#pids} ;; folders*) folders=\${line#folders} ;; esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for folder in $folders; do rm -rf "$folder"; done`;

/** Windows has no such shell. */
const NODE_WATCH = `const fs = require("node:fs");
let pids = [], folders = [];
process.on("SIGINT", () => {}).on("SIGTERM", () => {}).on("SIGHUP", () => {});
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [kind, ...words] = line.split(" ");
  if (kind === "pids") pids = words; else folders = words;
}).on("close", () => {
  for (const pid of pids) try { process.kill(Number(pid), "SIGKILL"); } catch {}
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});`;

const workers = new Set<ChildProcess>();
const folders = new Set<string>();
let watch: ChildProcess | undefined;

/** Call before workerd is started. @param folder removed when this process dies; without spaces */
export function watchOrphans(folder: string): OrphanWatch {
  if (folders.size === 0) begin();
  folders.add(folder);
  tell();
  return {
    close: async () => {
      if (folders.delete(folder)) await (folders.size === 0 ? end() : tell());
    },
  };
}

function begin(): void {
  // Node and Deno announce every child here, and Miniflare's own restarts of workerd are among them.
  subscribe("child_process", onChild);
  const [command, words] =
    process.platform === "win32" ? [process.execPath, ["-e", NODE_WATCH]] : ["/bin/sh", ["-c", SHELL_WATCH]];
  watch = spawn(command, words, { stdio: ["pipe", "ignore", "ignore"], windowsHide: true });
  watch.on("error", () => undefined); // no shell: then there is no watch, as without this file
  watch.stdin?.on("error", () => undefined);
  watch.unref();
}

async function end(): Promise<void> {
  unsubscribe("child_process", onChild);
  const child = watch;
  watch = undefined;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return;
  const exited = once(child, "exit");
  child.ref();
  child.kill("SIGKILL"); // before its input ends: there is nothing left to do for it
  await exited;
}

function onChild(message: unknown): void {
  const child = (message as { readonly process?: ChildProcess }).process;
  child?.once("spawn", () => {
    // Only workerd is started with a control pipe.
    if (!child.spawnargs.some((word) => word.startsWith("--control-fd="))) return;
    workers.add(child);
    child.once("exit", () => {
      workers.delete(child);
      tell();
    });
    tell();
  });
}

function tell(): void {
  const pids = [...workers].map(({ pid }) => pid).join(" ");
  watch?.stdin?.write(`pids ${pids}\nfolders ${[...folders].join(" ")}\n`);
}
