/**
 * Where newcomers of one network meet beacons: proves keys, introduces, passes sealed signals on, makes relay channels. All state
 * is soft and sits in socket attachments, so the object sleeps between messages and costs nothing then.
 *
 * There are no timers, and no alarm but the one that forgets an unused ban list. A socket that never joins does no harm while nobody else
 * comes, so those overdue are closed when the next one comes, which has woken the object anyway; an alarm would cost more than the
 * join it guards.
 */
import { DurableObject } from "cloudflare:workers";
import type { BanList } from "../shared/bans.ts";
import { PeerloomError, toPeerloomError } from "../shared/errors.ts";
import type { NetworkName, PeerId } from "../shared/ids.ts";
import { PING_TEXT, PONG_TEXT, RENDEZVOUS_MESSAGE_BYTES_MAX } from "../shared/limits.ts";
import {
  type Contact,
  decodeToRendezvous,
  encodeFromRendezvous,
  type ToRendezvous,
} from "../shared/messages.ts";
import { NEVER_MS, refusalOf } from "../shared/credential.ts";
import { Admission, contactOf } from "./admission.ts";
import { forgetBans } from "./ban-cache.ts";
import type { Env } from "./env.ts";
import type { Joined } from "./members.ts";
import type { Report } from "./metrics.ts";
import type { InviteRefusal } from "./network-book.ts";
import type { EdgeMember } from "./passes.ts";
import { RelayGrants } from "./relay-grants.ts";
import type { RelayLoan } from "./relay-quota.ts";
import { CLOSE, RendezvousCore } from "./rendezvous-core.ts";
import type { ShardAnswer, ShardAsk } from "./shards.ts";
import type { RelayMembership } from "./tickets.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Later ban lists that a network takes: each is a row, and told to everybody. Who bans more at once comes again with the last of them. */
export const BAN_LISTS_BURST = 5;
const BAN_LISTS_PER_SECOND = 0.1;

/** Who is at one rendezvous. */
export interface Roster {
  readonly members: readonly {
    readonly id: PeerId;
    readonly beacon: boolean;
    readonly expiresMs: number;
    /** That it came by, the owner's first. */
    readonly invites: readonly PeerId[];
  }[];
  /** The ban list, as its owner signed it; undefined when there is none. */
  readonly signedBans: Uint8Array | undefined;
}

type Ask<Kind extends ToRendezvous["kind"]> = Extract<ToRendezvous, { readonly kind: Kind }>;

export class Rendezvous extends DurableObject<Env> {
  readonly #core: RendezvousCore;
  readonly #admission: Admission;
  readonly #relays: RelayGrants;
  /** Of all sockets: whoever signs is one. */
  readonly #banLists = new TokenBucket(BAN_LISTS_BURST, BAN_LISTS_PER_SECOND, Date.now());

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_TEXT, PONG_TEXT));
    this.#core = new RendezvousCore(ctx, env);
    this.#admission = new Admission(this.#core);
    this.#relays = new RelayGrants(this.#core);
  }

  /** Opens a socket and sends its challenge. The Worker has checked the network's name. */
  override fetch(request: Request): Response {
    return this.#admission.open(request);
  }

  override async webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): Promise<void> {
    this.#core.meter.message(this.#core.network, Date.now());
    const state = this.#core.members.state(socket);
    if (state === undefined) {
      // Closed by us, and its last messages still come in; or we slept while its join was checked.
      if (socket.readyState !== WebSocket.READY_STATE_OPEN) {
        const { network, members, stubborn } = this.#core;
        if (stubborn.heard(socket, network, members.joinedCount)) this.#core.ban(socket);
        return;
      }
      this.#core.refuse(
        socket,
        CLOSE.restart,
        "edge/not-member",
        "The edge restarted during the join. Connect again.",
      );
    } else if (!this.#core.members.spend(socket, Date.now())) {
      this.#core.ban(socket);
      this.#core.refuse(
        socket,
        CLOSE.policy,
        "edge/rate-limited",
        "Too many messages. Slow down and connect again.",
      );
    } else {
      const decoded = this.#decode(socket, message);
      if (decoded === undefined) return;
      if (state.phase === "greeted" && decoded.kind === "join")
        await this.#admission.join(socket, state, decoded);
      else if (state.phase === "joined" && decoded.kind !== "join") {
        if ((state.pass?.expiresMs ?? Number.POSITIVE_INFINITY) <= Date.now())
          this.#core.putOut(socket, "network/expired");
        else await this.#serve(socket, state, decoded);
      } else
        this.#core.refuse(
          socket,
          CLOSE.policy,
          "edge/not-member",
          "Join first, once, and wait for the answer.",
        );
    }
  }

  override webSocketClose(socket: WebSocket): void {
    this.#core.left(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#core.left(socket);
  }

  /** For another shard. @returns an answer to each, in order */
  answer(asks: readonly ShardAsk[]): ShardAnswer[] {
    return asks.map((ask) => {
      switch (ask.kind) {
        case "deliver":
          return this.#core.deliver(ask.to, ask.message);
        case "locate":
          return this.#locate(ask.id);
        case "retire":
          this.#core.retire(ask.id);
          return undefined;
      }
    });
  }

  /** For another shard. */
  relayMembership(id: PeerId): RelayMembership | undefined {
    return this.#relays.membership(id);
  }

  /** For another shard: bytes that relays may still pass for a member today. */
  relayLeft(member: PeerId, quotaBytes: number): number {
    this.#countCall();
    return this.#core.book.relayLeft(member, quotaBytes, Date.now());
  }

  /** For a relay channel; the first shard keeps the account. */
  lendRelay(member: PeerId, loan: RelayLoan): number {
    this.#countCall();
    return this.#core.book.lendRelay(member, loan, Date.now());
  }

  /** Nobody has come for long. */
  override async alarm(): Promise<void> {
    const { members, shelf, book } = this.#core;
    this.#countCall();
    shelf.rang();
    if (members.joinedCount > 0) await shelf.keep(Date.now());
    else book.forgetBans();
  }

  /** For the ledger. */
  settleNow(): Promise<void> {
    return this.#core.meter.settleNow(this.#core.network);
  }

  /** For another shard: the owner's ban list. */
  async adoptBans(network: NetworkName, signed: Uint8Array): Promise<void> {
    const list = await this.#core.book.laterBans(signed, network);
    if (list !== undefined) await this.#adopt(network, list, signed);
  }

  /** For the Worker. */
  async bannedKeys(network: NetworkName): Promise<PeerId[]> {
    this.#countCall();
    return [...(await this.#core.book.bans(network)).keys];
  }

  /** For the network's owner. */
  roster(): Roster {
    this.#countCall();
    const members = this.#core.members.all().map(({ id, beacon, pass }) => ({
      id,
      beacon,
      expiresMs: pass?.expiresMs ?? NEVER_MS,
      invites: (pass?.keys ?? []).slice(0, -1),
    }));
    return { members, signedBans: this.#core.book.signed };
  }

  /** For another shard: the first one counts. */
  useInvites(counted: EdgeMember["counted"], member: PeerId): Promise<InviteRefusal | undefined> {
    this.#countCall();
    return this.#core.book.use(this.#core.network, counted, member, Date.now());
  }

  /** For the tally. */
  drainCounters(): Report {
    return this.#core.drainCounters();
  }

  /** Of one who has no account of its own for it. */
  #countCall(): void {
    this.#core.meter.use({ objectRequests: 1 }, this.#core.network, Date.now());
  }

  #decode(socket: WebSocket, message: ArrayBuffer | string): ToRendezvous | undefined {
    try {
      const isText = typeof message === "string";
      if ((isText ? message.length : message.byteLength) > RENDEZVOUS_MESSAGE_BYTES_MAX)
        throw new PeerloomError("wire/too-large", `At most ${RENDEZVOUS_MESSAGE_BYTES_MAX} bytes a message.`);
      if (isText)
        throw new PeerloomError("wire/malformed", `Text other than "${PING_TEXT}" is not spoken here.`);
      return decodeToRendezvous(new Uint8Array(message));
    } catch (error) {
      const { code, message: text } = toPeerloomError(error, "wire/malformed", "Malformed message.");
      if (code === "wire/too-large") this.#core.ban(socket); // nobody says so much in good faith
      else this.#core.strike(socket);
      this.#core.refuse(socket, code === "wire/too-large" ? CLOSE.tooLarge : CLOSE.policy, code, text);
      return undefined;
    }
  }

  async #serve(
    socket: WebSocket,
    member: Joined,
    message: Exclude<ToRendezvous, { readonly kind: "join" }>,
  ): Promise<void> {
    switch (message.kind) {
      case "signal":
        return this.#signal(socket, member, message);
      case "relay":
        return this.#relays.grant(socket, member, message);
      case "find":
        return this.#find(socket, member, message);
      case "addresses":
        this.#core.members.join(socket, { ...member, addresses: message.addresses }, Date.now());
        return;
      case "bans":
        return this.#bans(socket, member, message);
    }
  }

  /** Any member may bring the owner's list; who owns a network can make as many as he likes. */
  async #bans(socket: WebSocket, { network, shard }: Joined, { list: signed }: Ask<"bans">): Promise<void> {
    try {
      const list = await this.#core.book.laterBans(signed, network);
      if (list === undefined) return;
      if (!this.#banLists.take(Date.now()))
        throw new PeerloomError(
          "edge/rate-limited",
          "Too many ban lists. Connect again, and bring the last.",
        );
      await this.#adopt(network, list, signed);
    } catch (error) {
      if (!(error instanceof PeerloomError)) throw error;
      this.#core.refuse(socket, CLOSE.policy, error.code, error.message);
      return;
    }
    if (!this.#core.others.any) return;
    this.#core.countCalls(network);
    await this.#core.others.adoptBans(network, shard, signed);
  }

  async #adopt(network: NetworkName, list: BanList, signed: Uint8Array): Promise<void> {
    if (!this.#core.book.keepBans(list, signed)) return;
    forgetBans(network);
    const message = encodeFromRendezvous({ kind: "bans", list: signed });
    for (const { socket, pass } of this.#core.members.all()) {
      const refusal = pass && refusalOf(pass, Date.now(), (key) => list.keys.has(key));
      if (refusal === undefined) this.#core.sendBytes(socket, message);
      else this.#core.putOut(socket, refusal);
    }
    await this.#core.shelf.keep(Date.now());
  }

  async #signal(socket: WebSocket, member: Joined, { request, to, sealed }: Ask<"signal">): Promise<void> {
    const bytes = encodeFromRendezvous({ kind: "signal", from: member.id, sealed });
    const delivered = this.#core.deliver(to, bytes) || (await this.#core.deliverElsewhere(member, to, bytes));
    if (delivered) this.#core.counted(member, "signals");
    else this.#core.notFound(socket, request);
  }

  #locate(id: PeerId): Contact | undefined {
    const member = this.#core.members.get(id);
    return member === undefined ? undefined : contactOf(member);
  }

  async #find(socket: WebSocket, member: Joined, { request, id }: Ask<"find">): Promise<void> {
    let contact = this.#locate(id);
    if (contact === undefined && this.#core.others.any)
      contact = await this.#core.others.locate(member.network, member.shard, id);
    this.#core.send(socket, { kind: "found", request, contact });
    this.#core.counted(member, "finds");
  }
}
