/**
 * What every kind of link does alike: frames that come before anybody listens are kept, the end is told once, and
 * nothing happens after it.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import { type Link, LINK_EARLY_FRAMES_MAX, type LinkKind } from "./link.ts";

const NO_BINDING: Uint8Array = new Uint8Array(0);

/** The bound where no relay sets a lower one: 16 MiB fill 160 MB/s at 100 ms. */
export const DIRECT_UNACKED_BYTES_MAX: number = 16 * 1024 * 1024;

export abstract class BaseLink implements Link {
  readonly kind: LinkKind;
  readonly description: string;
  readonly isStopgap: boolean;
  readonly remoteHost: string | undefined;
  readonly frameBytesMax: number;
  readonly unackedBytesMax: number;
  readonly binding: Uint8Array;
  onDrain: () => void = () => {};
  #onFrame: ((frame: Uint8Array) => void) | undefined;
  #early: Uint8Array[] = [];
  #onClose: ((error: PeerloomError | undefined) => void) | undefined;
  #ended: { readonly error: PeerloomError | undefined } | undefined;

  constructor(options: {
    readonly kind: LinkKind;
    readonly description: string;
    readonly remoteHost?: string | undefined;
    readonly frameBytesMax?: number;
    readonly unackedBytesMax?: number;
    readonly isStopgap?: boolean;
    readonly binding?: Uint8Array;
  }) {
    this.kind = options.kind;
    this.description = options.description;
    this.isStopgap = options.isStopgap ?? false;
    this.remoteHost = options.remoteHost;
    this.frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX;
    this.unackedBytesMax = options.unackedBytesMax ?? DIRECT_UNACKED_BYTES_MAX;
    this.binding = options.binding ?? NO_BINDING;
  }

  abstract get bufferedBytes(): number;
  abstract send(parts: readonly Uint8Array[]): void;
  abstract close(): void;
  abstract destroy(): void;

  get onFrame(): (frame: Uint8Array) => void {
    return this.#onFrame ?? (() => {});
  }

  set onFrame(handler: (frame: Uint8Array) => void) {
    this.#onFrame = handler;
    for (const frame of this.#early.splice(0)) this.#onFrame(frame);
  }

  get onClose(): (error: PeerloomError | undefined) => void {
    return this.#onClose ?? (() => {});
  }

  set onClose(handler: (error: PeerloomError | undefined) => void) {
    const first = this.#onClose === undefined;
    this.#onClose = handler;
    if (first && this.#ended !== undefined) handler(this.#ended.error);
  }

  protected get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** A frame came in; memory valid during the call only. */
  protected receiveFrame(frame: Uint8Array): void {
    if (this.#ended !== undefined) return;
    if (this.#onFrame !== undefined) {
      this.#onFrame(frame);
      return;
    }
    if (this.#early.length === LINK_EARLY_FRAMES_MAX) {
      this.end(new PeerloomError("wire/malformed", "Too many frames before anybody listened."));
      this.destroy();
      return;
    }
    this.#early.push(frame.slice());
  }

  /** The link is over. Only the first call counts. */
  protected end(error: PeerloomError | undefined): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    this.#onClose?.(error);
  }
}
