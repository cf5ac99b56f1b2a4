/**
 * An edge whose every word is the test's: it takes the sockets that a rendezvous client dials and shows what the client
 * sends. Waits end when the event comes; the test's own timeout is their deadline.
 */
import { verify } from "../../../peer/identity/verify.ts";
import type { MessageSocket, Runtime, WebSocketHost } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import { PING_TEXT, WIRE_VERSION } from "../../../shared/limits.ts";
import {
  type Contact,
  decodeToRendezvous,
  encodeFromRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../../shared/messages.ts";
import { FakeClock } from "./fake-clock.ts";

/** Values that come before or after they are asked for. */
class Queue<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  get size(): number {
    return this.#values.length;
  }

  put(value: T): void {
    const take = this.#waiting.shift();
    if (take === undefined) this.#values.push(value);
    else take(value);
  }

  take(): Promise<T> {
    const value = this.#values.shift();
    return value === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(value);
  }
}

/** The client's socket, and the edge's hand on it. */
export class ScriptedSocket implements MessageSocket {
  readonly remoteAddress = "scripted";
  bufferedBytes = 0;
  onMessage: (bytes: Uint8Array) => void = () => {};
  onText: (text: string) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (code: number, reason: string) => void = () => {};
  /** What the client sent, decoded as the edge would. */
  readonly received = new Queue<ToRendezvous>();
  readonly pings: number[] = [];
  readonly url: string;
  /** How the client ended it. */
  ended: "" | "closed" | "destroyed" = "";
  readonly #clock: FakeClock;

  constructor(url: string, clock: FakeClock) {
    this.url = url;
    this.#clock = clock;
  }

  send(parts: readonly Uint8Array[]): void {
    this.received.put(decodeToRendezvous(Buffer.concat(parts)));
  }

  sendText(text: string): void {
    if (text !== PING_TEXT) throw new Error(`the client sent the text ${text}`);
    this.pings.push(this.#clock.monotonicMs());
  }

  close(): void {
    this.ended = "closed";
  }

  destroy(): void {
    this.ended = "destroyed";
  }

  /** The edge says something; the memory is overwritten after the call, as a host may do. */
  say(message: FromRendezvous | Uint8Array): void {
    const bytes = message instanceof Uint8Array ? Uint8Array.from(message) : encodeFromRendezvous(message);
    this.onMessage(bytes);
    bytes.fill(0xc1);
  }

  sayError(request: number, code: string, message = ""): void {
    this.say({ kind: "error", request, code, message });
  }

  /** Challenges, checks the signature, and lets in. */
  async admit(
    network: NetworkName,
    beacons: readonly Contact[] = [],
  ): Promise<Extract<ToRendezvous, { kind: "join" }>> {
    const join = await this.challenge();
    const nonce = NONCE;
    const claim = joinClaim({ nonce, origin: "https://edge.example", network, timeMs: join.timeMs });
    if (!(await verify(join.id, claim, join.signature)))
      throw new Error("the join is not signed as it should be");
    this.say({ kind: "joined", beacons, keep: true, relay: true, members: 3, address: "198.51.100.7" });
    return join;
  }

  async challenge(version: number = WIRE_VERSION): Promise<Extract<ToRendezvous, { kind: "join" }>> {
    this.say({ kind: "challenge", version, nonce: NONCE, timeMs: this.#clock.nowMs() });
    const join = await this.received.take();
    if (join.kind !== "join") throw new Error(`the client sent ${join.kind} before it joined`);
    return join;
  }
}

export class ScriptedEdge implements WebSocketHost {
  readonly clock = new FakeClock();
  readonly dialled = new Queue<ScriptedSocket>();
  /** Every socket there was. */
  readonly sockets: ScriptedSocket[] = [];
  /** Dials that are neither taken nor refused. */
  hanging = 0;
  /** `refuse`: nobody listens. `hang`: nobody answers. */
  mood: "accept" | "refuse" | "hang" = "accept";
  refusal: PeerloomError = new PeerloomError("link/failed", "connection refused");

  async connect(url: string, signal: AbortSignal): Promise<MessageSocket> {
    if (this.mood === "refuse") throw this.refusal;
    if (this.mood === "hang") {
      this.hanging += 1;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      this.hanging -= 1;
      throw new PeerloomError("aborted", "given up");
    }
    const socket = new ScriptedSocket(url, this.clock);
    this.sockets.push(socket);
    // The client sets its handlers first, then the test speaks.
    setImmediate(() => this.dialled.put(socket));
    return socket;
  }

  /** A runtime in which only clock, randomness, WebSocket and log may be used. */
  runtime(unit: () => number = () => 0.5): Runtime {
    return new Proxy({} as Runtime, {
      get: (_, name) => {
        if (name === "clock") return this.clock;
        if (name === "websocket") return this;
        if (name === "random")
          return { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)), unit };
        if (name === "log") return { debug: () => {}, warn: () => {} };
        throw new Error(`runtime.${String(name)} is not the rendezvous client's business`);
      },
    });
  }
}

const NONCE = new Uint8Array(32).fill(6);
