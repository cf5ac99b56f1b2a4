/** The connections of one exposure or forward: numbered, bounded, told by events, ended and awaited together. */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { CONNECTIONS_MAX, type PortConnection } from "./connection.ts";

export abstract class Connections extends EventTarget {
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #lastNumber = 0;

  /** Connections that are open or about to be. */
  get open(): number {
    return this.#running.size;
  }

  /** Ends all and resolves when none is left. Twice is harmless. */
  async close(): Promise<void> {
    this.#closing.abort(new PeerloomError("ports/not-exposed", "It is forwarded no longer."));
    await Promise.all(this.#running);
  }

  /** Runs one connection; its failure is told by its `end`. */
  protected async track(
    peerId: PeerId,
    run: (stand: () => void, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const number = ++this.#lastNumber;
    const tell = (type: string, error?: PeerloomError): void => {
      const detail: PortConnection = { number, peerId, code: error?.code };
      this.dispatchEvent(new CustomEvent(type, { detail }));
    };
    const running = run(() => tell("connection"), this.#closing.signal).then(
      () => tell("end"),
      (error: unknown) => tell("end", toPeerloomError(error, "stream/reset", "The connection failed.")),
    );
    this.#running.add(running);
    await running;
    this.#running.delete(running);
  }

  protected get isFull(): boolean {
    return this.#running.size >= CONNECTIONS_MAX;
  }
}
