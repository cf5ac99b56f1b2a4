/**
 * One socket to a rendezvous, from the dial to its end: it answers the challenge, hands on what comes once it has
 * joined, and keeps watch that the far end lives. Whatever the edge does wrong ends this socket and nothing else; to try
 * again is the matter of rendezvous.ts.
 */
import { assert, parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { NetworkName } from "../../shared/ids.ts";
import { ADDRESS_BYTES_MAX, JOIN_TIMEOUT_MS, PING_TEXT, WIRE_VERSION } from "../../shared/limits.ts";
import {
  decodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../shared/messages.ts";
import { commonVersion, VERSION_QUERY } from "../../shared/wire-version.ts";
import type { Identity } from "../identity/identity.ts";
import type { MessageSocket, Runtime, Timer } from "../runtime.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { Welcome } from "./rendezvous-state.ts";

/** Close code of the edge when the same identity joined with another socket. */
export const CLOSE_REPLACED = 4001;
/** How long a socket that closes politely may take. */
export const LEAVE_TIMEOUT_MS = 1_000;
/** Bytes the edge may leave untaken; past that messages are refused until it takes them. */
export const UNSENT_BYTES_MAX: number = 1024 * 1024;

/** What comes after the join, errors that concern one request included. */
export type MemberMessage = Exclude<FromRendezvous, { kind: "challenge" | "joined" | "budget" }>;
export type BudgetMessage = Extract<FromRendezvous, { kind: "budget" }>;

export interface RendezvousSocketOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  /** The edge's origin as it is dialled. */
  readonly origin: string;
  readonly beacon: boolean;
  /** What this edge is shown, as a query. */
  proof(): Promise<string>;
  addresses(): readonly string[];
  /** How far the edge has withdrawn; also before the join. */
  onBudget(budget: BudgetMessage): void;
  onJoined(welcome: Welcome): void;
  onMessage(message: MemberMessage): void;
}

type Phase = "dialling" | "challenge" | "signing" | "joining" | "joined" | "leaving" | "ended";

export class RendezvousSocket {
  /** It ended because the edge did not get round to it: to come again soon would make that worse. */
  wasTooSlow = false;
  readonly #options: RendezvousSocketOptions;
  readonly #dialling = new AbortController();
  readonly #ended: PromiseWithResolvers<PeerloomError> = Promise.withResolvers();
  #phase: Phase = "dialling";
  #socket: MessageSocket | undefined;
  #keepAlive: KeepAlive | undefined;
  #deadline: Timer | undefined;
  /** Addresses that the edge was told with the join. */
  #told: readonly string[] = [];

  constructor(options: RendezvousSocketOptions) {
    this.#options = options;
  }

  /**
   * Runs the socket to its end. Aborting says goodbye. Never rejects.
   * @returns why it ended; `peer/closed` when it was aborted
   */
  async run(signal: AbortSignal): Promise<PeerloomError> {
    const leave = (): void => this.#leave();
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) this.#leave();
    else this.#setJoinDeadline();
    await this.#dial();
    const error = await this.#ended.promise;
    signal.removeEventListener("abort", leave);
    return error;
  }

  get isJoined(): boolean {
    return this.#phase === "joined";
  }

  /** False when the edge has not taken what was sent before. Only once joined. */
  send(message: ToRendezvous): boolean {
    const socket = this.#socket;
    assert(socket !== undefined && this.isJoined, "messages are sent on a joined socket");
    if (socket.bufferedBytes > UNSENT_BYTES_MAX) return false;
    socket.send([encodeToRendezvous(message)]);
    return true;
  }

  /** The far end may be gone: asks it at once. */
  doubt(): void {
    this.#keepAlive?.doubt();
  }

  /** The edge broke the protocol in a way that only the asker could see. */
  fail(error: PeerloomError): void {
    this.#end(error);
  }

  async #dial(): Promise<void> {
    if (this.#phase !== "dialling") return;
    const { runtime, network, origin } = this.#options;
    const url = `${origin.replace(/^http/, "ws")}/v1/net/${network}/join?${VERSION_QUERY}=${WIRE_VERSION}`;
    let socket: MessageSocket;
    try {
      socket = await runtime.websocket.connect(
        `${url}&${await this.#options.proof()}`,
        this.#dialling.signal,
      );
    } catch (cause) {
      this.#end(isEdgeError(cause) ? cause : this.#unreachable("cannot be reached", cause));
      return;
    }
    if (this.#hasEnded()) {
      socket.destroy();
      return;
    }
    this.#phase = "challenge";
    this.#socket = socket;
    socket.onMessage = (bytes) => this.#receive(bytes);
    socket.onText = () => this.#keepAlive?.heard();
    socket.onClose = (code, reason) => this.#end(this.#closedByEdge(code, reason));
  }

  #receive(bytes: Uint8Array): void {
    this.#keepAlive?.heard();
    if (this.#phase === "leaving") return;
    let message: FromRendezvous;
    try {
      message = decodeFromRendezvous(bytes);
    } catch (error) {
      this.#end(toPeerloomError(error, "wire/malformed", "The edge sent something that is no message."));
      return;
    }
    this.#take(message);
  }

  #take(message: FromRendezvous): void {
    if (message.kind === "budget") {
      this.#options.onBudget(message);
    } else if (message.kind === "error" && message.request === 0) {
      this.#end(edgeError(message.code, message.message));
    } else if (message.kind === "challenge") {
      if (!this.#expect("challenge")) return;
      this.#phase = "signing";
      // The edge has begun with us: to give up now would waste what it did, and have it do so again.
      this.#setJoinDeadline();
      this.#answer(message).catch((error: unknown) => {
        this.#end(
          toPeerloomError(error, "edge/challenge-failed", "The edge's challenge could not be signed."),
        );
      });
    } else if (message.kind === "joined") {
      if (this.#expect("joining")) this.#joined(message);
    } else if (this.#expect("joined")) {
      this.#options.onMessage(message);
    }
  }

  async #answer(challenge: Extract<FromRendezvous, { kind: "challenge" }>): Promise<void> {
    const { runtime, identity, network, origin, beacon, addresses } = this.#options;
    // The edge has chosen, knowing what we speak.
    const version = commonVersion({ oldest: challenge.version, newest: challenge.version }, "edge");
    const timeMs = Math.trunc(runtime.clock.nowMs());
    const signature = await identity.sign(joinClaim({ nonce: challenge.nonce, origin, network, timeMs }));
    if (this.#phase !== "signing") return;
    this.#phase = "joining";
    this.#told = boundedAddresses(addresses());
    const join: ToRendezvous = {
      kind: "join",
      version,
      id: identity.id,
      timeMs,
      signature,
      beacon,
      addresses: this.#told,
    };
    this.#socket?.send([encodeToRendezvous(join)]);
  }

  #joined(welcome: Welcome): void {
    this.#phase = "joined";
    this.#deadline?.cancel();
    this.#keepAlive = new KeepAlive(this.#options.runtime.clock, {
      ping: () => this.#socket?.sendText(PING_TEXT),
      dead: () => this.#end(this.#unreachable("has gone silent")),
    });
    // They may have changed while the edge thought it over.
    const addresses = boundedAddresses(this.#options.addresses());
    if (addresses.join() !== this.#told.join()) this.send({ kind: "addresses", addresses });
    this.#options.onJoined(welcome);
  }

  #expect(phase: Phase): boolean {
    if (this.#phase === phase) return true;
    this.#end(new PeerloomError("wire/malformed", "The edge sent a message out of turn."));
    return false;
  }

  #leave(): void {
    const farewell = new PeerloomError("peer/closed", "This peer was closed.");
    const socket = this.#socket;
    if (socket === undefined || this.#phase !== "joined") {
      this.#end(farewell);
      return;
    }
    this.#phase = "leaving";
    this.#keepAlive?.stop();
    socket.onClose = () => this.#end(farewell);
    this.#setDeadline(LEAVE_TIMEOUT_MS, () => this.#end(farewell));
    socket.close(1000, "");
  }

  #end(error: PeerloomError): void {
    if (this.#hasEnded()) return;
    this.#phase = "ended";
    this.#deadline?.cancel();
    this.#keepAlive?.stop();
    this.#dialling.abort(error);
    const socket = this.#socket;
    if (socket !== undefined) {
      // Whatever this socket still says, a "replaced" by our own next one above all, is not for us any more.
      socket.onMessage = () => {};
      socket.onText = () => {};
      socket.onClose = () => {};
      socket.destroy();
    }
    this.#ended.resolve(error);
  }

  #hasEnded(): boolean {
    return this.#phase === "ended";
  }

  #setJoinDeadline(): void {
    this.#setDeadline(JOIN_TIMEOUT_MS, () => {
      this.wasTooSlow = true;
      this.#end(this.#unreachable("did not let us in in time"));
    });
  }

  #setDeadline(delayMs: number, callback: () => void): void {
    this.#deadline?.cancel();
    this.#deadline = this.#options.runtime.clock.setTimer(delayMs, callback);
  }

  #closedByEdge(code: number, reason: string): PeerloomError {
    if (code === CLOSE_REPLACED) {
      return new PeerloomError(
        "edge/replaced",
        "Another process joined with this identity. Close it, or give one of the two another data folder.",
      );
    }
    const known = parseErrorCode(reason, "edge/unreachable");
    return known === "edge/unreachable"
      ? this.#unreachable(`closed the connection (code ${code})`)
      : edgeError(known, "");
  }

  #unreachable(why: string, cause?: unknown): PeerloomError {
    const detail = cause instanceof PeerloomError ? ` (${cause.message})` : "";
    const text = `The edge ${this.#options.origin} ${why}${detail}. Check its URL and the network.`;
    return new PeerloomError("edge/unreachable", text, { cause });
  }
}

/** Hosts that can read an HTTP refusal tell it by its own code. */
function isEdgeError(error: unknown): error is PeerloomError {
  return error instanceof PeerloomError && /^(edge|network)\//.test(error.code);
}

/** An error that the edge reports, its text made fit for a terminal. */
export function edgeError(code: string, message: string): PeerloomError {
  const text = message.replaceAll(/\p{C}/gu, " ").trim();
  return new PeerloomError(
    parseErrorCode(code, "edge/unreachable"),
    `The edge says: ${text === "" ? code : text}`,
  );
}

/** The edge refuses a message with an overlong address, so such an address is left out. */
export function boundedAddresses(addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => address.length <= ADDRESS_BYTES_MAX);
}
