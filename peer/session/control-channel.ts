/**
 * The control frames of a session: numbers and seals what its two ends tell each other about links and progress, keeps that in order where
 * the host seals in the background, and opens what comes. What the operations mean is the session's matter.
 */
import { type ErrorCode, PeerloomError } from "../../shared/errors.ts";
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
  #farewell: readonly Uint8Array[] | undefined;
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
    const sealed = this.#seal(operations);
    if (!(sealed instanceof Promise)) {
      path.link.send(sealed);
      return;
    }
    // Kept in order: a proof must not be overtaken.
    const before = this.#sent;
    this.#sent = sealed
      .then(async (frame) => {
        await before;
        path.link.send(frame);
      })
      .catch((error: unknown) => this.#options.failed(path, error));
  }

  /** Seals the last word ahead: a page that is closed has no time for it. What fails is not said then. */
  async prepareFarewell(code: ErrorCode): Promise<void> {
    this.#farewell = await this.#seal([{ kind: "bye", code }]);
  }

  /** Sends the last word if it was sealed by now. */
  farewell(path: Path): void {
    if (this.#farewell !== undefined) path.link.send(this.#farewell);
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

  #seal(operations: readonly ControlOperation[]): readonly Uint8Array[] | Promise<readonly Uint8Array[]> {
    const counter = this.#counter++;
    const header = frameHeader(FRAME.control, counter);
    const sealed = this.#options.keys.sendControl.seal(nonceOf(counter), header, [encodeControl(operations)]);
    return sealed instanceof Promise ? sealed.then((parts) => [header, ...parts]) : [header, ...sealed];
  }

  #opened(path: Path, plaintext: Uint8Array | undefined): void {
    if (this.#closed || path.state === "dead") return;
    if (plaintext === undefined)
      throw new PeerloomError("wire/malformed", "A control frame was not sealed by the other side.");
    this.#options.received(path, decodeControl(plaintext));
  }
}
