/**
 * Hands chunks to one reader, in order; what it does not read is not asked for. What waits for it, and a little of what it has read,
 * is served to others, so that those who read the same at the same time fetch little of it twice.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Manifest } from "./manifest.ts";
import type { ReadWindow } from "./scheduler.ts";
import type { Selection } from "./selection.ts";
import type { Store } from "./store.ts";

/** What may wait for an earlier chunk, or for the reader. */
const AHEAD_BYTES: number = 16 * 1024 * 1024;
/** What the reader has had and others may still ask for. */
const BEHIND_BYTES: number = 16 * 1024 * 1024;
/** Of the largest chunks one is read while the next comes. */
const CHUNKS_MIN = 2;

export interface ReaderEvents {
  /** More chunks are of use now. */
  onRead(): void;
  /** A chunk can be read again no longer. */
  onForgot(index: number): void;
  /** The reader has gone. */
  onCancel(): void;
}

export class ReaderStore implements Store {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #chunks = new Map<number, Uint8Array>();
  /** Of these, those that were read, in that order. */
  readonly #behind: number[] = [];
  readonly #events: ReaderEvents;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #chunkBytes = 1;
  #selection: Selection | undefined;
  #next = 0;
  #wake: (() => void) | undefined;
  #isComplete = false;

  constructor(events: ReaderEvents) {
    this.#events = events;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => events.onCancel(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Before anything comes. */
  begin({ chunkBytes }: Manifest, selection: Selection): void {
    this.#chunkBytes = chunkBytes;
    this.#selection = selection;
    this.#skipUnwanted();
  }

  get window(): ReadWindow {
    return { next: this.#next, below: this.#next + this.#chunksIn(AHEAD_BYTES) };
  }

  get isAwaited(): boolean {
    return this.#wake !== undefined;
  }

  holds(): boolean {
    return true;
  }

  readonly read = async (into: Uint8Array, offset: number): Promise<void> => {
    const chunk = this.#chunks.get(offset / this.#chunkBytes);
    if (chunk === undefined) throw new PeerloomError("files/not-found", "What was read is gone.");
    into.set(chunk);
  };

  /** What was not read yet still is. */
  async close(): Promise<void> {
    this.#forget(0);
  }

  async resume(): Promise<void> {}

  async write(index: number, bytes: Uint8Array): Promise<void> {
    this.#chunks.set(index, bytes);
    if (index === this.#next) this.#wake?.();
  }

  async complete(): Promise<void> {
    this.#isComplete = true;
    this.#wake?.();
    if (this.#isAllRead) this.#finish();
  }

  async abandon(error: PeerloomError): Promise<void> {
    this.fail(error);
  }

  /** Tells the reader; a second time is harmless. */
  fail(error: unknown): void {
    this.#chunks.clear();
    this.#controller.error(error);
    this.#wake?.();
  }

  async #pull(): Promise<void> {
    if (!this.#chunks.has(this.#next) && !this.#isComplete) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const bytes = this.#chunks.get(this.#next);
    if (bytes === undefined) return;
    const slices = this.#selection?.slices(this.#next) ?? [];
    this.#behind.push(this.#next);
    this.#next += 1;
    this.#skipUnwanted();
    // Copies: the reader may change them or give them away, and these are served.
    for (const { start, end } of slices) this.#controller.enqueue(bytes.slice(start, end));
    this.#forget(this.#chunksIn(BEHIND_BYTES));
    this.#events.onRead();
    if (this.#isComplete && this.#isAllRead) this.#finish();
  }

  get #isAllRead(): boolean {
    return this.#next >= (this.#selection?.chunks.count ?? 0);
  }

  #chunksIn(bytes: number): number {
    return Math.max(CHUNKS_MIN, Math.floor(bytes / this.#chunkBytes));
  }

  #forget(keptChunks: number): void {
    while (this.#behind.length > keptChunks) {
      const index = this.#behind.shift() as number;
      this.#chunks.delete(index);
      this.#events.onForgot(index);
    }
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
