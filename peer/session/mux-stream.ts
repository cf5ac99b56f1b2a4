/**
 * One stream of a session: Web streams towards the application, credit and a bounded queue towards the mux. The
 * receiver grants bytes; the window it grants doubles while the reader keeps up, so that a long path is filled.
 */
import { byteStream } from "../../shared/byte-stream.ts";
import { bufferSource } from "../../shared/bytes.ts";
import {
  assert,
  type ErrorCode,
  parseErrorCode,
  PeerloomError,
  toPeerloomError,
} from "../../shared/errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Stream, StreamPriority } from "./contract.ts";
import { ReceiveQueue } from "./receive-queue.ts";

/** Bytes a new stream may send unasked, each way; both sides count on it. */
export const STREAM_WINDOW_BYTES: number = 256 * 1024;
/** A window grows to this at most: 8 MiB fill 60 MB/s at 100 ms on one connection, and on several what is early waits for what is late. */
export const STREAM_WINDOW_BYTES_MAX: number = 16 * 1024 * 1024;
/** Bytes written by the application and not yet in a frame; past that `write` waits. */
export const STREAM_SEND_QUEUE_BYTES: number = 1024 * 1024;
/** Half a window read faster than this many round trips means the window is what limits. */
const WINDOW_GROWTH_ROUND_TRIPS = 2;
const WINDOW_GROWTH_MS_MIN = 20;

/** What a stream asks of the mux that owns it. */
export interface StreamOwner {
  /** The stream has bytes and credit, or its end, to send. */
  ready(stream: MuxStream): void;
  sendCredit(stream: MuxStream, bytes: number): void;
  sendStop(stream: MuxStream): void;
  sendReset(stream: MuxStream, code: ErrorCode): void;
  /** Both directions are over. */
  finished(stream: MuxStream): void;
  /** Whether the window may double by `bytes`: the session bounds all of them together. */
  grow(bytes: number): boolean;
  rttMs(): number;
  nowMs(): number;
}

/** `told`: the end is in a frame and not yet acknowledged. */
type Sending = "open" | "ending" | "told" | "ended";
type Receiving = "open" | "ending" | "ended";

export class MuxStream implements Stream {
  readonly id: number;
  readonly protocol: string;
  readonly priority: StreamPriority;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;

  readonly #owner: StreamOwner;
  #resolveClosed!: () => void;
  #error: PeerloomError | undefined;

  #sending: Sending = "open";
  readonly #queue = new ByteQueue(STREAM_SEND_QUEUE_BYTES);
  #sendCredit: number = STREAM_WINDOW_BYTES;
  #writeWaiter: (() => void) | undefined;
  #endAcknowledged: (() => void) | undefined;
  #writer!: WritableStreamDefaultController;

  #receiving: Receiving = "open";
  readonly #received = new ReceiveQueue();
  /** What comes behind the last byte instead of an orderly end. */
  #endError: PeerloomError | undefined;
  #window: number = STREAM_WINDOW_BYTES;
  #grown = 0;
  /** What the other side may still send. */
  #receiveCredit: number = STREAM_WINDOW_BYTES;
  #readUngranted = 0;
  #grantedAtMs: number;
  #readWaiter: (() => void) | undefined;
  #reader!: ReadableByteStreamController;

  constructor(options: {
    readonly id: number;
    readonly protocol: string;
    readonly priority: StreamPriority;
    readonly owner: StreamOwner;
  }) {
    this.id = options.id;
    this.protocol = options.protocol;
    this.priority = options.priority;
    this.#owner = options.owner;
    this.#grantedAtMs = options.owner.nowMs();
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.readable = byteStream({
      start: (controller) => {
        this.#reader = controller;
      },
      pull: () => this.#pull(),
      cancel: () => this.#cancel(),
    });
    this.writable = new WritableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#writer = controller;
        },
        write: (chunk) => this.#write(chunk),
        close: () => this.#end(),
        abort: (reason) => {
          this.reset(reason instanceof PeerloomError ? reason.code : "stream/reset");
        },
      },
      { highWaterMark: 1 },
    );
  }

  departed(): Promise<void> {
    return this.#queue.departed();
  }

  reset(code: ErrorCode = "stream/reset"): void {
    if (this.#over) return;
    this.#owner.sendReset(this, code);
    this.fail(new PeerloomError(code, `The stream ${this.protocol} was reset here: ${code}.`));
  }

  // --- towards the mux: sending ---

  /** Bytes that could be sent now. */
  get sendable(): number {
    return Math.min(this.#queue.length, this.#sendCredit);
  }

  /** True when all bytes are out and only the end is left to tell. */
  get endDue(): boolean {
    return this.#sending === "ending" && this.#queue.length === 0;
  }

  /** Removes up to `bytesMax` sendable bytes. The views hold until the caller returns. */
  takeBytes(bytesMax: number): Uint8Array[] {
    const count = Math.min(bytesMax, this.sendable);
    this.#sendCredit -= count;
    const views = this.#queue.take(count);
    const waiter = this.#writeWaiter;
    this.#writeWaiter = undefined;
    // A promise's continuation runs after the caller has sealed the views.
    waiter?.();
    return views;
  }

  /** The end was put into a frame; the function returned is called when it has been acknowledged. */
  takeEnd(): () => void {
    assert(this.endDue, "the end follows the last byte");
    this.#sending = "told";
    return () => {
      if (this.#sending !== "told") return;
      this.#sending = "ended";
      this.#endAcknowledged?.();
      this.#checkFinished();
    };
  }

  addCredit(bytes: number): void {
    this.#sendCredit += bytes;
    if (this.sendable > 0) this.#owner.ready(this);
  }

  /** The other side reads no more. */
  stop(): void {
    if (this.#sending === "ended") return;
    const error = new PeerloomError(
      "stream/cancelled",
      `The other side of ${this.protocol} stopped reading.`,
    );
    this.#abandonSending(error);
    this.#checkFinished();
  }

  // --- towards the mux: receiving ---

  /**
   * Bytes that arrived; the memory now belongs to the stream.
   * @throws PeerloomError `session/over-credit`
   */
  receiveBytes(bytes: Uint8Array): void {
    if (this.#receiving !== "open" || bytes.length === 0) return;
    if (bytes.length > this.#receiveCredit) {
      throw new PeerloomError(
        "session/over-credit",
        `The other side sent more on ${this.protocol} than was granted.`,
      );
    }
    this.#receiveCredit -= bytes.length;
    this.#received.push(bytes);
    this.#wakeReader();
  }

  receiveEnd(): void {
    if (this.#receiving !== "open") return;
    this.#receiving = "ending";
    this.#wakeReader();
    if (this.#received.length === 0) this.#closeReadable();
  }

  receiveReset(code: string): void {
    this.fail(
      new PeerloomError(
        parseErrorCode(code, "stream/reset"),
        `The other side reset ${this.protocol}: ${code}.`,
      ),
    );
  }

  /** The session is over. What has arrived can still be read; the error comes behind it. */
  endWith(error: PeerloomError): void {
    if (this.#received.length === 0 || this.#receiving === "ended") {
      this.fail(error);
      return;
    }
    this.#error = error;
    this.#endError = this.#receiving === "open" ? error : undefined;
    this.#receiving = "ending";
    this.#abandonSending(error);
    this.#resolveClosed();
  }

  /** Both directions end with this error. */
  fail(error: PeerloomError): void {
    if (this.#over) return;
    this.#error = error;
    this.#abandonSending(error);
    if (this.#receiving !== "ended") {
      this.#receiving = "ended";
      this.#received.clear();
      this.#reader.error(error);
      this.#wakeReader();
    }
    this.#checkFinished();
  }

  /** Extra window granted to this stream; given back to the session when it ends. */
  get grownBytes(): number {
    return this.#grown;
  }

  /** Bytes that wait here, to be sent or to be read. */
  get heldBytes(): number {
    return this.#queue.length + this.#received.length;
  }

  get #over(): boolean {
    return this.#sending === "ended" && this.#receiving === "ended";
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (!(chunk instanceof Uint8Array)) {
      throw new TypeError(`The stream ${this.protocol} takes Uint8Array chunks.`);
    }
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#sending !== "open")
        throw this.#error ?? new PeerloomError("stream/cancelled", "The stream is closed.");
      offset += this.#queue.write(chunk.subarray(offset));
      if (this.sendable > 0) this.#owner.ready(this);
      if (offset < chunk.length) {
        await new Promise<void>((resolve) => {
          this.#writeWaiter = resolve;
        });
      }
    }
  }

  /** Resolves when the other side has everything. */
  async #end(): Promise<void> {
    if (this.#sending !== "open") return;
    this.#sending = "ending";
    const acknowledged = new Promise<void>((resolve) => {
      this.#endAcknowledged = resolve;
    });
    this.#owner.ready(this);
    await acknowledged;
    if (this.#error !== undefined) throw this.#error;
  }

  #abandonSending(error: PeerloomError): void {
    if (this.#sending === "ended") return;
    this.#sending = "ended";
    this.#error ??= error;
    this.#queue.clear();
    this.#writer.error(error);
    this.#writeWaiter?.();
    this.#writeWaiter = undefined;
    this.#endAcknowledged?.();
  }

  #pull(): Promise<void> | void {
    if (this.#received.length > 0) return this.#deliver();
    if (this.#receiving !== "open") return;
    return new Promise<void>((resolve) => {
      this.#readWaiter = resolve;
    }).then(() => {
      if (this.#received.length > 0) this.#deliver();
    });
  }

  #deliver(): void {
    const count = this.#handOut();
    if (this.#receiving === "ending") {
      if (this.#received.length === 0) this.#closeReadable();
    } else if (this.#receiving === "open") {
      this.#readUngranted += count;
      if (this.#readUngranted >= this.#window / 2) this.#grant();
    }
  }

  /** Copies into the reader's own memory if it brought some, else gives it the next piece. @returns bytes handed out */
  #handOut(): number {
    const request = this.#reader.byobRequest;
    const view = request?.view ?? undefined;
    if (view === undefined) {
      const bytes = this.#received.shift();
      assert(bytes !== undefined, "there are bytes to deliver");
      const count = bytes.length;
      this.#reader.enqueue(bufferSource(bytes));
      return count;
    }
    const filled = this.#received.fill(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    request?.respond(filled);
    return filled;
  }

  #grant(): void {
    const nowMs = this.#owner.nowMs();
    const quickMs = Math.max(WINDOW_GROWTH_MS_MIN, WINDOW_GROWTH_ROUND_TRIPS * this.#owner.rttMs());
    let bytes = this.#readUngranted;
    if (
      nowMs - this.#grantedAtMs < quickMs &&
      this.#window * 2 <= STREAM_WINDOW_BYTES_MAX &&
      this.#owner.grow(this.#window)
    ) {
      bytes += this.#window;
      this.#grown += this.#window;
      this.#window *= 2;
    }
    this.#grantedAtMs = nowMs;
    this.#readUngranted = 0;
    this.#receiveCredit += bytes;
    this.#owner.sendCredit(this, bytes);
  }

  #cancel(): void {
    if (this.#receiving === "ended") return;
    const wasOpen = this.#receiving === "open";
    this.#receiving = "ended";
    this.#received.clear();
    if (wasOpen) this.#owner.sendStop(this);
    this.#checkFinished();
  }

  #closeReadable(): void {
    this.#receiving = "ended";
    if (this.#endError === undefined) {
      this.#reader.close();
      this.#reader.byobRequest?.respond(0);
    } else this.#reader.error(this.#endError);
    this.#wakeReader();
    this.#checkFinished();
  }

  #wakeReader(): void {
    const waiter = this.#readWaiter;
    this.#readWaiter = undefined;
    waiter?.();
  }

  #checkFinished(): void {
    if (!this.#over) return;
    this.#queue.clear();
    this.#resolveClosed();
    this.#owner.finished(this);
  }
}

/** What a handler threw, as the code that the other side is told. */
export function resetCodeOf(error: unknown): ErrorCode {
  return toPeerloomError(error, "stream/reset", "The handler failed.").code;
}
