/**
 * One relay channel: passes sealed frames, unread, between exactly two sockets that hold its tickets. What it says itself are
 * short texts (`ready`) and close codes; what it hears from a side are acknowledgements, which it counts and never forwards.
 * One pairing of two sockets is one link: when either socket ends, so does the other, because frames may have been lost.
 */
import { DurableObject } from "cloudflare:workers";
import { isAtLeast, type Stage } from "../shared/budget.ts";
import type { ErrorCode } from "../shared/errors.ts";
import { type NetworkName, networkKindOf, type PeerId } from "../shared/ids.ts";
import {
  FRAME_BYTES_MAX,
  PING_TEXT,
  PONG_TEXT,
  RELAY_PENDING_BYTES_MAX,
  RELAY_SLOW_BYTES_PER_SECOND,
} from "../shared/limits.ts";
import { isBannedNow } from "./ban-cache.ts";
import { closedResponse } from "./door.ts";
import type { Env } from "./env.ts";
import { errorResponse } from "./http-errors.ts";
import { Meter } from "./meter.ts";
import { Counters, type Report, sendReport } from "./metrics.ts";
import { type CreditState, paceOf, RelayCredit } from "./relay-credit.ts";
import { RelayQuota } from "./relay-quota.ts";
import { rendezvousName } from "./shards.ts";
import { closeSocket } from "./sockets.ts";
import { Stubborn } from "./stubborn.ts";
import { readTicket, type RelaySide } from "./tickets.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** Close codes of a relay socket; the reason is the error code. WIRE.md has the table. */
const CLOSE = {
  normal: 1000,
  replaced: 4001,
  otherLeft: 4002,
  overCredit: 4003,
  relayOff: 4004,
  quotaSpent: 4005,
  policy: 1008,
  tooLarge: 1009,
  lost: 1012,
} as const;

/** Where what a closed socket still sends is booked after a sleep. */
const UNKNOWN_NETWORK = "(relay)";
/** Frames held for the other side; with the bytes' bound, so that empty-handed flooding ends too. */
const PENDING_FRAMES_MAX = 256;

/** What survives sleep, in the socket's attachment. */
interface Attachment extends CreditState {
  readonly side: RelaySide;
  readonly channel: string;
  readonly network: NetworkName;
  readonly member?: PrivateMember;
  /** Where its member has a quota. */
  readonly quota?: { readonly bytes: number; readonly left: number };
  /** Frames of this side are in memory, waiting for the other side. After a sleep they are gone. */
  readonly holding: boolean;
}

/** Whom the side is of, in a network whose owner may ban it. */
interface PrivateMember {
  readonly network: NetworkName;
  readonly peer: PeerId;
}

interface Side {
  readonly side: RelaySide;
  readonly channel: string;
  readonly network: NetworkName;
  /** Its pace, while the edge saves; undefined before. */
  pace: TokenBucket | undefined;
  readonly member: PrivateMember | undefined;
  /** Undefined where the member may relay any number of bytes. */
  readonly quota: RelayQuota | undefined;
  readonly socket: WebSocket;
  /** Of what is sent *to* this side. */
  readonly credit: RelayCredit;
  /** Frames *from* this side that wait for the other. */
  readonly pending: ArrayBuffer[];
  pendingBytes: number;
}

export class RelayChannel extends DurableObject<Env> {
  readonly #sides: [Side | undefined, Side | undefined] = [undefined, undefined];
  readonly #counters = new Counters();
  // Plain fields, because every frame passes here.
  #frames = 0;
  #bytes = 0;
  /** Of the members, once one is here. */
  #network: NetworkName | undefined;
  readonly #meter: Meter;
  readonly #stubborn: Stubborn;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_TEXT, PONG_TEXT));
    this.#meter = new Meter({
      ctx,
      env,
      kind: "relay",
      name: ctx.id.name ?? "",
      present: () => ({ sockets: this.#sides.filter((side) => side !== undefined).length, members: 0 }),
      onStage: (stage) => this.#stageChanged(stage),
    });
    this.#stubborn = new Stubborn(ctx, this.#meter);
    for (const socket of ctx.getWebSockets()) this.#restore(socket);
  }

  /** Opens a side. The Worker has checked the ticket. */
  override async fetch(request: Request): Promise<Response> {
    const ticket = readTicket(new URL(request.url).searchParams.get("ticket") ?? "");
    if (ticket === undefined) return errorResponse("edge/ticket-invalid", "This is not a relay ticket.");
    const nowMs = Date.now();
    this.#network = ticket.network;
    this.#meter.upgrade(ticket.network, nowMs);
    if (this.#meter.stage(nowMs) === "closed") return closedResponse(this.#meter.leftMs(nowMs));
    const { network, peer, quotaBytes } = ticket;
    const member = networkKindOf(network) === "invite" ? { network, peer } : undefined;
    const quota = member && quotaBytes !== undefined ? this.#quotaOf(member, quotaBytes, 0) : undefined;
    await quota?.open();
    const old = this.#sides[ticket.side];
    if (old !== undefined) {
      this.#end(old, CLOSE.replaced, "edge/replaced");
      this.#endOther(old);
    }
    const { 0: client, 1: socket } = new WebSocketPair();
    this.ctx.acceptWebSocket(socket);
    const credit = new RelayCredit({ sent: 0, acked: 0 });
    const side: Side = {
      side: ticket.side,
      channel: ticket.channel,
      network,
      pace: undefined,
      member,
      quota,
      socket,
      credit,
      pending: [],
      pendingBytes: 0,
    };
    this.#sides[ticket.side] = side;
    this.#save(side);
    this.#pair();
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const [first, second] = this.#sides;
    const from =
      first?.socket === socket ? first : second?.socket === socket ? second : this.#restore(socket);
    if (from === undefined) {
      // Closed by us, and its last messages still come in; they are billed all the same.
      const network = this.#network ?? UNKNOWN_NETWORK;
      this.#meter.message(network, Date.now());
      this.#stubborn.heard(socket, network, 0);
      return;
    }
    this.#network = from.network;
    const bytesIn = typeof message === "string" ? 0 : message.byteLength;
    this.#meter.message(from.network, Date.now(), bytesIn);
    if (from.pace?.take(Date.now(), bytesIn) === false) {
      this.#fail(from, CLOSE.overCredit, "edge/relay-over-credit");
      return;
    }
    if (typeof message === "string") {
      this.#acknowledge(from, message);
      return;
    }
    const bytes = message.byteLength;
    const to = from.side === 0 ? second : first;
    if (bytes === 0 || bytes > FRAME_BYTES_MAX) this.#refuseFrame(from, bytes);
    else if (to === undefined) this.#hold(from, message);
    else this.#pass(from, to, message, bytes);
  }

  override webSocketClose(socket: WebSocket): void {
    this.#left(socket);
    try {
      socket.close(); // a hibernating socket does not answer a close frame by itself, and its peer would wait in vain
    } catch {
      // We had closed it first.
    }
  }

  override webSocketError(socket: WebSocket): void {
    this.#left(socket);
  }

  /** For the ledger. */
  async settleNow(): Promise<void> {
    if (this.#network !== undefined) await this.#meter.settleNow(this.#network);
  }

  /** For the tally. */
  drainCounters(): Report {
    this.#counters.add("relay_frames", this.#frames);
    this.#counters.add("relay_bytes", this.#bytes);
    this.#frames = 0;
    this.#bytes = 0;
    const sockets = this.#sides.filter((side) => side !== undefined).length;
    return { counts: this.#counters.drain(Date.now()), sockets, members: 0 };
  }

  #stageChanged(stage: Stage): void {
    const isOff = isAtLeast(stage, "relay-off");
    for (const side of this.#sides) {
      if (side === undefined) continue;
      if (isOff) this.#end(side, CLOSE.relayOff, "edge/relay-off");
      else if (stage === "relay-slow") this.#slow(side);
    }
    if (isOff && this.#network !== undefined) void this.#meter.finish(this.#network);
  }

  /** The sender is told, and held to twice of it; what is under way already may arrive. */
  #slow(side: Side): void {
    const { socket } = side;
    side.pace = paceOf(Date.now());
    try {
      socket.send(`pace:${RELAY_SLOW_BYTES_PER_SECOND}`);
    } catch {
      // Closing; its event is still to come.
    }
  }

  #pass(from: Side, to: Side, message: ArrayBuffer, bytes: number): void {
    if (!this.#spendQuota(from, bytes) || !this.#spendQuota(to, bytes)) return;
    if (!to.credit.spend(bytes)) {
      this.#fail(from, CLOSE.overCredit, "edge/relay-over-credit");
      return;
    }
    try {
      to.socket.send(message);
    } catch {
      this.#left(to.socket); // it is closing, and the event is still to come
      return;
    }
    this.#frames += 1;
    this.#bytes += bytes;
    if (!to.credit.shouldSave()) return;
    this.#save(to);
    if (from.quota !== undefined) this.#save(from);
  }

  /** What passes counts for both sides: each has it relayed. */
  #spendQuota(side: Side, bytes: number): boolean {
    if (side.quota?.take(bytes) !== false) return true;
    this.#fail(side, CLOSE.quotaSpent, "network/relay-quota");
    return false;
  }

  #quotaOf({ network, peer }: PrivateMember, quotaBytes: number, leftBytes: number): RelayQuota {
    return new RelayQuota({
      quotaBytes,
      leftBytes,
      lend: async (loan) =>
        this.env.RENDEZVOUS.getByName(rendezvousName(network, 0)).lendRelay(network, peer, loan),
      waitUntil: (answered) => this.ctx.waitUntil(answered),
    });
  }

  #acknowledge(side: Side, text: string): void {
    const total = /^ack:(\d{1,15})$/.exec(text)?.[1];
    if (total === undefined) {
      this.#fail(side, CLOSE.policy, "wire/malformed");
      return;
    }
    side.credit.acknowledge(Number(total));
    this.#save(side);
    if (side.member !== undefined) this.ctx.waitUntil(this.#endIfBanned(side, side.member));
    this.#reportIfDue(side.channel);
  }

  /** Two who are both banned would go on for ever: no honest side closes their session. Asked with each acknowledgement, answered from memory. */
  async #endIfBanned(side: Side, { network, peer }: PrivateMember): Promise<void> {
    const isBanned = await isBannedNow(this.env, network, [peer]).catch(() => false); // asked again with the next one
    if (isBanned && this.#sides[side.side] === side) this.#fail(side, CLOSE.policy, "network/banned");
  }

  #hold(from: Side, message: ArrayBuffer): void {
    if (
      from.pendingBytes + message.byteLength > RELAY_PENDING_BYTES_MAX ||
      from.pending.length >= PENDING_FRAMES_MAX
    ) {
      this.#fail(from, CLOSE.overCredit, "edge/relay-over-credit");
      return;
    }
    from.pending.push(message);
    from.pendingBytes += message.byteLength;
    if (from.pending.length === 1) this.#save(from);
  }

  /** Both sides are there: says so to both, then delivers what waited. */
  #pair(): void {
    const [first, second] = this.#sides;
    if (first === undefined || second === undefined) return;
    first.socket.send("ready");
    second.socket.send("ready");
    this.#counters.add("relay_channels");
    if (this.#meter.stage(Date.now()) === "relay-slow") for (const side of [first, second]) this.#slow(side);
    for (const [from, to] of [
      [first, second],
      [second, first],
    ] as const) {
      const held = from.pending.splice(0);
      from.pendingBytes = 0;
      if (held.length > 0) this.#save(from);
      for (const message of held) this.#pass(from, to, message, message.byteLength);
    }
    this.#reportIfDue(first.channel);
  }

  #refuseFrame(from: Side, bytes: number): void {
    if (bytes === 0) this.#fail(from, CLOSE.policy, "wire/malformed");
    else this.#fail(from, CLOSE.tooLarge, "link/frame-too-large");
  }

  /** The side has broken a rule: it is closed, and so is the link. */
  #fail(side: Side, closeCode: number, code: ErrorCode): void {
    this.#end(side, closeCode, code);
    this.#endOther(side);
    this.#report(side.channel);
  }

  #left(socket: WebSocket): void {
    const side = this.#sides.find((one) => one?.socket === socket) ?? this.#restore(socket);
    socket.serializeAttachment(null);
    closeSocket(socket, CLOSE.normal, ""); // workerd does not answer a close by itself once the object has slept
    if (side === undefined) return;
    this.#sides[side.side] = undefined;
    side.quota?.settle();
    this.#endOther(side);
    void this.#meter.finish(side.network);
    this.#report(side.channel);
  }

  #endOther(side: Side): void {
    const other = this.#sides[side.side === 0 ? 1 : 0];
    if (other !== undefined) this.#end(other, CLOSE.otherLeft, "link/closed");
  }

  #end(side: Side, closeCode: number, code: ErrorCode): void {
    if (this.#sides[side.side] === side) {
      this.#sides[side.side] = undefined;
      side.quota?.settle();
    }
    if (code !== "link/closed") this.#counters.add(`errors:${code}`);
    side.socket.serializeAttachment(null);
    closeSocket(side.socket, closeCode, code);
  }

  #save({ socket, side, channel, network, member, quota, credit, pending }: Side): void {
    const attachment: Attachment = {
      side,
      channel,
      network,
      holding: pending.length > 0,
      ...(member !== undefined && { member }),
      ...(quota !== undefined && { quota: { bytes: quota.quotaBytes, left: quota.leftBytes } }),
      ...credit.state,
    };
    socket.serializeAttachment(attachment);
  }

  /**
   * After a sleep, also when an event comes of a socket that the runtime no longer lists because it is closing already. A side
   * whose held frames were forgotten must not be paired as if nothing were missing.
   */
  #restore(socket: WebSocket): Side | undefined {
    const attachment = socket.deserializeAttachment() as Attachment | null;
    if (attachment === null || this.#sides[attachment.side] !== undefined) return undefined; // closed by us, or replaced
    const { side, channel, network, member, quota } = attachment;
    const restored: Side = {
      side,
      channel,
      network,
      pace: undefined,
      member,
      quota: member && quota && this.#quotaOf(member, quota.bytes, quota.left),
      socket,
      credit: new RelayCredit(attachment),
      pending: [],
      pendingBytes: 0,
    };
    if (attachment.holding) {
      this.#end(restored, CLOSE.lost, "edge/relay-unavailable");
      return undefined;
    }
    this.#sides[side] = restored;
    return restored;
  }

  #reportIfDue(channel: string): void {
    if (this.#counters.isDue(Date.now())) this.#report(channel);
  }

  #report(channel: string): void {
    sendReport(this.ctx, this.env, { kind: "relay", name: channel }, this.drainCounters());
  }
}
