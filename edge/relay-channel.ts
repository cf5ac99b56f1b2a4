/**
 * One relay channel: passes sealed frames, unread, between exactly two sockets that hold its tickets. What it says itself are
 * short texts (`ready`) and close codes; what it hears from a side are acknowledgements, which it counts and never forwards.
 * One pairing of two sockets is one link: when either socket ends, so does the other, because frames may have been lost.
 */
import { DurableObject } from "cloudflare:workers";
import { isAtLeast, type Stage } from "../shared/budget.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { NetworkName } from "../shared/ids.ts";
import { FRAME_BYTES_MAX, PING_TEXT, PONG_TEXT, RELAY_PENDING_BYTES_MAX } from "../shared/limits.ts";
import { refusalNow } from "./ban-cache.ts";
import { ChannelSide } from "./channel-side.ts";
import { bannedResponse, bans, closedResponse } from "./door.ts";
import type { Env } from "./env.ts";
import { errorResponse } from "./http-errors.ts";
import { Meter } from "./meter.ts";
import { Counters, type Report, sendReport } from "./metrics.ts";
import { addressPrefix, clientAddress } from "./policy.ts";
import { RelayQuota } from "./relay-quota.ts";
import { rendezvousName } from "./shards.ts";
import { closeSocket } from "./sockets.ts";
import { Stubborn } from "./stubborn.ts";
import { readTicket, type RelayMembership } from "./tickets.ts";

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

export class RelayChannel extends DurableObject<Env> {
  readonly #sides: [ChannelSide | undefined, ChannelSide | undefined] = [undefined, undefined];
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
      onStage: (stage, leftMs) => this.#stageChanged(stage, leftMs),
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
    const prefix = addressPrefix(clientAddress(request));
    const bannedMs = bans.leftMs(prefix, nowMs);
    if (bannedMs > 0) return bannedResponse(bannedMs);
    const quota = this.#quotaOf(ticket.network, ticket.membership, 0);
    await quota?.open();
    const old = this.#sides[ticket.side];
    if (old !== undefined) {
      this.#end(old, CLOSE.replaced, "edge/replaced");
      this.#endOther(old);
    }
    const { 0: client, 1: socket } = new WebSocketPair();
    this.ctx.acceptWebSocket(socket, prefix === undefined ? [] : [prefix]);
    const side = new ChannelSide(socket, { ...ticket, sent: 0, acked: 0 }, quota);
    this.#sides[ticket.side] = side;
    side.keep();
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
    const nowMs = Date.now();
    this.#meter.message(from.network, nowMs, bytesIn);
    if (!from.spendMessage(nowMs)) {
      const [prefix] = this.ctx.getTags(socket);
      if (prefix !== undefined) bans.strike(prefix, nowMs);
      this.#fail(from, CLOSE.overCredit, "edge/relay-over-credit");
      return;
    }
    if (!from.spendPace(bytesIn, nowMs)) {
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
    return { counts: this.#counters.drain(), sockets, members: 0 };
  }

  #stageChanged(stage: Stage, leftMs: number): void {
    const isOff = isAtLeast(stage, "relay-off");
    const nowMs = Date.now();
    for (const side of this.#sides) {
      if (side === undefined) continue;
      if (isOff) this.#end(side, CLOSE.relayOff, "edge/relay-off");
      else if (stage === "relay-slow") side.slow(nowMs, nowMs + leftMs);
      else side.hasten();
    }
    if (isOff && this.#network !== undefined) void this.#meter.finish(this.#network);
  }

  #pass(from: ChannelSide, to: ChannelSide, message: ArrayBuffer, bytes: number): void {
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
    from.earnMessages(bytes);
    to.earnMessages(bytes);
    if (!to.credit.shouldSave()) return;
    to.keep();
    if (from.quota !== undefined) from.keep();
  }

  /** What passes counts for both sides: each has it relayed. */
  #spendQuota(side: ChannelSide, bytes: number): boolean {
    if (side.quota?.take(bytes) !== false) return true;
    this.#fail(side, CLOSE.quotaSpent, "network/relay-quota");
    return false;
  }

  #quotaOf(
    network: NetworkName,
    membership: RelayMembership | undefined,
    leftBytes: number,
  ): RelayQuota | undefined {
    const { quotaBytes, keys } = membership ?? {};
    const member = keys?.at(-1);
    if (quotaBytes === undefined || member === undefined) return undefined;
    return new RelayQuota({
      quotaBytes,
      leftBytes,
      lend: async (loan) => this.env.RENDEZVOUS.getByName(rendezvousName(network, 0)).lendRelay(member, loan),
      waitUntil: (answered) => this.ctx.waitUntil(answered),
    });
  }

  #acknowledge(side: ChannelSide, text: string): void {
    const total = /^ack:(\d{1,15})$/.exec(text)?.[1];
    if (total === undefined) {
      this.#fail(side, CLOSE.policy, "wire/malformed");
      return;
    }
    side.credit.acknowledge(Number(total));
    side.keep();
    this.ctx.waitUntil(this.#endOfMembers());
    this.#reportIfDue(side.channel);
  }

  /**
   * Two whose memberships have both ended would go on for ever: no honest side closes their session. Asked of both with each acknowledgement of
   * either, because who only sends says none; answered from memory.
   */
  async #endOfMembers(): Promise<void> {
    for (const side of this.#sides) {
      if (side?.membership === undefined) continue;
      const refusal = await refusalNow(this.env, side.network, side.membership).catch(() => undefined); // asked again with the next one
      if (refusal !== undefined && this.#sides[side.side] === side) this.#fail(side, CLOSE.policy, refusal);
    }
  }

  #hold(from: ChannelSide, message: ArrayBuffer): void {
    if (
      from.pendingBytes + message.byteLength > RELAY_PENDING_BYTES_MAX ||
      from.pending.length >= PENDING_FRAMES_MAX
    ) {
      this.#fail(from, CLOSE.overCredit, "edge/relay-over-credit");
      return;
    }
    from.pending.push(message);
    from.pendingBytes += message.byteLength;
    if (from.pending.length === 1) from.keep();
  }

  /** Both sides are there: says so to both, then delivers what waited. */
  #pair(): void {
    const [first, second] = this.#sides;
    if (first === undefined || second === undefined) return;
    first.socket.send("ready");
    second.socket.send("ready");
    this.#counters.add("relay_channels");
    const nowMs = Date.now();
    if (this.#meter.stage(nowMs) === "relay-slow")
      for (const side of [first, second]) side.slow(nowMs, nowMs + this.#meter.leftMs(nowMs));
    for (const [from, to] of [
      [first, second],
      [second, first],
    ] as const) {
      const held = from.pending.splice(0);
      from.pendingBytes = 0;
      if (held.length > 0) from.keep();
      for (const message of held) this.#pass(from, to, message, message.byteLength);
    }
    this.#reportIfDue(first.channel);
  }

  #refuseFrame(from: ChannelSide, bytes: number): void {
    if (bytes === 0) this.#fail(from, CLOSE.policy, "wire/malformed");
    else this.#fail(from, CLOSE.tooLarge, "link/frame-too-large");
  }

  /** The side has broken a rule: it is closed, and so is the link. */
  #fail(side: ChannelSide, closeCode: number, code: ErrorCode): void {
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

  #endOther(side: ChannelSide): void {
    const other = this.#sides[side.side === 0 ? 1 : 0];
    if (other !== undefined) this.#end(other, CLOSE.otherLeft, "link/closed");
  }

  #end(side: ChannelSide, closeCode: number, code: ErrorCode): void {
    if (this.#sides[side.side] === side) {
      this.#sides[side.side] = undefined;
      side.quota?.settle();
    }
    if (code !== "link/closed") this.#counters.add(`errors:${code}`);
    side.socket.serializeAttachment(null);
    closeSocket(side.socket, closeCode, code);
  }

  /**
   * After a sleep, also when an event comes of a socket that the runtime no longer lists because it is closing already. A side
   * whose held frames were forgotten must not be paired as if nothing were missing.
   */
  #restore(socket: WebSocket): ChannelSide | undefined {
    const kept = ChannelSide.kept(socket);
    if (kept === undefined || this.#sides[kept.side] !== undefined) return undefined; // closed by us, or replaced
    const quota = this.#quotaOf(kept.network, kept.membership, kept.quotaLeftBytes ?? 0);
    const restored = new ChannelSide(socket, kept, quota);
    if (kept.holding) {
      this.#end(restored, CLOSE.lost, "edge/relay-unavailable");
      return undefined;
    }
    this.#sides[kept.side] = restored;
    return restored;
  }

  #reportIfDue(channel: string): void {
    if (this.#counters.takeTurn(Date.now())) this.#report(channel);
  }

  #report(channel: string): void {
    this.#meter.use({ objectRequests: 1 }, this.#network ?? UNKNOWN_NETWORK, Date.now());
    sendReport(this.ctx, this.env, { kind: "relay", name: channel }, this.drainCounters());
  }
}
