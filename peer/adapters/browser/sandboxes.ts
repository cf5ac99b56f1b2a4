/** Threads for modules, whose code is loaded with the first. */
import type { Sandbox, SandboxHost } from "../../runtime.ts";

/** @param servedBy origin of the edge that served this script, if one did */
export function browserSandboxes(servedBy: string | null): SandboxHost {
  return { cores: navigator.hardwareConcurrency, start: () => new LaterSandbox(servedBy) };
}

class LaterSandbox implements Sandbox {
  readonly #sandbox: Promise<Sandbox>;

  constructor(servedBy: string | null) {
    this.#sandbox = import("./sandbox.ts").then(({ startSandbox }) => startSandbox(servedBy));
    this.#sandbox.catch(() => {}); // The first call says it.
  }

  async load(...call: Parameters<Sandbox["load"]>): Promise<void> {
    await (await this.#sandbox).load(...call);
  }

  async run(...call: Parameters<Sandbox["run"]>): Promise<Uint8Array> {
    return (await this.#sandbox).run(...call);
  }

  async kill(): Promise<void> {
    const sandbox = await this.#sandbox.catch(() => undefined);
    await sandbox?.kill();
  }
}
