#!/usr/bin/env node
// Starts the command line on whatever Node is there, so it keeps to what Node 20 understands. In an installed package
// it loads dist. In a checkout it runs the TypeScript sources: here when this Node strips types, else with the Node
// that `npm ci` has installed.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import { constants, homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MIN = [22, 12];
const checkoutEntry = new URL("./main.ts", import.meta.url);
const packageEntry = new URL("../../dist/peer/cli/main.js", import.meta.url);

// Node 22.1; Deno keeps what it has compiled by itself.
if (!("Deno" in globalThis)) module.enableCompileCache?.(compiledFolder());

if (!existsSync(checkoutEntry)) {
  const old = !isAtLeast(NODE_MIN);
  if (old)
    fail(
      `peerloom needs Node ${NODE_MIN.join(".")} or newer; this is ${process.versions.node}. Install a newer Node: https://nodejs.org`,
    );
  // Help is text and runs anywhere; its reader learns from the line above what else is needed.
  if (!old || asksForText(process.argv[2])) await import(packageEntry.href);
} else if ("Deno" in globalThis || process.features.typescript) {
  await import(checkoutEntry.href);
} else {
  const node = pinnedNode();
  if (node === undefined)
    fail(
      `This checkout needs Node 22.18 or newer; this is ${process.versions.node}. Run npm ci first, it brings one.`,
    );
  else relaunch(node);
}

// Half of what a start costs is compiling the modules. Not in the shared temporary folder, where Node would keep it: another user of
// the machine could leave code there to be run. NODE_COMPILE_CACHE goes first, and where nothing can be written nothing is kept.
function compiledFolder() {
  const xdg = process.env.XDG_CACHE_HOME ?? "";
  return join(isAbsolute(xdg) ? xdg : join(homedir(), ".cache"), "peerloom", "compiled");
}

function asksForText(word) {
  return [undefined, "help", "--help", "-h", "--version"].includes(word);
}

function isAtLeast([major, minor]) {
  const [ourMajor, ourMinor] = process.versions.node.split(".").map(Number);
  return ourMajor > major || (ourMajor === major && ourMinor >= minor);
}

function pinnedNode() {
  const names = ["node", "node.exe"].map(
    (name) => new URL(`../../node_modules/node/bin/${name}`, import.meta.url),
  );
  const found = names.find((name) => existsSync(name));
  return found && fileURLToPath(found);
}

// The channel tells the child when this process is killed: a peer must not outlive the command that was typed.
function relaunch(node) {
  const child = spawn(node, [fileURLToPath(checkoutEntry), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { NODE_COMPILE_CACHE: compiledFolder(), ...process.env },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => child.kill(signal === "SIGHUP" ? "SIGTERM" : signal));
  child.on("error", (error) => fail(`Cannot start ${node}: ${error.message}. Run npm ci again.`));
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

function fail(message) {
  console.error(`peerloom: ${message}`);
  process.exitCode = 1;
}
