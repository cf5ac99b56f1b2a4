/**
 * The sockets of one rendezvous. What must survive sleep is in each socket's attachment; the maps here are an index over the
 * attachments, built again whenever the object wakes.
 */
import type { NetworkName, PeerId } from "../shared/ids.ts";
import {
  JOIN_TIMEOUT_MS,
  RENDEZVOUS_MESSAGES_BURST,
  RENDEZVOUS_MESSAGES_PER_SECOND,
} from "../shared/limits.ts";
import type { Greeting } from "./join.ts";
import type { EdgeMember } from "./passes.ts";
import { TokenBucket } from "./token-bucket.ts";

/**
 * Bytes that others may have one member sent: nothing tells the object whether it reads them, and what is not read stays in the memory of all. A thousand
 * signals at once fit, as after a restart.
 */
export const RECEIVED_BURST: number = 4 * 1024 * 1024;
const RECEIVED_PER_SECOND: number = 256 * 1024;

/** A socket that has been sent its challenge. */
export interface Greeted extends Greeting {
  readonly phase: "greeted";
  readonly shard: number;
  readonly address: string;
  /** It understands `budget`. */
  readonly hearsBudget: boolean;
  /** Whose pass it came with; undefined without one. */
  readonly passOf: PeerId | undefined;
  /** In a private network: as whom the Worker let it come. */
  readonly pass?: EdgeMember;
}

/** A socket whose key is proved. */
export interface Joined {
  readonly phase: "joined";
  readonly network: NetworkName;
  readonly shard: number;
  readonly id: PeerId;
  /** Overlay key. */
  readonly key: Uint8Array;
  readonly beacon: boolean;
  readonly addresses: readonly string[];
  readonly hearsBudget: boolean;
  /** In a private network: what it may do, until when, and by whose word. */
  readonly pass?: EdgeMember;
}

export interface Member extends Joined {
  readonly socket: WebSocket;
}

interface Entry {
  readonly sent: TokenBucket;
  readonly received: TokenBucket;
  /** `verifying`: its one challenge is being used. */
  state: Greeted | Joined | { readonly phase: "verifying" };
}

export class Members {
  readonly #entries = new Map<WebSocket, Entry>();
  readonly #byId = new Map<PeerId, Member>();
  /** In the order of their coming, so that the sweep stops at the first that is young enough. */
  readonly #greeted = new Map<WebSocket, Greeted>();
  readonly #beacons = new Map<PeerId, Member>();

  constructor(sockets: readonly WebSocket[], nowMs: number) {
    const greeted: { readonly socket: WebSocket; readonly state: Greeted }[] = [];
    for (const socket of sockets) {
      const state = socket.deserializeAttachment() as Greeted | Joined | null;
      if (state === null) continue; // refused, or gone
      if (state.phase === "greeted") greeted.push({ socket, state });
      else this.#set(socket, state, nowMs);
    }
    for (const { socket, state } of greeted.sort((a, b) => a.state.atMs - b.state.atMs))
      this.#set(socket, state, nowMs);
  }

  /** Sockets, joined or not. */
  get size(): number {
    return this.#entries.size;
  }

  get joinedCount(): number {
    return this.#byId.size;
  }

  get beaconCount(): number {
    return this.#beacons.size;
  }

  /** What is known of a socket; undefined when it was refused or has left. */
  state(socket: WebSocket): Entry["state"] | undefined {
    return (this.#entries.get(socket) ?? this.#restore(socket))?.state;
  }

  get(id: PeerId): Member | undefined {
    return this.#byId.get(id);
  }

  beacons(): Member[] {
    return [...this.#beacons.values()];
  }

  all(): Member[] {
    return [...this.#byId.values()];
  }

  greet(socket: WebSocket, greeted: Greeted): void {
    socket.serializeAttachment(greeted);
    this.#set(socket, greeted, greeted.atMs);
  }

  /** Uses up the challenge. An eviction meanwhile leaves a socket that nobody knows; its next message tells it to come again. */
  beginVerifying(socket: WebSocket): void {
    const entry = this.#entries.get(socket);
    if (entry === undefined) return;
    entry.state = { phase: "verifying" };
    this.#greeted.delete(socket);
    socket.serializeAttachment(null);
  }

  /** Also for a change of what is known of a member. */
  join(socket: WebSocket, joined: Joined, nowMs: number): void {
    socket.serializeAttachment(joined);
    this.#set(socket, joined, nowMs);
  }

  /** False when the socket has sent too much. */
  spend(socket: WebSocket, nowMs: number): boolean {
    return this.#entries.get(socket)?.sent.take(nowMs) ?? false;
  }

  /** False when others have had it sent too much. */
  mayReceive(socket: WebSocket, bytes: number, nowMs: number): boolean {
    return this.#entries.get(socket)?.received.take(nowMs, bytes) ?? false;
  }

  remove(socket: WebSocket): void {
    const state = this.#entries.get(socket)?.state;
    this.#entries.delete(socket);
    this.#greeted.delete(socket);
    if (state?.phase !== "joined" || this.#byId.get(state.id)?.socket !== socket) return;
    this.#byId.delete(state.id);
    this.#beacons.delete(state.id);
  }

  /** Sockets that should have joined by now. */
  overdue(nowMs: number): WebSocket[] {
    const late: WebSocket[] = [];
    for (const [socket, { atMs }] of this.#greeted) {
      if (nowMs - atMs <= JOIN_TIMEOUT_MS) break;
      late.push(socket);
    }
    return late;
  }

  /** A socket that is closing is not listed any more when the object wakes, though its last message may be what woke it. */
  #restore(socket: WebSocket): Entry | undefined {
    const state = socket.deserializeAttachment() as Greeted | Joined | null;
    if (state === null) return undefined;
    const entry = newEntry(state, Date.now());
    this.#entries.set(socket, entry);
    return entry;
  }

  #set(socket: WebSocket, state: Greeted | Joined, nowMs: number): void {
    const entry = this.#entries.get(socket);
    if (entry === undefined) this.#entries.set(socket, newEntry(state, nowMs));
    else entry.state = state;
    if (state.phase === "greeted") {
      this.#greeted.set(socket, state);
      return;
    }
    const member = { ...state, socket };
    this.#byId.set(state.id, member);
    if (state.beacon) this.#beacons.set(state.id, member);
  }
}

function newEntry(state: Entry["state"], nowMs: number): Entry {
  return {
    sent: new TokenBucket(RENDEZVOUS_MESSAGES_BURST, RENDEZVOUS_MESSAGES_PER_SECOND, nowMs),
    received: new TokenBucket(RECEIVED_BURST, RECEIVED_PER_SECOND, nowMs),
    state,
  };
}
