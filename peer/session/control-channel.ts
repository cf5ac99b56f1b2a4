/**
 * The control frames of a session: numbers and seals what its two ends tell each other about links and progress, keeps that in order where
 * the host seals in the background, and opens what comes. What the operations mean is the session's matter.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { FRAME, frameHeader, type SealedFrame } from "../../shared/frame.ts";
import { type ControlOperation, decodeControl, encodeControl } from "./control.ts";
import type { Path } from "./path.ts";
import { nonceOf, type SessionKeys } from "./seal.ts";

export interface ControlChannelOptions {
  readonly keys: Pick<SessionKeys, "sendControl" | "receiveControl">;
  /** The other side said so on a path. */
  received(path: Path, operations: readonly ControlOperation[]): void;
  /** What was opened in the background was not from the other side, or sealing failed. */
  failed(path: Path, error: unknown): void;
}

export class ControlChannel {
  readonly #options: ControlChannelOptions;
  #counter = 0;
  #sent: Promise<void> | undefined;
  #closed = false;

  constructor(options: ControlChannelOptions) {
    this.#options = options;
  }

  /** Resolves when what was sent is on its links; undefined where it is already. */
  get sent(): Promise<void> | undefined {
    return this.#sent;
  }

  /** Numbers a frame sealed elsewhere with the same key, `attach` or `attached`. */
  nextCounter(): number {
    return this.#counter++;
  }

  send(path: Path, operations: readonly ControlOperation[]): void {
    const counter = this.#counter++;
    const header = frameHeader(FRAME.control, counter);
    const sealed = this.#options.keys.sendControl.seal(nonceOf(counter), header, [encodeControl(operations)]);
    if (!(sealed instanceof Promise)) {
      path.link.send([header, ...sealed]);
      return;
    }
    // Kept in order: a proof must not be overtaken.
    const before = this.#sent;
    this.#sent = sealed
      .then(async (parts) => {
        await before;
        path.link.send([header, ...parts]);
      })
      .catch((error: unknown) => this.#options.failed(path, error));
  }

  /** @throws PeerloomError `wire/malformed`, and what `received` throws; where the host opens in the background `failed` is told */
  receive(path: Path, frame: SealedFrame): void {
    const opened = this.#options.keys.receiveControl.open(nonceOf(frame.counter), frame.header, frame.sealed);
    if (!(opened instanceof Promise)) {
      this.#opened(path, opened);
      return;
    }
    opened
      .then((plaintext) => this.#opened(path, plaintext))
      .catch((error: unknown) => this.#options.failed(path, error));
  }

  /** The session is over: nothing is received any more. */
  close(): void {
    this.#closed = true;
  }

  #opened(path: Path, plaintext: Uint8Array | undefined): void {
    if (this.#closed || path.state === "dead") return;
    if (plaintext === undefined)
      throw new PeerloomError("wire/malformed", "A control frame was not sealed by the other side.");
    this.#options.received(path, decodeControl(plaintext));
  }
}
