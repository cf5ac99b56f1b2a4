/**
 * Reliable delivery: makes of the paths of a session one channel that loses, repeats and reorders nothing. The outbox seals what the mux has
 * and sends it on the paths that carry; the inbox puts in order what comes; here is when: when to send, to acknowledge, to send again.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { SealedFrame } from "../../shared/frame.ts";
import { pathKindOf } from "../links/link.ts";
import type { Clock } from "../runtime.ts";
import { AckSchedule } from "./ack-schedule.ts";
import type { BytesByPath } from "./contract.ts";
import type { ControlOperation } from "./control.ts";
import type { ControlChannel } from "./control-channel.ts";
import { Inbox, type Received } from "./inbox.ts";
import type { Mux } from "./mux.ts";
import { Outbox } from "./outbox.ts";
import type { Path } from "./path.ts";
import type { Paths } from "./paths.ts";
import type { SessionKeys } from "./seal.ts";

/** A frame unacknowledged for so long on a living path is sent again. */
const STALL_MS = 5_000;
const STALL_ROUND_TRIPS = 8;
/** Bytes under way from which on writes are gathered for a turn of the event loop. */
const COMPANY_BYTES: number = 64 * 1024;

/** An application that has so much under way is waiting for it. */
const LIMITED_BYTES: number = 256 * 1024;

/** The first wire version that knows `taken`, without which bulk is not spread over several links. */
const TAKEN_VERSION = 2;

export interface DeliveryOptions {
  readonly clock: Clock;
  /** Of the wire, spoken by both. */
  readonly version: number;
  readonly keys: Pick<SessionKeys, "sendData" | "receiveData">;
  /** What there is to send, and who gets what comes. */
  readonly mux: Pick<Mux, "take" | "hasOutput" | "receive">;
  readonly paths: Pick<Paths, "active" | "any" | "carriers" | "untold" | "watchClosely">;
  readonly control: Pick<ControlChannel, "send">;
  /** A frame opened in the background is none that the other side may have sent. */
  blame(path: Path, error: unknown): void;
  /** Sealing in the background failed: nothing goes on. */
  failed(error: unknown): void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #acks: AckSchedule;
  readonly #receivedBytes = { direct: 0, relay: 0, overlay: 0 };
  #isPumpPlanned = false;
  #flushed: (() => void) | undefined;
  #closed = false;

  constructor(options: DeliveryOptions) {
    const { clock, keys, mux } = options;
    this.#options = options;
    this.#outbox = new Outbox({
      key: keys.sendData,
      nowMs: () => clock.monotonicMs(),
      take: (bytesMax, urgentOnly, linkBytesMax) => mux.take(bytesMax, urgentOnly, linkBytesMax),
      wake: () => this.pumpSoon(),
      failed: (error) => options.failed(error),
    });
    this.#inbox = new Inbox({ key: keys.receiveData, deliver: (plaintext) => mux.receive(plaintext) });
    this.#acks = new AckSchedule(clock, () => this.#acknowledge());
  }

  /** Nothing waits to be sent, and all that was sent has arrived. */
  get isIdle(): boolean {
    return this.#outbox.isEmpty && !this.#options.mux.hasOutput;
  }

  /** Data may be spread over several links. */
  get isSpreadable(): boolean {
    return this.#options.version >= TAKEN_VERSION;
  }

  /** The paths are the limit: more waits than they take, or much is under way and holds up what follows. */
  get isLimited(): boolean {
    return this.#options.mux.hasOutput || this.#outbox.bytes >= LIMITED_BYTES;
  }

  /** Memory of what is under way, or came before its turn. */
  get heldBytes(): number {
    return this.#outbox.bytes + this.#inbox.aheadBytes;
  }

  /** Sealed bytes sent that have arrived by now, in whatever order. */
  get landedBytes(): number {
    return this.#outbox.landedBytes;
  }

  get receivedBytes(): BytesByPath {
    return { ...this.#receivedBytes };
  }

  /** Every data frame below has arrived here. */
  get receivedBelow(): number {
    return this.#inbox.next;
  }

  // --- receiving ---

  /**
   * Takes a data frame; its memory is not kept.
   * @throws PeerloomError `wire/malformed`, and what the mux throws; where the host opens in the background `blame` is told
   */
  receive(path: Path, frame: SealedFrame): void {
    const bytes = frame.sealed.length;
    path.arrivedFrames += 1;
    const received = this.#inbox.receive(frame);
    if (!(received instanceof Promise)) {
      this.#received(path, bytes, received);
      return;
    }
    received
      .then((outcome) => this.#received(path, bytes, outcome))
      .catch((error: unknown) => this.#options.blame(path, error));
  }

  /** The session goes on over another path: the last acknowledgement may have died with the one before, and a full window sends nothing to acknowledge. */
  acknowledgeAgain(): void {
    if (this.#inbox.next > 0) this.#acks.now();
  }

  #received(path: Path, bytes: number, received: Received): void {
    if (this.#closed) return;
    if (received === "forged")
      throw new PeerloomError("wire/malformed", "A data frame was not sealed by the other side.");
    if (received === "refused") return;
    const { clock, paths } = this.#options;
    path.heard(clock.monotonicMs());
    if (received === "accepted") {
      this.#receivedBytes[pathKindOf(path.link.kind)] += bytes;
      this.#acks.received(bytes);
    } else {
      this.#acks.now();
    }
    paths.watchClosely();
  }

  #acknowledge(): void {
    const ack: ControlOperation = { kind: "ack", next: this.#inbox.next };
    const { active, any, untold } = this.#options.paths;
    const isStriped = this.isSpreadable && (this.#inbox.hasGap || untold.some((path) => path !== active));
    if (!isStriped || untold.length === 0) {
      if (any !== undefined && any.state !== "proving") this.#options.control.send(any, [ack]);
      return;
    }
    // One link that is behind must not close the windows of the others.
    for (const path of untold) {
      path.toldFrames = path.arrivedFrames;
      this.#options.control.send(path, [ack, { kind: "taken", frames: path.arrivedFrames }]);
    }
  }

  // --- sending ---

  /** Small writes go out at once; while much is under way the next ones wait for company in larger frames. */
  pumpSoon(): void {
    if (this.#isPumpPlanned || this.#closed) return;
    this.#isPumpPlanned = true;
    const run = (): void => {
      this.#isPumpPlanned = false;
      this.pump();
    };
    if (this.#outbox.bytes < COMPANY_BYTES) queueMicrotask(run);
    else this.#options.clock.defer(run);
  }

  /** Sends what the paths take now. */
  pump(): void {
    const { paths } = this.#options;
    const { active, carriers } = paths;
    if (this.#closed || active === undefined) return;
    this.#outbox.pump(this.isSpreadable ? carriers : [active]);
    this.#acks.ride();
    paths.watchClosely();
  }

  /** Every data frame below `next` has arrived there. @returns false when the other side claims what was never sent */
  acknowledged(next: number): boolean {
    if (!this.#outbox.acknowledge(next)) return false;
    if (this.isIdle) this.#flushed?.();
    return true;
  }

  /** So many frames have come in at the other end of a path. */
  taken(path: Path, frames: number): void {
    this.#outbox.landBelow(path, frames);
    this.pumpSoon();
  }

  /** What was under way there, and not acknowledged, will be sent again. */
  release(path: Path): void {
    this.#outbox.release(path);
  }

  /** What a living path has lost is sent again; what is late there may go by another now. */
  resend(nowMs: number): void {
    const { active } = this.#options.paths;
    this.#outbox.releaseOlderThan(nowMs - Math.max(STALL_MS, STALL_ROUND_TRIPS * (active?.rttMs ?? 0)));
    this.pump();
  }

  /** Waits until it is idle, at most so long. */
  async flush(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.setTimer(timeoutMs, resolve);
    this.#flushed = () => {
      timer.cancel();
      resolve();
    };
    await promise;
    this.#flushed = undefined;
  }

  /** Gives up what is under way. */
  close(): void {
    this.#closed = true;
    this.#acks.stop();
    this.#outbox.clear();
    this.#inbox.clear();
    this.#flushed?.();
  }
}
