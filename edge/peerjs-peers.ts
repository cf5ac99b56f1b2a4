/**
 * Who holds which id in one room. What must survive sleep is in each socket's attachment; a peer is looked up by a tag of its socket,
 * so that an object that wakes for one message does not first read thousands of attachments.
 */
import { hash32 } from "./peerjs-options.ts";
import { TokenBucket } from "./token-bucket.ts";

/**
 * Messages that one client may send. A call takes 10 to 20, so this is thirty calls at once and five a second. Who sends a thousand a
 * second is cut after 0.6 s, at 34 units; in the long run 100 a second are $20 a month.
 */
export const MESSAGES_BURST = 500;
const MESSAGES_PER_SECOND = 100;
/** What they may hold, in tokens: one a message and one for each `TOKEN_LENGTH` of it. */
const SENT_BURST = 20_000;
const SENT_PER_SECOND = 100;
const TOKEN_LENGTH = 4_096;
/** What the clients of one address prefix may send together. */
const PREFIX_BURST = 200_000;
const PREFIX_PER_SECOND = 2_000;
/** Prefixes whose account is kept; past that the oldest begins anew. */
const PREFIXES_MAX = 4_096;
/** UTF-16 units that one client is sent: nothing tells the object whether they are read, and what is not stays in its memory. */
const RECEIVED_BURST: number = 8 * 1024 * 1024;
const RECEIVED_PER_SECOND: number = 256 * 1024;

/** A sign of life is written to the attachment when the last one there is this old; an object is awake at least so long. */
const SAVE_EVERY_MS = 10_000;

export interface Claim {
  readonly id: string;
  readonly token: string;
  readonly prefix: string | undefined;
}

interface Attachment extends Claim {
  readonly seenMs: number;
  /** It has given its id up by LEAVE. The socket stays, and may say nothing any more. */
  readonly left: boolean;
}

export interface Peer extends Claim {
  readonly socket: WebSocket;
  seenMs: number;
  savedMs: number;
  left: boolean;
  readonly messages: TokenBucket;
  readonly sent: TokenBucket;
  readonly received: TokenBucket;
}

export class PeerjsPeers {
  readonly #ctx: DurableObjectState;
  readonly #aliveMs: number;
  readonly #bySocket = new Map<WebSocket, Peer>();
  readonly #byId = new Map<string, Peer>();
  readonly #prefixes = new Map<string, TokenBucket>();
  #size: number | undefined;

  constructor(ctx: DurableObjectState, aliveMs: number) {
    this.#ctx = ctx;
    this.#aliveMs = aliveMs;
  }

  /** Sockets, counted once after waking and kept up from there. */
  get size(): number {
    return (this.#size ??= this.#ctx.getWebSockets().length);
  }

  /** Counts again: a socket may have been closing while they were counted. */
  recount(): number {
    this.#size = undefined;
    return this.size;
  }

  socketsOf(prefix: string): number {
    return this.#ctx.getWebSockets(prefix).length;
  }

  /** Undefined when we have closed the socket. */
  of(socket: WebSocket): Peer | undefined {
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return known;
    const attachment = socket.deserializeAttachment() as Attachment | null;
    return attachment === null ? undefined : this.#keep(socket, attachment, Date.now());
  }

  /** Who holds the id, alive or not. */
  get(id: string): Peer | undefined {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    for (const socket of this.#ctx.getWebSockets(tagOf(id))) {
      const peer = this.of(socket);
      if (peer?.id === id && !peer.left) return peer;
    }
    return undefined;
  }

  all(): Peer[] {
    return this.#ctx.getWebSockets().flatMap((socket) => this.of(socket) ?? []);
  }

  add(socket: WebSocket, claim: Claim, nowMs: number): Peer {
    this.#ctx.acceptWebSocket(
      socket,
      claim.prefix === undefined ? [tagOf(claim.id)] : [tagOf(claim.id), claim.prefix],
    );
    if (this.#size !== undefined) this.#size += 1;
    const peer = this.#keep(socket, { ...claim, seenMs: nowMs, left: false }, nowMs);
    save(peer);
    return peer;
  }

  remove(peer: Peer): void {
    this.#bySocket.delete(peer.socket);
    if (this.#byId.get(peer.id) === peer) this.#byId.delete(peer.id);
    if (this.#size !== undefined) this.#size -= 1;
    peer.socket.serializeAttachment(null);
  }

  leave(peer: Peer): void {
    peer.left = true;
    if (this.#byId.get(peer.id) === peer) this.#byId.delete(peer.id);
    save(peer);
  }

  /** The peer has said something. */
  saw(peer: Peer, nowMs: number): void {
    peer.seenMs = nowMs;
    if (nowMs - peer.savedMs >= SAVE_EVERY_MS) save(peer);
  }

  /** When the peer is taken for dead, unless it says something before. Heartbeats were answered without us. */
  deadlineMs(peer: Peer): number {
    const heartbeatMs = this.#ctx.getWebSocketAutoResponseTimestamp(peer.socket)?.getTime() ?? 0;
    peer.seenMs = Math.max(peer.seenMs, heartbeatMs);
    return peer.seenMs + this.#aliveMs;
  }

  isAlive(peer: Peer, nowMs: number): boolean {
    return nowMs - peer.seenMs < this.#aliveMs || nowMs < this.deadlineMs(peer);
  }

  /** False when the peer, or its address prefix, has sent too much. */
  spend({ messages, sent, prefix }: Peer, length: number, nowMs: number): boolean {
    const tokens = 1 + Math.floor(length / TOKEN_LENGTH);
    if (!messages.take(nowMs) || !sent.take(nowMs, tokens)) return false;
    return prefix === undefined || this.#accountOf(prefix, nowMs).take(nowMs, tokens);
  }

  #accountOf(prefix: string, nowMs: number): TokenBucket {
    const known = this.#prefixes.get(prefix);
    if (known !== undefined) return known;
    const account = new TokenBucket(PREFIX_BURST, PREFIX_PER_SECOND, nowMs);
    this.#prefixes.set(prefix, account);
    if (this.#prefixes.size > PREFIXES_MAX) this.#prefixes.delete(this.#prefixes.keys().next().value ?? "");
    return account;
  }

  #keep(socket: WebSocket, { id, token, prefix, seenMs, left }: Attachment, nowMs: number): Peer {
    const peer: Peer = {
      socket,
      id,
      token,
      prefix,
      seenMs,
      savedMs: seenMs,
      left,
      messages: new TokenBucket(MESSAGES_BURST, MESSAGES_PER_SECOND, nowMs),
      sent: new TokenBucket(SENT_BURST, SENT_PER_SECOND, nowMs),
      received: new TokenBucket(RECEIVED_BURST, RECEIVED_PER_SECOND, nowMs),
    };
    this.#bySocket.set(socket, peer);
    if (!left) this.#byId.set(id, peer);
    return peer;
  }
}

function save(peer: Peer): void {
  const { id, token, prefix, seenMs, left } = peer;
  peer.savedMs = seenMs;
  peer.socket.serializeAttachment({ id, token, prefix, seenMs, left } satisfies Attachment);
}

/** Tags are short; an id need not be. Peers with the same tag are told apart by their attachments. */
function tagOf(id: string): string {
  return `id:${hash32(id).toString(36)}`;
}
