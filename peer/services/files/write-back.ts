/**
 * Has the system write out what it was given while more comes. Left to itself it keeps hundreds of megabytes in memory, and who wants to know at the end
 * that all is on the disk waits for them.
 */

/** Given to the system since it was told last, before it is told again. */
const BYTES_AT_ONCE: number = 32 * 1024 * 1024;

export class WriteBack {
  #bytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param bytes were written
   * @param sync writes out the file that they went to
   * @throws what it threw before: a system tells of a failure once, and not again at the end
   */
  wrote(bytes: number, sync: () => Promise<void>): void {
    this.#rethrow();
    this.#bytes += bytes;
    if (this.#bytes < BYTES_AT_ONCE || this.#running !== undefined) return;
    this.#bytes = 0;
    this.#running = sync()
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Nothing runs any more. @throws what `sync` threw */
  async settled(): Promise<void> {
    await this.#running;
    this.#rethrow();
  }

  #rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
