/**
 * Hands chunks to one reader, in order; what it does not read is not asked for. What it has read is gone, so such a
 * download serves nothing to others.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { ReadWindow } from "./scheduler.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";

/** Chunks that may wait for an earlier one, or for the reader. */
const AHEAD_CHUNKS = 64;

export class ReaderStore implements Store {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #ahead = new Map<number, Uint8Array>();
  readonly #onRead: () => void;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #selection: Selection | undefined;
  #next = 0;
  #wake: (() => void) | undefined;
  #isComplete = false;

  /** @param onRead more chunks are of use now; @param onCancel the reader has gone */
  constructor(onRead: () => void, onCancel: () => void) {
    this.#onRead = onRead;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
  }

  /** Before anything comes. */
  begin(selection: Selection): void {
    this.#selection = selection;
    this.#skipUnwanted();
  }

  get window(): ReadWindow {
    return { next: this.#next, below: this.#next + AHEAD_CHUNKS };
  }

  get isAwaited(): boolean {
    return this.#wake !== undefined;
  }

  holds(): boolean {
    return false;
  }

  readonly read = async (): Promise<void> => {
    throw new PeerloomError("files/not-found", "What was read is gone.");
  };

  async close(): Promise<void> {}

  async resume(): Promise<void> {}

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#ahead.set(index, bytes);
    if (index === this.#next) this.#wake?.();
  }

  async complete(): Promise<void> {
    this.#isComplete = true;
    this.#wake?.();
    if (this.#ahead.size === 0) this.#finish();
  }

  async abandon(error: PeerloomError): Promise<void> {
    this.fail(error);
  }

  /** Tells the reader; a second time is harmless. */
  fail(error: unknown): void {
    this.#controller.error(error);
    this.#wake?.();
  }

  async #pull(): Promise<void> {
    if (!this.#ahead.has(this.#next) && !this.#isComplete) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const bytes = this.#ahead.get(this.#next);
    if (bytes === undefined) return;
    this.#ahead.delete(this.#next);
    const slices = this.#selection?.slices(this.#next) ?? [];
    this.#next += 1;
    this.#skipUnwanted();
    for (const { start, end } of slices) this.#controller.enqueue(bytes.subarray(start, end));
    this.#onRead();
    if (this.#isComplete && this.#ahead.size === 0) this.#finish();
  }

  #skipUnwanted(): void {
    const chunks = this.#selection?.chunks;
    while (chunks !== undefined && this.#next < chunks.count && !chunks.has(this.#next)) this.#next += 1;
  }

  #finish(): void {
    try {
      this.#controller.close();
    } catch {
      // Cancelled or closed before.
    }
  }
}
