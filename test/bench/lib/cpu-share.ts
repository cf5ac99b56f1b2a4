/** Gives a process a fixed share of a core (Linux control groups, root), so that few cores show what many machines would do. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";
/** The scheduler's usual one: a group that has had its share of it waits for the next. */
const PERIOD_US = 100_000;

export class CpuShare {
  readonly #folder: string;

  /** @throws where there are no control groups, or they may not be made */
  constructor(percent: number, pid: number) {
    const isUnified = existsSync(join(ROOT, "cgroup.controllers"));
    if (isUnified && !hasWord(join(ROOT, "cgroup.subtree_control"), "cpu"))
      writeFileSync(join(ROOT, "cgroup.subtree_control"), "+cpu");
    this.#folder = join(ROOT, isUnified ? "" : "cpu", `peerloom-bench-${process.pid}-${pid}`);
    mkdirSync(this.#folder);
    const quotaUs = (PERIOD_US * percent) / 100;
    if (isUnified) this.#write("cpu.max", `${quotaUs} ${PERIOD_US}`);
    else {
      this.#write("cpu.cfs_period_us", String(PERIOD_US));
      this.#write("cpu.cfs_quota_us", String(quotaUs));
    }
    this.#write("cgroup.procs", String(pid));
  }

  /** Once its process has ended. */
  close(): void {
    rmdirSync(this.#folder);
  }

  #write(name: string, value: string): void {
    writeFileSync(join(this.#folder, name), value);
  }
}

function hasWord(path: string, word: string): boolean {
  return readFileSync(path, "utf8").trim().split(" ").includes(word);
}
