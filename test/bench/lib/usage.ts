/** What a process has cost so far. Children (workerd) are read from /proc, where there is one. */
import { readdirSync, readFileSync } from "node:fs";
import type { Usage } from "./operations.ts";

/** The kernel's unit of /proc times, 100 a second on every Linux. */
const TICKS_PER_SECOND = 100;

export function ownUsage(collect: boolean): Usage {
  const { gc } = globalThis as { gc?: () => void };
  if (collect) for (let i = 0; i < 3; i++) gc?.();
  const { user, system } = process.cpuUsage();
  const usage = {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    residentBytesPeak: process.resourceUsage().maxRSS * 1024,
  };
  for (const child of descendants(process.pid)) {
    const spent = usageOf(child);
    usage.cpuSeconds += spent.cpuSeconds;
    usage.residentBytes += spent.residentBytes;
    usage.residentBytesPeak += spent.residentBytesPeak;
  }
  return usage;
}

function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  try {
    for (const name of readdirSync("/proc")) {
      if (/^\d+$/.test(name)) parents.set(Number(name), Number(statOf(Number(name))[1]));
    }
  } catch {
    return []; // No /proc: children are not counted.
  }
  const belongs = (child: number): boolean => {
    const parent = parents.get(child);
    return parent !== undefined && (parent === pid || belongs(parent));
  };
  return [...parents.keys()].filter((child) => child !== pid && belongs(child));
}

function usageOf(pid: number): Usage {
  const stat = statOf(pid);
  const status = read(`/proc/${pid}/status`);
  const kibibytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return {
    cpuSeconds: (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) / TICKS_PER_SECOND,
    residentBytes: kibibytes("VmRSS") * 1024,
    residentBytesPeak: kibibytes("VmHWM") * 1024,
  };
}

/** The fields of /proc/PID/stat behind the command's name, state first. */
function statOf(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
