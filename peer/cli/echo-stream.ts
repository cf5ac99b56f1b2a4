/**
 * Pings on one stream of protocol `ping/1`: 64 bytes go out, the same 64 come back. The number in front tells a late
 * pong from the awaited one.
 */
import type { Stream } from "../session/contract.ts";

/** The size that latency figures of other systems are measured with too. */
export const PING_BYTES = 64;

interface Awaited {
  readonly seq: number;
  readonly sentMs: number;
  readonly resolve: (rttMs: number | undefined) => void;
}

export class EchoStream {
  readonly #stream: Stream;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #awaited: Awaited | undefined;
  #ended = false;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.#writer = stream.writable.getWriter();
    void this.#read();
  }

  /** The other side has ended the stream; no further pong will come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Milliseconds from write to the last echoed byte, or undefined when it did not come in time. */
  async roundTrip(seq: number, timeoutMs: number): Promise<number | undefined> {
    const ping = new Uint8Array(PING_BYTES);
    new DataView(ping.buffer).setUint32(0, seq);
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    this.#awaited = { seq, sentMs: performance.now(), resolve };
    const timer = setTimeout(resolve, timeoutMs, undefined);
    if (this.#ended) resolve(undefined);
    else this.#writer.write(ping).catch(() => this.#end());
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#awaited = undefined;
    }
  }

  /** Harmless twice. */
  close(): void {
    this.#end();
    this.#stream.reset();
  }

  async #read(): Promise<void> {
    const pending = new Uint8Array(PING_BYTES);
    let filled = 0;
    try {
      for await (const chunk of this.#stream.readable) {
        for (let offset = 0; offset < chunk.length;) {
          const taken = chunk.subarray(offset, offset + PING_BYTES - filled);
          pending.set(taken, filled);
          offset += taken.length;
          filled += taken.length;
          if (filled < PING_BYTES) continue;
          filled = 0;
          this.#arrived(new DataView(pending.buffer).getUint32(0));
        }
      }
    } catch {
      // The stream was reset; whoever waits is told below.
    }
    this.#end();
  }

  #arrived(seq: number): void {
    if (this.#awaited?.seq === seq) this.#awaited.resolve(performance.now() - this.#awaited.sentMs);
  }

  #end(): void {
    this.#ended = true;
    this.#awaited?.resolve(undefined);
  }
}
