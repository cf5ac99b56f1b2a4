/** One side of a relay channel. What of it must survive sleep is in its socket's attachment; the rest is begun anew. */
import type { NetworkName } from "../shared/ids.ts";
import { RELAY_HELD_BYTES_PER_SECOND, RELAY_SLOW_BYTES_PER_SECOND } from "../shared/limits.ts";
import { MessageAllowance } from "./message-allowance.ts";
import { type CreditState, paceOf, RelayCredit } from "./relay-credit.ts";
import type { RelayQuota } from "./relay-quota.ts";
import type { RelayMembership, RelaySide } from "./tickets.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** What survives sleep. */
export interface KeptSide extends CreditState {
  readonly side: RelaySide;
  readonly channel: string;
  readonly network: NetworkName;
  /** Of its member, in a network whose owner may end it. */
  readonly membership?: RelayMembership | undefined;
  /** Of a loan, where its member has a quota. */
  readonly quotaLeftBytes?: number;
  /** Frames of this side are in memory, waiting for the other side. After a sleep they are gone. */
  readonly holding: boolean;
  /** Wall clock, ms: it was told its pace, and until then the pace holds. */
  readonly pacedUntilMs?: number | undefined;
  /** It was told a pace because of its many messages. */
  readonly isHeld?: boolean;
}

export class ChannelSide {
  readonly side: RelaySide;
  readonly channel: string;
  readonly network: NetworkName;
  readonly membership: RelayMembership | undefined;
  readonly socket: WebSocket;
  /** Undefined where the member may relay any number of bytes. */
  readonly quota: RelayQuota | undefined;
  /** Of what is sent *to* this side. */
  readonly credit: RelayCredit;
  /** Frames *from* this side that wait for the other. */
  readonly pending: ArrayBuffer[] = [];
  pendingBytes = 0;
  readonly #messages: MessageAllowance;
  /** While the edge saves: what it may send, and until when. */
  #pace: { readonly bucket: TokenBucket; readonly untilMs: number } | undefined;

  constructor(
    socket: WebSocket,
    kept: Omit<KeptSide, "quotaLeftBytes" | "holding">,
    quota: RelayQuota | undefined,
  ) {
    this.socket = socket;
    this.side = kept.side;
    this.channel = kept.channel;
    this.network = kept.network;
    this.membership = kept.membership;
    this.credit = new RelayCredit(kept);
    this.quota = quota;
    this.#messages = new MessageAllowance(Date.now(), kept.isHeld ?? false);
    const { pacedUntilMs: untilMs } = kept;
    if (untilMs !== undefined) this.#pace = { bucket: paceOf(Date.now()), untilMs };
  }

  /** Undefined when the socket was closed by us. */
  static kept(socket: WebSocket): KeptSide | undefined {
    return (socket.deserializeAttachment() as KeptSide | null) ?? undefined;
  }

  /** The sender is told, and held to twice of it until then; what is under way already may arrive. */
  slow(nowMs: number, untilMs: number): void {
    this.#pace = { bucket: paceOf(nowMs), untilMs };
    this.#tellPace();
  }

  /** The edge saves no longer. */
  hasten(): void {
    if (this.#pace === undefined) return;
    this.#pace = undefined;
    this.#tellPace();
  }

  /** False when it has sent more messages than any honest side. */
  spendMessage(nowMs: number): boolean {
    const wasHeld = this.#messages.isHeld;
    if (!this.#messages.take(nowMs)) return false;
    if (this.#messages.isHeld !== wasHeld) this.#tellPace();
    return true;
  }

  /** So much has passed the channel, to it or from it. */
  earnMessages(bytes: number): void {
    this.#messages.earn(bytes);
  }

  /**
   * False when it has sent more than its pace allows. A new day comes without an event, so a side is told of it when it next sends: until then
   * it misses nothing.
   */
  spendPace(bytes: number, nowMs: number): boolean {
    if (this.#pace === undefined) return true;
    if (nowMs < this.#pace.untilMs) return this.#pace.bucket.take(nowMs, bytes);
    this.hasten();
    return true;
  }

  keep(): void {
    const { side, channel, network, membership, quota, credit, pending } = this;
    const kept: KeptSide = {
      side,
      channel,
      network,
      holding: pending.length > 0,
      ...(membership !== undefined && { membership }),
      ...(quota !== undefined && { quotaLeftBytes: quota.leftBytes }),
      ...(this.#pace !== undefined && { pacedUntilMs: this.#pace.untilMs }),
      ...(this.#messages.isHeld && { isHeld: true }),
      ...credit.state,
    };
    this.socket.serializeAttachment(kept);
  }

  #tellPace(): void {
    const slow = this.#pace === undefined ? 0 : RELAY_SLOW_BYTES_PER_SECOND;
    try {
      this.socket.send(`pace:${this.#messages.isHeld ? RELAY_HELD_BYTES_PER_SECOND : slow}`);
    } catch {
      // Closing; its event is still to come.
    }
    this.keep();
  }
}
