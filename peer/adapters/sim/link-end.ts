/**
 * One end of a simulated path, and the direction that leads away from it. A frame waits until the bandwidth takes it
 * (`bufferedBytes`), then travels, then is delivered; cutting, pausing and closing act on these three places.
 */
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { Timer } from "../../runtime.ts";
import type { SimClock } from "./clock.ts";

/** As in the contract of links: large, small, and the frames kept while nobody listens. */
const BUFFER_LOW_BYTES = 256 * 1024;
const EARLY_FRAMES_MAX = 16;
/** `close` on a path that takes nothing gives up after this long, as TCP's linger does. */
const LINGER_MS = 5_000;
/** Put into a frame's memory after its handler has returned, so that whoever kept a view of it is found out. */
const SCRIBBLE = 0xdb;

export interface SimLinkOptions<Kind extends string> {
  readonly clock: SimClock;
  readonly kind: Kind;
  readonly description: string;
  readonly frameBytesMax: number;
  readonly unackedBytesMax: number;
  readonly binding: Uint8Array;
  /** `onDrain` tells of no more than this being unsent, after there was more. @default 256 KiB */
  readonly bufferLowBytes?: number;
  /** How long it takes until a frame of so many bytes has left, told when its turn has come. */
  sendingMs(bytes: number): number;
  /** How long the next frame travels. */
  delayMs(): number;
  /** What arrives in place of a frame. */
  carry(frame: Uint8Array): readonly Uint8Array[];
}

/** A frame, or the orderly end behind the last one. */
type Travelling = { readonly frame: Uint8Array } | { readonly end: PeerloomError | undefined };

export class SimLink<Kind extends string> {
  readonly kind: Kind;
  readonly description: string;
  readonly frameBytesMax: number;
  readonly unackedBytesMax: number;
  readonly binding: Uint8Array;
  onDrain: () => void = () => {};

  readonly #options: SimLinkOptions<Kind>;
  readonly #bufferLowBytes: number;
  #arriveAtOther: (what: Travelling) => void = () => {};
  #state: "open" | "closing" | "ended" = "open";
  /** The path does not lead anywhere any more. */
  #lost = false;
  #paused = false;

  /** Not yet given to the network; held, not copied, so that a sender who changes its memory is found out. */
  readonly #queue: Uint8Array[] = [];
  #bufferedBytes = 0;
  #wasLarge = false;
  #departure: Timer | undefined;
  #linger: Timer | undefined;

  /** On the way to the other end, in order. */
  readonly #travelling: Travelling[] = [];
  #lastArrivalMs = 0;

  #early: Uint8Array[] = [];
  #onFrame: ((frame: Uint8Array) => void) | undefined;
  #onClose: ((error: PeerloomError | undefined) => void) | undefined;
  #end: { readonly error: PeerloomError | undefined } | undefined;

  constructor(options: SimLinkOptions<Kind>) {
    this.#options = options;
    this.#bufferLowBytes = options.bufferLowBytes ?? BUFFER_LOW_BYTES;
    this.kind = options.kind;
    this.description = options.description;
    this.frameBytesMax = options.frameBytesMax;
    this.unackedBytesMax = options.unackedBytesMax;
    this.binding = options.binding;
  }

  // --- the contract of a link ---

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#state !== "open") return;
    const frame = concatBytes(...parts);
    this.#queue.push(frame);
    this.#bufferedBytes += frame.length;
    if (this.#bufferedBytes > this.#bufferLowBytes) this.#wasLarge = true;
    this.#planDeparture();
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#linger = this.#options.clock.schedule(LINGER_MS, () => this.destroy());
    this.#endWhenSent();
  }

  destroy(): void {
    if (this.#state === "ended") return;
    this.#dropUnsent();
    this.#travel({ end: new PeerloomError("link/failed", "The other end was destroyed.") });
    this.#finish(undefined);
  }

  get onFrame(): (frame: Uint8Array) => void {
    return this.#onFrame ?? (() => {});
  }

  set onFrame(handler: (frame: Uint8Array) => void) {
    this.#onFrame = handler;
    for (const frame of this.#early.splice(0)) this.#hand(frame);
  }

  get onClose(): (error: PeerloomError | undefined) => void {
    return this.#onClose ?? (() => {});
  }

  set onClose(handler: (error: PeerloomError | undefined) => void) {
    const first = this.#onClose === undefined;
    this.#onClose = handler;
    if (first && this.#end !== undefined) handler(this.#end.error);
  }

  // --- what the path does ---

  get isAlive(): boolean {
    return this.#state === "open" && !this.#lost;
  }

  join(other: SimLink<Kind>): void {
    this.#arriveAtOther = (what) => other.#arrive(what);
  }

  /** What is on its way is lost, and nothing leaves any more. */
  losePath(): void {
    this.#lost = true;
    this.#travelling.length = 0;
    this.#departure?.cancel();
  }

  pause(): void {
    this.#paused = true;
    this.#departure?.cancel();
    this.#departure = undefined;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const waiting = this.#travelling.splice(0);
    for (const each of waiting) this.#travel(each);
    this.#planDeparture();
  }

  /** The link ends here, with that reason. */
  fail(error: PeerloomError): void {
    this.#dropUnsent();
    this.#finish(error);
  }

  inject(frame: Uint8Array): void {
    this.#travel({ frame: frame.slice() });
  }

  // --- sending ---

  #planDeparture(): void {
    const next = this.#queue[0];
    if (next === undefined || this.#departure !== undefined || this.#paused || this.#lost) return;
    this.#departure = this.#options.clock.schedule(this.#options.sendingMs(next.length), () => {
      this.#departure = undefined;
      this.#depart();
    });
  }

  #depart(): void {
    const frame = this.#queue.shift() as Uint8Array;
    this.#bufferedBytes -= frame.length;
    if (frame.length > this.frameBytesMax) {
      const error = new PeerloomError("link/frame-too-large", `A frame of ${frame.length} bytes.`);
      this.#travel({ end: error });
      this.fail(error);
      return;
    }
    for (const carried of this.#options.carry(frame)) this.#travel({ frame: carried.slice() });
    this.#planDeparture();
    if (this.#state === "closing") this.#endWhenSent();
    if (this.#state === "open" && this.#wasLarge && this.#bufferedBytes <= this.#bufferLowBytes) {
      this.#wasLarge = false;
      this.onDrain();
    }
  }

  #endWhenSent(): void {
    if (this.#queue.length > 0) return;
    this.#travel({ end: undefined });
    this.#options.clock.schedule(0, () => this.#finish(undefined));
  }

  #dropUnsent(): void {
    this.#queue.length = 0;
    this.#bufferedBytes = 0;
    this.#departure?.cancel();
    this.#departure = undefined;
  }

  #travel(what: Travelling): void {
    if (this.#lost) return;
    this.#travelling.push(what);
    if (this.#paused) return;
    const { clock } = this.#options;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, clock.monotonicMs() + this.#options.delayMs());
    clock.schedule(this.#lastArrivalMs - clock.monotonicMs(), () => {
      // What is ahead comes with it: rounding may have made this the earlier event.
      if (this.#travelling.includes(what)) this.#deliverUntil(what);
    });
  }

  #deliverUntil(last: Travelling): void {
    while (!this.#paused) {
      const next = this.#travelling.shift();
      if (next !== undefined) this.#arriveAtOther(next);
      if (next === undefined || next === last) return;
    }
  }

  // --- receiving ---

  #arrive(what: Travelling): void {
    if (this.#state !== "open") return;
    if ("frame" in what) this.#receive(what.frame);
    else {
      this.#dropUnsent();
      this.#finish(what.end);
    }
  }

  #receive(frame: Uint8Array): void {
    if (this.#onFrame !== undefined) {
      this.#hand(frame);
      return;
    }
    this.#early.push(frame);
    if (this.#early.length > EARLY_FRAMES_MAX) {
      this.#early = [];
      this.destroy();
    }
  }

  #hand(frame: Uint8Array): void {
    this.#onFrame?.(frame);
    frame.fill(SCRIBBLE);
  }

  #finish(error: PeerloomError | undefined): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#linger?.cancel();
    this.#end = { error };
    this.#onClose?.(error);
  }
}
