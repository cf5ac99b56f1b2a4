/** Where verified chunks go, and where they are read again for others. */
import type { PeerloomError } from "../../../shared/errors.ts";
import type { ReadContent } from "./holding.ts";
import type { ReadWindow } from "./scheduler.ts";

export interface Store {
  /** Chunks that are there already, each verified again. */
  resume(layer: Uint8Array, onChunk: (index: number) => void, signal: AbortSignal): Promise<void>;
  /** Takes a verified chunk, and the memory that it lies in. Chunks come in any order, each once. */
  write(index: number, bytes: Uint8Array): Promise<void>;
  /** Only these chunks are of use now; undefined: all. */
  readonly window: ReadWindow | undefined;
  /** Somebody waits for what comes next; not so when a reader has not read what is there. */
  readonly isAwaited: boolean;
  /** Whether a chunk that was written can be read again. */
  holds(index: number): boolean;
  /** Of what it holds, before and after it is complete. */
  readonly read: ReadContent;
  /** Everything is there. Nobody reads meanwhile. */
  complete(): Promise<void>;
  /** Not everything will come. What is resumable stays. */
  abandon(error: PeerloomError): Promise<void>;
  /** Nobody reads any more. Twice is harmless. */
  close(): Promise<void>;
}
