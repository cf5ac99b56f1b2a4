/**
 * Where newcomers of one network meet beacons: proves keys, introduces, passes sealed signals on, makes relay channels. All state
 * is soft and sits in socket attachments, so the object sleeps between messages and costs nothing then.
 *
 * There are no timers and no alarms. A socket that never joins does no harm while nobody else comes, so those overdue are
 * closed when the next one comes, which has woken the object anyway; an alarm would cost more than the join it guards.
 */
import { DurableObject } from "cloudflare:workers";
import { isAtLeast, type Stage } from "../shared/budget.ts";
import { type ErrorCode, PeerloomError, toPeerloomError } from "../shared/errors.ts";
import { sha256 } from "../shared/bytes.ts";
import {
  CHANNEL_ID_BYTES,
  channelIdFrom,
  type NetworkName,
  networkKindOf,
  parseNetworkName,
  parsePeerId,
  type PeerId,
  publicKeyOf,
} from "../shared/ids.ts";
import {
  BEACONS_MAX,
  RETURN_PASS_TTL_MS,
  PING_TEXT,
  PONG_TEXT,
  RELAY_TICKET_TTL_MS,
  RENDEZVOUS_MESSAGE_BYTES_MAX,
  RENDEZVOUS_SOCKETS_MAX,
  WIRE_VERSION,
} from "../shared/limits.ts";
import {
  type Contact,
  decodeToRendezvous,
  encodeFromRendezvous,
  type FromRendezvous,
  type ToRendezvous,
} from "../shared/messages.ts";
import { NEVER_MS, refusalOf, REFUSAL_TEXT } from "../shared/credential.ts";
import { forgetBans } from "./ban-cache.ts";
import { beaconsKept, pickBeacons } from "./beacons.ts";
import { bannedResponse, bans, closedResponse, OVER_BUDGET } from "./door.ts";
import { ticketKey } from "./edge-keys.ts";
import type { Env } from "./env.ts";
import { errorResponse } from "./http-errors.ts";
import { challengeVersion, type JoinMessage, refusalOfJoin } from "./join.ts";
import { type Greeted, type Joined, type Member, Members } from "./members.ts";
import { BACK_HEADER, BACK_QUERY, mintReturnPass } from "./return-pass.ts";
import { Meter } from "./meter.ts";
import { Counters, type Report, sendReport } from "./metrics.ts";
import { NetworkBook, type RelayLoan } from "./network-book.ts";
import { decodeMember, type EdgeMember, may, MEMBER_HEADER } from "./passes.ts";
import { acceptedOrigins, addressPrefix, clientAddress, SOCKETS_PER_PREFIX_MAX } from "./policy.ts";
import { closeSocket } from "./sockets.ts";
import { OtherShards, rendezvousName, SHARD_HEADER } from "./shards.ts";
import { Stubborn } from "./stubborn.ts";
import { mintTicket } from "./tickets.ts";

/** Close codes of a rendezvous socket; the reason is the error code. */
const CLOSE = {
  normal: 1000,
  replaced: 4001,
  policy: 1008,
  tooLarge: 1009,
  restart: 1012,
  later: 1013,
} as const;
const NONCE_BYTES = 32;
const QUOTA_SPENT =
  "Relays have passed as much for one of the two as its invite allows in a day. Reach each other directly, or wait for the next day.";

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
  readonly #members: Members;
  readonly #others: OtherShards;
  readonly #counters = new Counters();
  readonly #meter: Meter;
  readonly #stubborn: Stubborn;
  readonly #book: NetworkBook;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_TEXT, PONG_TEXT));
    this.#book = new NetworkBook(ctx.storage);
    this.#members = new Members(ctx.getWebSockets(), Date.now());
    this.#others = new OtherShards(env);
    this.#meter = new Meter({
      ctx,
      env,
      kind: "rendezvous",
      name: ctx.id.name ?? "",
      present: () => ({ sockets: this.#members.size, members: this.#members.joinedCount }),
      onStage: (stage, leftMs) => this.#stageChanged(stage, leftMs),
    });
    this.#stubborn = new Stubborn(ctx, this.#meter);
  }

  /** Opens a socket and sends its challenge. The Worker has checked the network's name. */
  override fetch(request: Request): Response {
    const nowMs = Date.now();
    for (const socket of this.#members.overdue(nowMs)) {
      this.#refuse(socket, CLOSE.policy, "edge/challenge-failed", "No join came in time. Connect again.");
    }
    const network = parseNetworkName(new URL(request.url).pathname.split("/")[3] ?? "");
    if (network === undefined) return errorResponse("network/invalid-name", "This is not a network name.");
    this.#meter.upgrade(network, nowMs);
    if (this.#meter.stage(nowMs) === "closed") return closedResponse(this.#meter.leftMs(nowMs));
    if (this.#members.size >= RENDEZVOUS_SOCKETS_MAX) {
      return errorResponse(
        "edge/over-capacity",
        "This network's rendezvous is full. Raise RENDEZVOUS_SHARDS, or try again later.",
      );
    }
    const address = clientAddress(request);
    const prefix = addressPrefix(address);
    const bannedMs = bans.leftMs(prefix, nowMs);
    if (bannedMs > 0) return bannedResponse(bannedMs);
    if (prefix !== undefined && this.ctx.getWebSockets(prefix).length >= SOCKETS_PER_PREFIX_MAX) {
      return errorResponse(
        "edge/too-many-sockets",
        `${prefix} has ${SOCKETS_PER_PREFIX_MAX} sockets open. Close some.`,
      );
    }
    const { 0: client, 1: socket } = new WebSocketPair();
    this.ctx.acceptWebSocket(socket, prefix === undefined ? [] : [prefix]);
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const origins = acceptedOrigins(this.env, request);
    const shard = Number(request.headers.get(SHARD_HEADER) ?? 0);
    const hearsBudget = new URL(request.url).searchParams.has(BACK_QUERY);
    const passOf = parsePeerId(request.headers.get(BACK_HEADER) ?? "");
    const pass = decodeMember(request.headers.get(MEMBER_HEADER));
    this.#members.greet(socket, {
      phase: "greeted",
      nonce,
      atMs: nowMs,
      origins,
      network,
      shard,
      address,
      hearsBudget,
      passOf,
      ...(pass !== undefined && { pass }),
    });
    this.#send(socket, { kind: "challenge", version: challengeVersion(request), nonce, timeMs: nowMs });
    return new Response(null, { status: 101, webSocket: client });
  }

  override async webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): Promise<void> {
    this.#meter.message(this.#network, Date.now());
    const state = this.#members.state(socket);
    if (state === undefined) {
      // Closed by us, and its last messages still come in; or we slept while its join was checked.
      if (socket.readyState !== WebSocket.READY_STATE_OPEN) {
        if (this.#stubborn.heard(this.#network, this.#members.joinedCount)) this.#ban(socket);
        return;
      }
      this.#refuse(
        socket,
        CLOSE.restart,
        "edge/not-member",
        "The edge restarted during the join. Connect again.",
      );
    } else if (!this.#members.spend(socket, Date.now())) {
      this.#ban(socket);
      this.#refuse(
        socket,
        CLOSE.policy,
        "edge/rate-limited",
        "Too many messages. Slow down and connect again.",
      );
    } else {
      const decoded = this.#decode(socket, message);
      if (decoded === undefined) return;
      if (state.phase === "greeted" && decoded.kind === "join") await this.#join(socket, state, decoded);
      else if (state.phase === "joined" && decoded.kind !== "join") {
        if ((state.pass?.expiresMs ?? Number.POSITIVE_INFINITY) <= Date.now())
          this.#putOut(socket, "network/expired");
        else await this.#serve(socket, state, decoded);
      } else
        this.#refuse(socket, CLOSE.policy, "edge/not-member", "Join first, once, and wait for the answer.");
    }
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

  /** For another shard: passes a message to a member that is here. */
  deliver(to: PeerId, message: Uint8Array): boolean {
    const member = this.#members.get(to);
    return member !== undefined && this.#sendBytes(member.socket, message);
  }

  /** For another shard. */
  locate(id: PeerId): Contact | undefined {
    const member = this.#members.get(id);
    return member === undefined ? undefined : contactOf(member);
  }

  /** For another shard: bytes a day that relays pass for a member; undefined: any number, or it is not here. */
  relayQuota(id: PeerId): number | undefined {
    return this.#members.get(id)?.pass?.relayBytesPerDay;
  }

  /** For another shard: bytes that relays may still pass for a member today. */
  relayLeft(member: PeerId, quotaBytes: number): number {
    return this.#book.relayLeft(member, quotaBytes, Date.now());
  }

  /** For a relay channel; the first shard keeps the account. */
  lendRelay(network: NetworkName, member: PeerId, loan: RelayLoan): number {
    const nowMs = Date.now();
    this.#meter.use({ objectRequests: 1, rowsRead: 1, rowsWritten: 1 }, network, nowMs);
    return this.#book.lendRelay(member, loan, nowMs);
  }

  /** For another shard: the peer has joined there. */
  retire(id: PeerId): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#refuse(
      member.socket,
      CLOSE.replaced,
      "edge/replaced",
      "The same peer has joined again on another socket.",
    );
  }

  /** For the ledger. */
  settleNow(): Promise<void> {
    return this.#meter.settleNow(this.#network);
  }

  /** For another shard: the owner's later ban list. */
  async adoptBans(network: NetworkName, list: Uint8Array): Promise<void> {
    const bans = await this.#book.adopt(list, network);
    if (bans === undefined) return;
    forgetBans(network);
    const message = encodeFromRendezvous({ kind: "bans", list });
    for (const { socket, pass } of this.#members.all()) {
      const refusal = pass && refusalOf(pass, Date.now(), (key) => bans.keys.has(key));
      if (refusal === undefined) this.#sendBytes(socket, message);
      else this.#putOut(socket, refusal);
    }
  }

  /** For the Worker. */
  async bannedKeys(network: NetworkName): Promise<PeerId[]> {
    return [...(await this.#book.bans(network)).keys];
  }

  /** For the network's owner. */
  roster(): Roster {
    const members = this.#members.all().map(({ id, beacon, pass }) => ({
      id,
      beacon,
      expiresMs: pass?.expiresMs ?? NEVER_MS,
      invites: (pass?.keys ?? []).slice(0, -1),
    }));
    return { members, signedBans: this.#book.signed };
  }

  /** For another shard: the first one counts. */
  useInvites(
    counted: EdgeMember["counted"],
    member: PeerId,
  ): Extract<ErrorCode, "network/invite-used" | "edge/over-capacity"> | undefined {
    return this.#book.use(counted, member, Date.now());
  }

  /** For the tally. */
  drainCounters(): Report {
    const { size, joinedCount } = this.#members;
    return { counts: this.#counters.drain(Date.now()), sockets: size, members: joinedCount };
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
      if (code === "wire/too-large") this.#ban(socket); // nobody says so much in good faith
      this.#refuse(socket, code === "wire/too-large" ? CLOSE.tooLarge : CLOSE.policy, code, text);
      return undefined;
    }
  }

  async #join(socket: WebSocket, greeted: Greeted, join: JoinMessage): Promise<void> {
    this.#members.beginVerifying(socket);
    const refusal = await refusalOfJoin(join, greeted, Date.now());
    const key = await sha256(publicKeyOf(join.id));
    if (this.#members.state(socket) === undefined) return; // it left meanwhile
    if (refusal !== undefined) {
      this.#refuse(socket, CLOSE.policy, refusal.code, refusal.message);
      return;
    }
    const { network, shard, address, hearsBudget, pass } = greeted;
    if (greeted.passOf !== join.id && this.#meter.stage(Date.now()) === "members") {
      const message = "This edge takes no newcomers today. Join through a peer that is in.";
      this.#refuse(socket, CLOSE.later, "edge/over-budget", message);
      return;
    }
    const kept = pass && (await this.#refusalOfMember(network, shard, pass, join.id));
    if (this.#members.state(socket) === undefined) return;
    if (kept !== undefined) {
      this.#putOut(socket, kept);
      return;
    }
    this.retire(join.id);
    const known = this.#members.beacons();
    const beacons = pickBeacons(known.length >= BEACONS_MAX ? known : this.#members.all(), key, randomUnit);
    const keep = join.beacon && this.#members.beaconCount < beaconsKept(this.env);
    const joined: Joined = {
      phase: "joined",
      network,
      shard,
      id: join.id,
      key,
      beacon: keep,
      addresses: join.addresses,
      hearsBudget,
      ...(pass !== undefined && { pass: { ...pass, counted: [] } }),
    };
    this.#members.join(socket, joined, Date.now());
    const members = this.#members.joinedCount;
    this.#send(socket, {
      kind: "joined",
      beacons: beacons.map(contactOf),
      keep,
      relay: !isAtLeast(this.#meter.stage(Date.now()), "relay-off"),
      members,
      address,
    });
    if (join.version < WIRE_VERSION) this.#counters.add("joins_before");
    const list = pass && this.#book.signed;
    if (list !== undefined) this.#send(socket, { kind: "bans", list });
    this.#counted(joined, "joins");
    if (hearsBudget) await this.#tellBudget(socket, joined);
    if (!this.#others.any) return;
    this.#countCalls(network);
    await this.#others.retire(network, shard, join.id);
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
        return this.#relay(socket, member, message);
      case "find":
        return this.#find(socket, member, message);
      case "addresses":
        this.#members.join(socket, { ...member, addresses: message.addresses }, Date.now());
        return;
      case "bans":
        return this.#bans(socket, member, message);
    }
  }

  /** Why somebody whose pass was good a moment ago may not join all the same. */
  async #refusalOfMember(
    network: NetworkName,
    shard: number,
    pass: EdgeMember,
    joining: PeerId,
  ): Promise<ErrorCode | undefined> {
    if (pass.member !== joining) return "network/not-member";
    const bans = await this.#book.bans(network);
    const refusal = refusalOf(pass, Date.now(), (key) => bans.keys.has(key));
    if (refusal !== undefined || pass.counted.length === 0) return refusal;
    if (shard === 0) return this.useInvites(pass.counted, joining);
    return this.env.RENDEZVOUS.getByName(rendezvousName(network, 0)).useInvites(pass.counted, joining);
  }

  /** Any member may bring the owner's list. */
  async #bans(socket: WebSocket, { network, shard }: Joined, { list }: Ask<"bans">): Promise<void> {
    try {
      await this.adoptBans(network, list);
    } catch (error) {
      if (!(error instanceof PeerloomError)) throw error;
      this.#refuse(socket, CLOSE.policy, error.code, error.message);
      return;
    }
    if (this.#others.any) await this.#others.adoptBans(network, shard, list);
  }

  async #signal(socket: WebSocket, member: Joined, { request, to, sealed }: Ask<"signal">): Promise<void> {
    const bytes = encodeFromRendezvous({ kind: "signal", from: member.id, sealed });
    const delivered = this.deliver(to, bytes) || (await this.#deliverElsewhere(member, to, bytes));
    if (delivered) this.#counted(member, "signals");
    else this.#notFound(socket, request);
  }

  async #relay(socket: WebSocket, member: Joined, { request, to, sealed }: Ask<"relay">): Promise<void> {
    if (to === member.id) {
      this.#send(socket, {
        kind: "error",
        request,
        code: "connect/self",
        message: "A relay channel has two peers.",
      });
      return;
    }
    if (isAtLeast(this.#meter.stage(Date.now()), "relay-off")) {
      const text = "This edge relays no more today. Reach each other directly.";
      this.#send(socket, { kind: "error", request, code: "edge/relay-off", message: text });
      return;
    }
    if (!may(member.pass, "relay")) {
      const code = "network/not-allowed";
      this.#send(socket, { kind: "error", request, code, message: REFUSAL_TEXT[code] ?? code });
      return;
    }
    const quotas = [this.relayQuota(member.id), await this.#quotaElsewhere(member, to)] as const;
    if (await this.#isQuotaSpent(member, [member.id, to], quotas)) {
      const code = "network/relay-quota";
      this.#send(socket, { kind: "error", request, code, message: QUOTA_SPENT });
      return;
    }
    const channel = channelIdFrom(crypto.getRandomValues(new Uint8Array(CHANNEL_ID_BYTES)));
    const expiresMs = Date.now() + RELAY_TICKET_TTL_MS;
    const key = await ticketKey(this.env);
    const { network } = member;
    const [own, other] = await Promise.all([
      mintTicket(
        {
          channel,
          side: 0,
          peer: member.id,
          network,
          expiresMs,
          ...(quotas[0] !== undefined && { quotaBytes: quotas[0] }),
        },
        key,
      ),
      mintTicket(
        {
          channel,
          side: 1,
          peer: to,
          network,
          expiresMs,
          ...(quotas[1] !== undefined && { quotaBytes: quotas[1] }),
        },
        key,
      ),
    ]);
    const offer = encodeFromRendezvous({
      kind: "relay-offer",
      from: member.id,
      channel,
      ticket: other,
      sealed,
    });
    if (this.deliver(to, offer) || (await this.#deliverElsewhere(member, to, offer))) {
      this.#send(socket, { kind: "relay-ready", request, channel, ticket: own });
    } else this.#notFound(socket, request);
  }

  async #quotaElsewhere({ network, shard }: Joined, id: PeerId): Promise<number | undefined> {
    const isElsewhere = networkKindOf(network) === "invite" && this.#others.any && !this.#members.get(id);
    if (!isElsewhere) return this.relayQuota(id);
    this.#countCalls(network);
    return this.#others.relayQuota(network, shard, id);
  }

  /** Told before a channel is made that would carry nothing. */
  async #isQuotaSpent(
    { network, shard }: Joined,
    members: readonly [PeerId, PeerId],
    quotas: readonly [number | undefined, number | undefined],
  ): Promise<boolean> {
    for (const [index, quotaBytes] of quotas.entries()) {
      if (quotaBytes === undefined) continue;
      const member = members[index as 0 | 1];
      const first = this.env.RENDEZVOUS.getByName(rendezvousName(network, 0));
      const left =
        shard === 0
          ? this.#book.relayLeft(member, quotaBytes, Date.now())
          : await first.relayLeft(member, quotaBytes);
      if (left <= 0) return true;
    }
    return false;
  }

  async #find(socket: WebSocket, member: Joined, { request, id }: Ask<"find">): Promise<void> {
    let contact = this.locate(id);
    if (contact === undefined && this.#others.any) {
      this.#countCalls(member.network);
      contact = await this.#others.locate(member.network, member.shard, id);
    }
    this.#send(socket, { kind: "found", request, contact });
    this.#counted(member, "finds");
  }

  async #deliverElsewhere({ network, shard }: Joined, to: PeerId, bytes: Uint8Array): Promise<boolean> {
    if (!this.#others.any) return false;
    this.#countCalls(network);
    return this.#others.deliver(network, shard, to, bytes);
  }

  #notFound(socket: WebSocket, request: number): void {
    this.#send(socket, {
      kind: "error",
      request,
      code: "peer/not-found",
      message: "No member of that id is here.",
    });
  }

  /** The pass lets this member in again while newcomers are refused. */
  async #tellBudget(socket: WebSocket, { id, network }: Joined): Promise<void> {
    const nowMs = Date.now();
    const pass = await mintReturnPass(id, network, nowMs + RETURN_PASS_TTL_MS, await ticketKey(this.env));
    const stage = this.#meter.stage(nowMs);
    this.#send(socket, { kind: "budget", stage, leftMs: this.#meter.leftMs(nowMs), pass });
  }

  /** Outgoing messages cost nothing. When the edge closes, so do its sockets: each could still send. */
  #stageChanged(stage: Stage, leftMs: number): void {
    for (const { socket, hearsBudget } of this.#members.all()) {
      if (hearsBudget) this.#send(socket, { kind: "budget", stage, leftMs, pass: "" });
    }
    if (stage !== "closed") return;
    for (const socket of this.ctx.getWebSockets()) {
      if (this.#members.state(socket) !== undefined)
        this.#refuse(socket, CLOSE.later, "edge/over-budget", OVER_BUDGET);
    }
  }

  /** Its address prefix stays out, for longer each time. Sockets are tagged with their prefix. */
  #ban(socket: WebSocket): void {
    const [prefix] = this.ctx.getTags(socket);
    if (prefix !== undefined) bans.add(prefix, Date.now());
  }

  /** A question to all other shards. */
  #countCalls(network: NetworkName): void {
    this.#meter.use({ objectRequests: this.#others.count }, network, Date.now());
  }

  get #network(): NetworkName {
    const name = this.ctx.id.name ?? "";
    return name.slice(0, name.lastIndexOf("/")) as NetworkName;
  }

  /** No member any more, or not yet. */
  #putOut(socket: WebSocket, code: ErrorCode): void {
    this.#refuse(socket, CLOSE.policy, code, REFUSAL_TEXT[code] ?? "Not now. Try again later.");
  }

  /** Tells the socket why, closes it, and forgets it. */
  #refuse(socket: WebSocket, closeCode: number, code: ErrorCode, message: string): void {
    this.#send(socket, { kind: "error", request: 0, code, message });
    const state = this.#members.state(socket);
    this.#members.remove(socket);
    socket.serializeAttachment(null);
    closeSocket(socket, closeCode, code);
    this.#counters.add(`errors:${code}`);
    if (state !== undefined && state.phase !== "verifying") this.#reportIfDue(state);
  }

  #left(socket: WebSocket): void {
    const state = this.#members.state(socket);
    this.#members.remove(socket);
    socket.serializeAttachment(null);
    closeSocket(socket, CLOSE.normal, ""); // workerd does not answer a close by itself once the object has slept
    if (state === undefined || state.phase === "verifying") return;
    if (this.#members.size === 0) {
      void this.#meter.finish(state.network);
      this.#report(state);
    } else this.#reportIfDue(state);
  }

  #counted(member: Joined, name: "joins" | "signals" | "finds"): void {
    this.#counters.add(name);
    this.#reportIfDue(member);
  }

  #reportIfDue(of: Pick<Joined, "network" | "shard">): void {
    if (this.#counters.isDue(Date.now())) this.#report(of);
  }

  #report({ network, shard }: Pick<Joined, "network" | "shard">): void {
    sendReport(
      this.ctx,
      this.env,
      { kind: "rendezvous", name: rendezvousName(network, shard) },
      this.drainCounters(),
    );
  }

  #send(socket: WebSocket, message: FromRendezvous): void {
    this.#sendBytes(socket, encodeFromRendezvous(message));
  }

  #sendBytes(socket: WebSocket, bytes: Uint8Array): boolean {
    try {
      socket.send(bytes);
      return true;
    } catch {
      return false; // closing; its event is still to come
    }
  }
}

function contactOf({ id, addresses }: Member): Contact {
  return { id, addresses };
}

/** Uniform in [0, 1), without Math.random: beacons must not be predictable. */
function randomUnit(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32;
}
