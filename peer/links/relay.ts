/**
 * A relay channel as a link: a WebSocket to the edge, whose object passes binary messages on to the other side. Texts are
 * between this side and the object: `ready` (both are there), `ack:TOTAL` (bytes taken, so that the object may count
 * what is under way), `ping` and `pong` (answered without waking the object), `pace:N` (the edge saves:
 * send no more than N bytes a second; 0: it saves no longer).
 *
 * Each message is billed to the edge, so after many small ones the link holds data until the next may go, and the session gathers what it has to say
 * into fewer frames. Acknowledgements and the like go all the same, and count.
 */
import { parseErrorCode, PeerloomError } from "../../shared/errors.ts";
import { concatBytes } from "../../shared/bytes.ts";
import type { ChannelId } from "../../shared/ids.ts";
import {
  PING_TEXT,
  PONG_TEXT,
  RELAY_ACK_EVERY_BYTES,
  RELAY_BYTES_A_MESSAGE,
  RELAY_MESSAGES_BURST,
  RELAY_MESSAGES_PER_SECOND,
  RELAY_UNACKED_BYTES_MAX,
} from "../../shared/limits.ts";
import type { Clock, MessageSocket, Runtime, Timer } from "../runtime.ts";
import { BaseLink } from "./base-link.ts";
import type { Link } from "./link.ts";

/** Silence after which the edge is asked whether it is still there; NATs forget TCP later than that. */
const PING_AFTER_MS = 25_000;
const PINGS_UNANSWERED_MAX = 2;
const CLOSE_NORMAL = 1000;
/** Sent at once after a pause, however slow the pace is: a call or a ping does not wait. */
const PACE_BURST_BYTES: number = 64 * 1024;
/** Bytes that wait for their turn are the session's to bound; below this it is told to go on. */
const PACED_LOW_BYTES: number = 64 * 1024;
/** Half of what the edge allows: one message in so many ms, and so many ms' worth of them at once. */
const MESSAGE_MS: number = 2_000 / RELAY_MESSAGES_PER_SECOND;
const MESSAGES_AHEAD_MS: number = (RELAY_MESSAGES_BURST / 2) * MESSAGE_MS;

export interface RelayAddress {
  /** Origin of the edge. */
  readonly edge: string;
  readonly channel: ChannelId;
  readonly ticket: string;
}

/** @throws PeerloomError `link/failed`, `aborted` */
export async function dialRelay(runtime: Runtime, address: RelayAddress, signal: AbortSignal): Promise<Link> {
  const url = new URL(`/v1/relay/${address.channel}`, address.edge.replace(/^http/, "ws"));
  url.searchParams.set("ticket", address.ticket);
  return new RelayLink(await runtime.websocket.connect(url.href, signal), runtime.clock, address.edge);
}

class RelayLink extends BaseLink {
  readonly #socket: MessageSocket;
  readonly #clock: Clock;
  #receivedBytes = 0;
  #acknowledgedBytes = 0;
  #closing = false;
  #heardAtMs: number;
  #unanswered = 0;
  #timer: Timer | undefined;
  /** Bytes a second. */
  #pace = Infinity;
  /** Frames that wait for their turn, oldest first. */
  readonly #paced: Uint8Array[] = [];
  #pacedBytes = 0;
  /** Until then what was sent uses up the pace. */
  #freeAtMs = 0;
  #paceTimer: Timer | undefined;
  /** Until then what was sent uses up the messages that one may send. */
  #spentToMs = 0;
  #messageTimer: Timer | undefined;

  constructor(socket: MessageSocket, clock: Clock, edge: string) {
    super({ kind: "relay", description: `relay ${edge}`, unackedBytesMax: RELAY_UNACKED_BYTES_MAX / 2 });
    this.#socket = socket;
    this.#clock = clock;
    this.#heardAtMs = clock.monotonicMs();
    socket.onMessage = (bytes) => this.#receive(bytes);
    socket.onText = (text) => {
      this.#heard();
      if (text === PONG_TEXT) this.#unanswered = 0;
      const pace = /^pace:(\d{1,9})$/.exec(text)?.[1];
      if (pace !== undefined) this.#setPace(Number(pace));
    };
    socket.onDrain = () => this.onDrain();
    socket.onClose = (code, reason) => this.#closed(code, reason);
    this.#watch();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes + this.#pacedBytes;
  }

  get isHeld(): boolean {
    return this.#messageTimer !== undefined;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#closing || this.isEnded) return;
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#count(1, bytes);
    if (this.#pace === Infinity) {
      this.#socket.send(parts);
      return;
    }
    const frame = concatBytes(...parts);
    this.#paced.push(frame);
    this.#pacedBytes += frame.length;
    if (this.#paceTimer === undefined) this.#sendPaced();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#cancelTimers();
    this.#setPace(0);
    this.#socket.close(CLOSE_NORMAL);
  }

  destroy(): void {
    this.#closing = true;
    this.#cancelTimers();
    this.#socket.destroy();
  }

  /**
   * At 0 all goes at once. What waits is no more than a session may have on its way through a relay, and so much the edge lets pass whatever
   * the pace.
   */
  #setPace(pace: number): void {
    this.#pace = pace || Infinity;
    this.#freeAtMs = 0;
    this.#sendPaced();
    this.onDrain();
  }

  /** Sends what may go now; a timer of this side brings the rest, so the edge needs none. */
  #sendPaced(): void {
    this.#paceTimer?.cancel();
    this.#paceTimer = undefined;
    if (this.isEnded) return;
    const nowMs = this.#clock.monotonicMs();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - (PACE_BURST_BYTES / this.#pace) * 1_000);
    while (this.#freeAtMs <= nowMs) {
      const frame = this.#paced.shift();
      if (frame === undefined) break;
      this.#pacedBytes -= frame.length;
      this.#freeAtMs += (frame.length / this.#pace) * 1_000;
      this.#socket.send([frame]);
    }
    if (this.#paced.length > 0) {
      this.#paceTimer = this.#clock.setTimer(this.#freeAtMs - nowMs, () => {
        this.#sendPaced();
        if (this.#pacedBytes < PACED_LOW_BYTES) this.onDrain();
      });
    }
  }

  /** Messages of this side, and bytes that pass the channel. */
  #count(messages: number, bytes: number): void {
    const nowMs = this.#clock.monotonicMs();
    const spent = messages - bytes / RELAY_BYTES_A_MESSAGE;
    this.#spentToMs = Math.max(this.#spentToMs, nowMs) + spent * MESSAGE_MS;
    const waitMs = this.#spentToMs - MESSAGES_AHEAD_MS - nowMs;
    if (waitMs <= 0 || this.#messageTimer !== undefined || this.#closing) return;
    this.#messageTimer = this.#clock.setTimer(Math.ceil(waitMs), () => {
      this.#messageTimer = undefined;
      this.#count(0, 0);
      if (this.#messageTimer === undefined) this.onDrain();
    });
  }

  #receive(bytes: Uint8Array): void {
    this.#heard();
    this.#receivedBytes += bytes.length;
    const isAckDue = this.#receivedBytes - this.#acknowledgedBytes >= RELAY_ACK_EVERY_BYTES;
    this.#count(Number(isAckDue), bytes.length);
    if (isAckDue) {
      this.#acknowledgedBytes = this.#receivedBytes;
      this.#socket.sendText(`ack:${this.#receivedBytes}`);
    }
    this.receiveFrame(bytes);
  }

  #heard(): void {
    this.#heardAtMs = this.#clock.monotonicMs();
  }

  #watch(): void {
    this.#timer = this.#clock.setTimer(PING_AFTER_MS, () => {
      if (this.isEnded || this.#closing) return;
      if (this.#clock.monotonicMs() - this.#heardAtMs >= PING_AFTER_MS) {
        if (this.#unanswered === PINGS_UNANSWERED_MAX) {
          this.end(new PeerloomError("link/timeout", "The edge has gone silent."));
          this.destroy();
          return;
        }
        this.#unanswered += 1;
        this.#socket.sendText(PING_TEXT);
      }
      this.#watch();
    });
  }

  #cancelTimers(): void {
    this.#timer?.cancel();
    this.#paceTimer?.cancel();
    this.#messageTimer?.cancel();
  }

  #closed(code: number, reason: string): void {
    this.#cancelTimers();
    this.end(
      this.#closing || code === CLOSE_NORMAL
        ? undefined
        : new PeerloomError(
            parseErrorCode(reason, "link/failed"),
            `The relay closed the channel: ${code} ${reason}`.trim(),
          ),
    );
  }
}
