/**
 * What one side of a relay channel has been sent and has not yet acknowledged. A Durable Object cannot see how much of what it
 * sends is still queued in its own memory, so the receiver says how much it has got, and the object stops the sender in time.
 *
 * Both totals run from the socket's opening and are kept in its attachment: at each acknowledgement, and whenever another
 * `SAVE_EVERY_BYTES` were sent. So an object that slept knows `acked` exactly and `sent` too low by less than that. An
 * acknowledgement above `sent` corrects it. The error is never towards stopping an honest sender.
 */
import { RELAY_SLOW_BYTES_PER_SECOND, RELAY_UNACKED_BYTES_MAX } from "../shared/limits.ts";
import { TokenBucket } from "./token-bucket.ts";

/**
 * Frames that may follow the last acknowledgement. Each costs the object some 200 bytes beside its payload, so a flood of tiny
 * ones needs a bound too: 65,536 keep it below 16 MiB. An honest receiver acknowledges long before.
 */
export const RELAY_UNACKED_FRAMES_MAX = 65_536;

const SAVE_EVERY_BYTES = 262_144;

/** What a side may send in bytes once it was told its pace: twice of it, and what was under way then. */
export function paceOf(nowMs: number): TokenBucket {
  return new TokenBucket(RELAY_UNACKED_BYTES_MAX, 2 * RELAY_SLOW_BYTES_PER_SECOND, nowMs);
}

export interface CreditState {
  readonly sent: number;
  readonly acked: number;
}

export class RelayCredit {
  #sent: number;
  #acked: number;
  #savedSent: number;
  #framesSinceAck = 0;

  constructor({ sent, acked }: CreditState) {
    this.#sent = sent;
    this.#acked = acked;
    this.#savedSent = sent;
  }

  get state(): CreditState {
    return { sent: this.#sent, acked: this.#acked };
  }

  /** Counts a frame about to be sent; false, and nothing counted, when it is one too many. */
  spend(bytes: number): boolean {
    if (
      this.#sent + bytes - this.#acked > RELAY_UNACKED_BYTES_MAX ||
      this.#framesSinceAck >= RELAY_UNACKED_FRAMES_MAX
    )
      return false;
    this.#sent += bytes;
    this.#framesSinceAck += 1;
    return true;
  }

  /** The receiver says it has got `total` bytes in all. Going back says nothing. */
  acknowledge(total: number): void {
    if (total < this.#acked) return;
    this.#acked = total;
    if (total > this.#sent) this.#sent = total; // what sleep made us forget
    this.#framesSinceAck = 0;
  }

  /** True when enough was sent since the state was last saved; marks it saved. */
  shouldSave(): boolean {
    if (this.#sent - this.#savedSent < SAVE_EVERY_BYTES) return false;
    this.#savedSent = this.#sent;
    return true;
  }
}
