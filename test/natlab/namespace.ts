/**
 * Network namespaces of Linux (ip-netns(8)), named after the process that made them, so that whatever a killed run has left behind is
 * found and swept by the next one. The machine's own network is never touched: every interface is made inside a namespace.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import process from "node:process";
import type { Readable } from "node:stream";

const PREFIX = "plab";
const NAME = /^plab-(\d+)-/;
const NETNS_FOLDER = "/run/netns";
const COMMAND_TIMEOUT_MS = 20_000;

/** Runs a command to its end. @throws Error with what it said */
export function command(program: string, words: readonly string[], input = ""): string {
  return execFileSync(program, words, {
    input,
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Why no laboratory can be built here, or undefined when it can. */
export function whyImpossible(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "only root may make network namespaces";
  const probe = `${PREFIX}-${process.pid}-probe`;
  try {
    command("ip", ["netns", "add", probe]);
  } catch (error) {
    return `no network namespace can be made: ${String(error).slice(0, 200)}`;
  }
  try {
    command("ip", ["-n", probe, "link", "add", "br0", "type", "bridge"]);
    const rules =
      "table ip probe {\n chain post {\n type nat hook postrouting priority srcnat; masquerade\n }\n }";
    command("ip", ["netns", "exec", probe, "nft", "-f", "-"], rules);
    return undefined;
  } catch (error) {
    return `nft, NAT or bridges are missing: ${String(error).slice(0, 200)}`;
  } finally {
    remove(probe);
  }
}

/** Removes the namespaces of runs that are over. */
export function sweep(): void {
  let names: string[];
  try {
    names = readdirSync(NETNS_FOLDER);
  } catch {
    return; // Nothing was ever made here.
  }
  for (const name of names) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (pid > 0 && !isRunning(pid)) remove(name);
  }
}

/** A child of the laboratory, inside a namespace. */
export type NamespacedProcess = ChildProcessByStdio<null, Readable, Readable>;

let made = 0;

export class Namespace {
  readonly name: string;

  constructor(label: string) {
    this.name = `${PREFIX}-${process.pid}-${made++}-${label}`;
    command("ip", ["netns", "add", this.name]);
    this.ip("link", "set", "lo", "up");
    // Addresses are ours alone: nobody has to ask whether they are taken.
    this.set("net/ipv6/conf/all/accept_dad", "0");
    this.set("net/ipv6/conf/default/accept_dad", "0");
  }

  /** `ip WORDS` inside. */
  ip(...words: readonly string[]): void {
    command("ip", ["-n", this.name, ...words]);
  }

  /** Replaces nothing: adds nft rules. */
  rules(text: string): void {
    command("ip", ["netns", "exec", this.name, "nft", "-f", "-"], text);
  }

  /** Drops everything that comes and goes, loopback aside, or lets it pass again. */
  cut(isCut: boolean): void {
    const chain = (hook: string): string =>
      `chain ${hook} { type filter hook ${hook} priority -200; policy drop; ${hook === "input" ? "iif" : "oif"} "lo" accept; }`;
    this.rules(
      isCut ? `table inet cut {\n${chain("input")}\n${chain("output")}\n}` : "delete table inet cut",
    );
  }

  /** A value below /proc/sys. */
  set(key: string, value: string): void {
    command("ip", ["netns", "exec", this.name, "tee", `/proc/sys/${key}`], value);
  }

  forward(): void {
    this.set("net/ipv4/ip_forward", "1");
    this.set("net/ipv6/conf/all/forwarding", "1");
  }

  /** A switch. What passes through it is not the firewall's business, even where br_netfilter is loaded. */
  bridge(device: string): void {
    this.ip("link", "add", device, "type", "bridge");
    for (const family of ["iptables", "ip6tables"]) {
      const key = `net/bridge/bridge-nf-call-${family}`;
      if (existsSync(`/proc/sys/${key}`)) this.set(key, "0");
    }
    this.ip("link", "set", device, "up");
  }

  /** A cable from a device of this one to a port of another's bridge, or to a device of its own there. */
  plug(device: string, other: Namespace, port: string, { bridged = true } = {}): void {
    const far = bridged ? `p${made++}` : port;
    command("ip", [
      "link",
      "add",
      device,
      "netns",
      this.name,
      "type",
      "veth",
      "peer",
      "name",
      far,
      "netns",
      other.name,
    ]);
    this.ip("link", "set", device, "up");
    if (bridged) other.ip("link", "set", far, "master", port);
    other.ip("link", "set", far, "up");
  }

  address(device: string, address: string): void {
    this.ip("address", "add", address, "dev", device, ...(address.includes(":") ? ["nodad"] : []));
  }

  spawn(
    program: string,
    words: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): NamespacedProcess {
    return spawn("ip", ["netns", "exec", this.name, program, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
  }

  /** Ends what runs inside, and removes it with its interfaces. */
  remove(): void {
    remove(this.name);
  }
}

function remove(name: string): void {
  try {
    for (const pid of command("ip", ["netns", "pids", name]).split("\n")) {
      if (pid !== "") process.kill(Number(pid), "SIGKILL");
    }
  } catch {
    // It ended meanwhile.
  }
  try {
    command("ip", ["netns", "delete", name]);
  } catch {
    // The next run sweeps it.
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
