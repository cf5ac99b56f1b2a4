/**
 * One shard of the peers of one PeerJS key: gives out ids, passes offers, answers and candidates on, keeps them for peers that are
 * not there yet, and tells senders what came to nothing. It speaks PeerServer's protocol to the stock client.
 *
 * Heartbeats are answered by the runtime, so a room sleeps between calls. One alarm wakes it: for the next message that expires, and
 * about once in `PEERJS_ALIVE_SECONDS` while sockets are open, to close those that have gone silent (3 cents a month).
 */
import { DurableObject } from "cloudflare:workers";
import type { ErrorCode } from "../shared/errors.ts";
import { bannedResponse, bans, closedResponse, OVER_BUDGET } from "./door.ts";
import type { Env } from "./env.ts";
import { Meter } from "./meter.ts";
import { meteredKv } from "./metered-kv.ts";
import { Counters, type CounterName, type Report, sendReport } from "./metrics.ts";
import { Lanes } from "./lanes.ts";
import {
  keyOfRoom,
  type PeerjsOptions,
  peerjsOptions,
  roomName,
  shardOf,
  shardOfRoom,
} from "./peerjs-options.ts";
import { type Claim, type Peer, PeerjsPeers } from "./peerjs-peers.ts";
import {
  type Envelope,
  errorFrame,
  expireEnvelope,
  FRAME_LENGTH_MAX,
  HEARTBEAT_FRAME,
  idTakenFrame,
  isQueued,
  OPEN_FRAME,
  readFrame,
} from "./peerjs-protocol.ts";
import { type Expired, PeerjsQueue } from "./peerjs-queue.ts";
import { addressPrefix, clientAddress, SOCKETS_PER_PREFIX_MAX } from "./policy.ts";
import { closeSocket } from "./sockets.ts";
import { Stubborn } from "./stubborn.ts";

/** Close codes; the reason is the error code. PeerServer closes without a code, and so do we where it would. */
const CLOSE = { normal: 1000, replaced: 4001, policy: 1008, tooLarge: 1009, later: 1013 } as const;
/** Messages that end within this time end together: PeerServer looks once a second. */
const EXPIRE_TOGETHER_MS = 500;
/** One when it comes, one when it goes. */
const QUEUED_ROWS = 2;
/** Of closed sockets, before the room ends: the stock client does not come back by itself, so whoever goes on must not end the others' lightly. */
const STUBBORN_MESSAGES_MAX = 25_000;
/** Sockets are looked through at most so often while one of them may live: every 10 s, of 90. */
const SWEEPS_A_LIFE = 9;

export class PeerjsRoom extends DurableObject<Env> {
  readonly #name: string;
  readonly #shard: number;
  readonly #options: PeerjsOptions;
  readonly #peers: PeerjsPeers;
  readonly #queue: PeerjsQueue;
  readonly #lanes: Lanes<Envelope>;
  readonly #counters = new Counters();
  readonly #meter: Meter;
  readonly #stubborn: Stubborn;
  #alarmMs: number | undefined;
  /** Sockets are looked through then; after waking, with the next alarm. Infinity while there are none. */
  #sweepAtMs = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#name = ctx.id.name ?? "";
    this.#shard = shardOfRoom(this.#name);
    this.#options = peerjsOptions(env);
    this.#peers = new PeerjsPeers(ctx, this.#options.aliveMs);
    const kv = meteredKv(ctx.storage.kv, (usage) => this.#meter.use(usage, this.#account, Date.now()));
    this.#queue = new PeerjsQueue({ sql: ctx.storage.sql, kv }, this.#options.expireMs);
    this.#meter = new Meter({
      ctx,
      env,
      kind: "peerjs",
      name: this.#name,
      present: () => ({ sockets: this.#peers.size, members: 0 }),
      onStage: (stage) => {
        if (stage !== "closed") return;
        for (const peer of this.#peers.all()) this.#fail(peer, CLOSE.later, "edge/over-budget", OVER_BUDGET);
      },
    });
    this.#stubborn = new Stubborn(ctx, this.#meter, STUBBORN_MESSAGES_MAX);
    this.#lanes = new Lanes<Envelope>({
      deliver: (shard, envelopes) => this.#room(shard).deliver(envelopes),
      lost: (envelopes) => this.#lost(envelopes),
      lengthOf: ({ frame }) => frame.length,
      keep: (work) => ctx.waitUntil(work),
    });
    // The client takes its own heartbeat for a message of no interest.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(HEARTBEAT_FRAME, HEARTBEAT_FRAME));
    void ctx.blockConcurrencyWhile(async () => {
      this.#alarmMs = (await ctx.storage.getAlarm()) ?? undefined;
    });
  }

  /** Opens a socket, or answers with the frame that the Worker refuses it with. The Worker has checked key, id and token. */
  override fetch(request: Request): Response {
    const nowMs = Date.now();
    this.#meter.upgrade(this.#account, nowMs);
    if (this.#meter.stage(nowMs) === "closed") return closedResponse(this.#meter.leftMs(nowMs));
    const claim = readClaim(request);
    const bannedMs = bans.leftMs(claim.prefix, nowMs);
    if (bannedMs > 0) return bannedResponse(bannedMs);
    const holder = this.#holder(claim.id, nowMs);
    if (holder === undefined) {
      const refusal = this.#refusalOf(claim);
      if (refusal !== undefined) return refusal;
    } else if (holder.token !== claim.token) {
      this.#counted("errors:peerjs/id-taken");
      return new Response(idTakenFrame(), { status: 409 });
    } else this.#retire(holder, CLOSE.replaced, "edge/replaced");
    const { 0: client, 1: socket } = new WebSocketPair();
    const peer = this.#peers.add(socket, claim, nowMs);
    send(peer, OPEN_FRAME);
    const { frames, expired } = this.#queue.claim(claim.id, nowMs);
    for (const frame of frames) send(peer, frame);
    this.#counters.add("peerjs_messages", frames.length);
    this.#tellExpired(expired);
    this.#sweepAtMs = Math.min(this.#sweepAtMs, nowMs + this.#options.aliveMs);
    this.#wakeBy(nowMs + this.#options.aliveMs);
    this.#counted("peerjs_opens");
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): void {
    this.#meter.message(this.#account, Date.now());
    const peer = this.#peers.of(socket);
    if (peer === undefined) {
      this.#stubborn.heard(socket, this.#account, this.#peers.size); // closed by us, and its last messages still come in
      return;
    }
    const nowMs = Date.now();
    const length = typeof data === "string" ? data.length : data.byteLength;
    if (!this.#peers.spend(peer, length, nowMs)) {
      if (peer.prefix !== undefined) bans.add(peer.prefix, nowMs);
      this.#fail(peer, CLOSE.policy, "edge/rate-limited", "Too many messages. Slow down and connect again.");
    } else if (length > FRAME_LENGTH_MAX) {
      this.#fail(peer, CLOSE.tooLarge, "wire/too-large", `At most ${FRAME_LENGTH_MAX} characters a message.`);
    } else {
      this.#peers.saw(peer, nowMs);
      if (!peer.left) this.#hear(peer, data, nowMs);
    }
  }

  override webSocketClose(socket: WebSocket): void {
    this.#left(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#left(socket);
  }

  override alarm(): void {
    const nowMs = Date.now();
    this.#alarmMs = undefined;
    this.#meter.use({ objectRequests: 1 }, this.#account, nowMs);
    this.#tellExpired(this.#queue.expire(nowMs));
    this.#sweep(nowMs);
    const nextMs = this.#queue.nextMs(nowMs);
    if (nextMs !== undefined) this.#wakeBy(nextMs + EXPIRE_TOGETHER_MS);
  }

  /** For another room: messages to peers whose ids belong here. */
  deliver(envelopes: readonly Envelope[]): void {
    const nowMs = Date.now();
    this.#meter.use({ objectRequests: 1 }, this.#account, nowMs);
    for (const envelope of envelopes) this.#arrive(envelope, nowMs);
  }

  /** For discovery. */
  ids(): string[] {
    const nowMs = Date.now();
    this.#meter.use({ objectRequests: 1 }, this.#account, nowMs);
    return this.#peers
      .all()
      .flatMap((peer) => (!peer.left && this.#peers.isAlive(peer, nowMs) ? peer.id : []));
  }

  /** For the ledger. */
  settleNow(): Promise<void> {
    return this.#meter.settleNow(this.#account);
  }

  /** For the tally. */
  drainCounters(): Report {
    return { counts: this.#counters.drain(), sockets: this.#peers.recount(), members: 0 };
  }

  /** Who holds an id. One that has gone silent is retired: it would keep its id from whoever comes back without it. */
  #holder(id: string, nowMs: number): Peer | undefined {
    const peer = this.#peers.get(id);
    if (peer === undefined || this.#peers.isAlive(peer, nowMs)) return peer;
    this.#retire(peer);
    return undefined;
  }

  #refusalOf({ prefix }: Claim): Response | undefined {
    if (this.#peers.size >= this.#options.socketsMax) {
      this.#counted("errors:edge/over-capacity");
      const msg = "Server has reached its concurrent user limit";
      return new Response(errorFrame("edge/over-capacity", msg), { status: 503 });
    }
    if (prefix !== undefined && this.#peers.socketsOf(prefix) >= SOCKETS_PER_PREFIX_MAX) {
      this.#counted("errors:edge/too-many-sockets");
      const msg = `${prefix} has ${SOCKETS_PER_PREFIX_MAX} sockets open. Close some.`;
      return new Response(errorFrame("edge/too-many-sockets", msg), { status: 429 });
    }
    return undefined;
  }

  #hear(peer: Peer, data: ArrayBuffer | string, nowMs: number): void {
    const heard = readFrame(data, peer.id);
    if (heard.kind === "relayed") this.#route({ ...heard.envelope, prefix: peer.prefix }, nowMs);
    else if (heard.kind === "leave") this.#peers.leave(peer);
    else if (heard.kind === "malformed") this.#counted("errors:wire/malformed");
  }

  #route(envelope: Envelope, nowMs: number): void {
    const shard = shardOf(envelope.dst, this.#options.shards);
    if (shard === this.#shard) this.#arrive(envelope, nowMs);
    else this.#lanes.send(shard, envelope);
  }

  /** Of a message for a peer whose id belongs here. */
  #arrive(envelope: Envelope, nowMs: number): void {
    const { dst, frame } = envelope;
    const peer = this.#holder(dst, nowMs);
    if (peer === undefined) this.#wait(envelope, nowMs);
    else if (!peer.received.take(nowMs, frame.length)) this.#lost([envelope]);
    else if (send(peer, frame)) this.#counted("peerjs_messages", nowMs);
    else this.#wait(envelope, nowMs);
  }

  #wait(envelope: Envelope, nowMs: number): void {
    if (!isQueued(envelope.type)) return;
    if (!this.#queue.add(envelope, nowMs)) {
      this.#lost([envelope]);
      return;
    }
    this.#counted("peerjs_queued");
    this.#meter.use({ rowsWritten: QUEUED_ROWS }, this.#account, nowMs);
    this.#wakeBy(nowMs + this.#options.expireMs + EXPIRE_TOGETHER_MS);
  }

  /** Messages that came to nothing. Of what is not worth waiting for nobody is told. */
  #lost(envelopes: readonly Envelope[]): void {
    this.#tellExpired(envelopes.filter(({ type }) => isQueued(type)));
  }

  #tellExpired(all: readonly Expired[]): void {
    const nowMs = Date.now();
    for (const { src, dst } of all) {
      this.#counted("peerjs_expired");
      this.#route(expireEnvelope(dst, src), nowMs);
    }
  }

  #sweep(nowMs: number): void {
    if (nowMs >= this.#sweepAtMs) {
      let nextMs = Number.POSITIVE_INFINITY;
      for (const peer of this.#peers.all()) {
        const deadlineMs = this.#peers.deadlineMs(peer);
        if (deadlineMs <= nowMs) this.#retire(peer);
        else nextMs = Math.min(nextMs, deadlineMs);
      }
      this.#sweepAtMs = Math.max(nextMs, nowMs + this.#options.aliveMs / SWEEPS_A_LIFE);
    }
    if (this.#sweepAtMs < Number.POSITIVE_INFINITY) this.#wakeBy(this.#sweepAtMs);
  }

  /** The alarm rings then at the latest. Each setting is a row written. */
  #wakeBy(atMs: number): void {
    if (this.#alarmMs !== undefined && this.#alarmMs <= atMs) return;
    this.#alarmMs = atMs;
    this.#meter.use({ rowsWritten: 1 }, this.#account, Date.now());
    this.ctx.waitUntil(this.ctx.storage.setAlarm(atMs));
  }

  /** Tells the client why, closes its socket, and frees its id. */
  #fail(peer: Peer, closeCode: number, code: ErrorCode, message: string): void {
    send(peer, errorFrame(code, message));
    this.#retire(peer, closeCode, code);
    this.#counted(`errors:${code}`);
  }

  #retire(peer: Peer, closeCode?: number, reason?: ErrorCode): void {
    this.#peers.remove(peer);
    closeSocket(peer.socket, closeCode, reason);
  }

  #left(socket: WebSocket): void {
    const peer = this.#peers.of(socket);
    closeSocket(socket, CLOSE.normal, ""); // workerd does not answer a close by itself once the object has slept
    if (peer === undefined) return;
    this.#peers.remove(peer);
    if (this.#peers.size === 0) {
      void this.#meter.finish(this.#account);
      this.#report();
    } else this.#reportIfDue();
  }

  #counted(name: CounterName, nowMs: number = Date.now()): void {
    this.#counters.add(name);
    this.#reportIfDue(nowMs);
  }

  /** How the ledger names it; no network has a slash. */
  get #account(): string {
    return `peerjs/${keyOfRoom(this.#name)}`;
  }

  #reportIfDue(nowMs: number = Date.now()): void {
    if (this.#counters.takeTurn(nowMs)) this.#report();
  }

  #report(): void {
    this.#meter.use({ objectRequests: 1 }, this.#account, Date.now());
    sendReport(this.ctx, this.env, { kind: "peerjs", name: this.#name }, this.drainCounters());
  }

  #room(shard: number): DurableObjectStub<PeerjsRoom> {
    return this.env.PEERJS.getByName(roomName(keyOfRoom(this.#name), shard));
  }
}

function readClaim(request: Request): Claim {
  const query = new URL(request.url).searchParams;
  const prefix = addressPrefix(clientAddress(request));
  return { id: query.get("id") ?? "", token: query.get("token") ?? "", prefix };
}

/** False when the socket is closing; its event is still to come. */
function send({ socket }: Peer, frame: string): boolean {
  try {
    socket.send(frame);
    return true;
  } catch {
    return false;
  }
}
