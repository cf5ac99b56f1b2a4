/** What one peer may have under way at one service: so many calls at once, so many waiting, so many bytes of arguments. */

/** Calls waiting behind those that run; past that, or past the bytes, a call fails with `rpc/busy`. */
export const WAITING_MAX = 1_024;
/** Encoded calls, running and waiting. */
export const CALL_BYTES_MAX: number = 16 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  run(): Promise<void>;
}

export class CallQueue {
  readonly #concurrency: number;
  readonly #waiting = new Set<Waiting>();
  #running = 0;
  #bytes = 0;
  #idle: (() => void)[] = [];

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /**
   * Runs it now or when others have ended.
   * @param run never rejects
   * @returns takes it out while it waits; undefined when there is no room
   */
  enter(bytes: number, run: () => Promise<void>): (() => void) | undefined {
    if (this.#waiting.size >= WAITING_MAX || this.#bytes + bytes > CALL_BYTES_MAX) return undefined;
    const waiting: Waiting = { bytes, run };
    this.#bytes += bytes;
    this.#waiting.add(waiting);
    this.#startNext();
    return () => {
      if (this.#waiting.delete(waiting)) this.#left(bytes);
    };
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#waiting.size === 0;
  }

  #startNext(): void {
    for (const waiting of this.#waiting) {
      if (this.#running >= this.#concurrency) return;
      this.#waiting.delete(waiting);
      this.#running += 1;
      void waiting.run().then(() => {
        this.#running -= 1;
        this.#left(waiting.bytes);
      });
    }
  }

  #left(bytes: number): void {
    this.#bytes -= bytes;
    this.#startNext();
    if (this.#isIdle) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
