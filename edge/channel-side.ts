/** One side of a relay channel. What of it must survive sleep is in its socket's attachment; the rest is begun anew. */
import type { NetworkName } from "../shared/ids.ts";
import { type CreditState, RelayCredit } from "./relay-credit.ts";
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
  /** Its pace, while the edge saves; undefined before. */
  pace: TokenBucket | undefined;

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
  }

  /** Undefined when the socket was closed by us. */
  static kept(socket: WebSocket): KeptSide | undefined {
    return (socket.deserializeAttachment() as KeptSide | null) ?? undefined;
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
      ...credit.state,
    };
    this.socket.serializeAttachment(kept);
  }
}
