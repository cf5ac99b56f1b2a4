/**
 * A link that another peer forwards: a stream of the session with that peer, on which frames have their length before them. The forwarder sees
 * sealed frames only, and its reading, which the stream's credit follows, sets the pace.
 */
import { concatBytes, writeUint32 } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import { BaseLink } from "../links/base-link.ts";
import { FrameAssembler, LENGTH_BYTES } from "../links/frame-assembler.ts";
import { LINK_BUFFER_LOW_BYTES } from "../links/link.ts";
import type { Stream } from "../session/contract.ts";

/** A forwarder lends little; what is under way beyond this only waits. */
const UNACKED_BYTES_MAX: number = 512 * 1024;

export class ForwardedLink extends BaseLink {
  readonly #stream: Stream;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #bufferedBytes = 0;
  #isFull = false;
  #closing = false;

  constructor(
    stream: Stream,
    options: {
      readonly description: string;
      /** Of the stream, where its first bytes have been read already. */
      readonly reader: ReadableStreamDefaultReader<Uint8Array>;
      /** Bytes of frames that came with those. */
      readonly first: Uint8Array;
    },
  ) {
    super({ kind: "overlay", description: options.description, unackedBytesMax: UNACKED_BYTES_MAX });
    this.#stream = stream;
    this.#writer = stream.writable.getWriter();
    this.#read(options.reader, options.first).then(
      () => this.#over(undefined),
      (error: unknown) => this.#over(toPeerloomError(error, "link/failed", "The forwarding has ended.")),
    );
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#closing || this.isEnded) return;
    const head = new Uint8Array(LENGTH_BYTES);
    const bytes = concatBytes(head, ...parts);
    writeUint32(bytes, 0, bytes.length - LENGTH_BYTES);
    this.#bufferedBytes += bytes.length;
    if (this.#bufferedBytes > LINK_BUFFER_LOW_BYTES) this.#isFull = true;
    this.#writer.write(bytes).then(
      () => this.#written(bytes.length),
      (error: unknown) => this.#over(toPeerloomError(error, "link/failed", "The forwarding has ended.")),
    );
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    // Written before, so it leaves before; the other side ends its half when it has read that.
    this.#writer.close().catch(() => {});
    this.end(undefined);
  }

  destroy(): void {
    this.#closing = true;
    this.#stream.reset();
    this.end(undefined);
  }

  #written(bytes: number): void {
    this.#bufferedBytes -= bytes;
    if (!this.#isFull || this.#bufferedBytes > LINK_BUFFER_LOW_BYTES) return;
    this.#isFull = false;
    this.onDrain();
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>, first: Uint8Array): Promise<void> {
    const assembler = new FrameAssembler(FRAME_BYTES_MAX);
    try {
      for (let bytes = first; ;) {
        assembler.add(bytes, (frame) => this.receiveFrame(frame));
        const { value, done } = await reader.read();
        if (done) return;
        bytes = value;
      }
    } catch (error) {
      this.#stream.reset(error instanceof PeerloomError ? error.code : "stream/reset");
      throw error;
    }
  }

  #over(error: PeerloomError | undefined): void {
    this.end(this.#closing ? undefined : error);
    if (!this.#closing) this.close();
  }
}
