/** Modules that were run lately, by hash, so that each is sent to a worker once. */

/** Eight of the largest, or many of the usual size. */
const BYTES_MAX: number = 32 * 1024 * 1024;
const MODULES_MAX = 64;

export class ModuleCache {
  readonly #modules = new Map<string, Uint8Array>();
  #bytes = 0;

  get(hash: string): Uint8Array | undefined {
    const module = this.#modules.get(hash);
    if (module !== undefined) {
      // Used last, forgotten last.
      this.#modules.delete(hash);
      this.#modules.set(hash, module);
    }
    return module;
  }

  set(hash: string, module: Uint8Array): void {
    this.#forget(hash);
    this.#modules.set(hash, module);
    this.#bytes += module.length;
    for (const oldest of this.#modules.keys()) {
      if (this.#bytes <= BYTES_MAX && this.#modules.size <= MODULES_MAX) break;
      this.#forget(oldest);
    }
  }

  #forget(hash: string): void {
    this.#bytes -= this.#modules.get(hash)?.length ?? 0;
    this.#modules.delete(hash);
  }
}
