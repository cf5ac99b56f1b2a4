/**
 * A peer's side of its rendezvous: where it meets members and has sealed signals carried to them. One socket at a time,
 * made again with growing waits when it is lost, until `close` or until the edge says what trying again cannot cure.
 * Everything that comes is handed on as it is: what is sealed is opened, and its sender proved, above.
 */
import { isAtLeast, type Stage } from "../../shared/budget.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { ChannelId, NetworkName, PeerId } from "../../shared/ids.ts";
import type { Contact, FromRendezvous } from "../../shared/messages.ts";
import { PASS_QUERY } from "../../shared/pass.ts";
import type { Identity } from "../identity/identity.ts";
import type { Runtime } from "../runtime.ts";
import { abortError, untilAborted } from "./abort.ts";
import { DialOnDemand } from "./dial-on-demand.ts";
import { type RendezvousAnswer, RendezvousRequests } from "./rendezvous-requests.ts";
import { boundedAddresses, edgeError, type MemberMessage, RendezvousSocket } from "./rendezvous-socket.ts";
import { afterLoss, type RendezvousState, type Welcome } from "./rendezvous-state.ts";

/** How long one waits for a rendezvous that is being joined again. */
export const JOIN_WAIT_MS = 10_000;

export type RelayOffer = Omit<Extract<FromRendezvous, { kind: "relay-offer" }>, "kind">;

export interface RendezvousOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  /** `http:` or `https:`; only its origin counts. */
  readonly edge: string;
  /** Where this peer listens. */
  addresses(): readonly string[];
  /** Of a private network: what an edge is shown. */
  readonly pass?: ((origin: string) => Promise<string>) | undefined;
  /** Willing to keep the socket for newcomers. @default true */
  readonly beacon?: boolean;
  /** Goes on trying when the first join fails, until closed. @default true */
  readonly runOn?: boolean;
}

export class Rendezvous {
  /** Origin of the edge as it is dialled. */
  readonly edge: string;
  readonly network: NetworkName;
  /** Given by the edge at each join: lets this peer in again while newcomers are refused. "" before. */
  back = "";
  readonly #options: RendezvousOptions;
  readonly #requests: RendezvousRequests;
  readonly #demand: DialOnDemand;
  readonly #closing = new AbortController();
  /** Told after each change of state. */
  readonly #watchers = new Set<() => void>();
  #state: RendezvousState = { phase: "idle" };
  #socket: RendezvousSocket | undefined;
  #running: Promise<void> | undefined;
  /** Why the last socket ended, until the next one joins. */
  #lastError: PeerloomError | undefined;
  /** How far the edge has withdrawn, and until when. */
  #budget: { readonly stage: Stage; readonly untilMs: number } = { stage: "open", untilMs: 0 };
  /** Told at the last join. */
  #members = 0;
  /** When something was last asked or heard. */
  #usedAtMs = 0;

  /** The edge let us in; `welcome.beacons` are members to meet. */
  onJoined: (welcome: Welcome) => void = () => {};
  /** The edge says that `from` sent this; only opening it proves it. */
  onSignal: (from: PeerId, sealed: Uint8Array) => void = () => {};
  onRelayOffer: (offer: RelayOffer) => void = () => {};
  /** A signal to `to` went nowhere: `peer/not-found`, `edge/unreachable`, `edge/rate-limited`. */
  onSignalError: (to: PeerId, error: PeerloomError) => void = () => {};
  /** Private networks: a ban list that the edge has; only its signature proves it. */
  onBans: (list: Uint8Array) => void = () => {};
  /** The edge would not mind if the socket were closed. */
  onRelease: () => void = () => {};
  /** Joined; or lost and why; without an error it was left because nobody needs it. */
  onState: (connected: boolean, error?: PeerloomError) => void = () => {};

  /** @throws PeerloomError `usage/invalid` when `edge` is not the URL of one */
  constructor(options: RendezvousOptions) {
    this.#options = options;
    const url = URL.parse(options.edge);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new PeerloomError("usage/invalid", "The edge is not a URL such as https://edge.example.");
    }
    this.edge = url.origin;
    this.network = options.network;
    this.#requests = new RendezvousRequests(options.runtime.clock);
    this.#demand = new DialOnDemand(options.runtime);
  }

  get state(): RendezvousState {
    return this.#state;
  }

  /** How far the edge has withdrawn, as it said last. */
  get stage(): Stage {
    return this.#closedMs > 0 ? this.#budget.stage : "open";
  }

  /** What this peer shows its edge, as a query: what it was given when it was last let in, and in a private network that it is a member. */
  async proof(): Promise<string> {
    const { pass } = this.#options;
    return `back=${this.back}${pass === undefined ? "" : `&${PASS_QUERY}=${await pass(this.edge)}`}`;
  }

  /** ms for which nothing has been asked or heard. */
  get idleMs(): number {
    return this.#options.runtime.clock.monotonicMs() - this.#usedAtMs;
  }

  /** Leaves until `want`, or until something is asked that waits for joining. Only when joined. */
  release(): void {
    if (this.#state.phase === "joined") this.#demand.release();
  }

  /** Joins again after `release`, unless paused. */
  want(): void {
    this.#demand.want();
  }

  /** Leaves, in whatever state it is, until `resume`. */
  pause(): void {
    this.#demand.pause();
  }

  resume(): void {
    this.#demand.resume();
  }

  /**
   * Begins to run. Resolves when joined, rejects when the first attempt failed (at most twice `JOIN_TIMEOUT_MS` later); it
   * goes on trying behind that unless `runOn` is false.
   * @throws PeerloomError `edge/unreachable`, what the edge says (`wire/version`, …), `peer/closed`, `aborted`
   */
  async open(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw abortError(signal);
    if (this.#state.phase === "idle") this.#running = this.#run();
    await this.#until((state) => (state.phase === "waiting" ? state.error : undefined), signal);
  }

  /**
   * Resolves at once when joined, else waits for it.
   * @throws PeerloomError `edge/unreachable` after `JOIN_WAIT_MS`, `edge/over-budget` at once, what stopped it, `peer/closed`, `aborted`
   */
  async waitUntilJoined(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw abortError(signal);
    if (this.#state.phase === "joined") return;
    this.want();
    this.hurry();
    await this.#until(
      // Nobody waits out a day: other ways are tried at once.
      (state) =>
        state.phase === "waiting" && state.error.code === "edge/over-budget" ? state.error : undefined,
      signal,
      JOIN_WAIT_MS,
    );
  }

  /** Has `sealed` carried to a member. Never throws: what goes wrong, now or later, is told to `onSignalError`. */
  signal(to: PeerId, sealed: Uint8Array): void {
    const socket = this.#joinedSocket();
    if (socket === undefined) this.onSignalError(to, this.#unreachable());
    else if (!socket.send({ kind: "signal", request: this.#requests.noteSignal(to), to, sealed })) {
      this.onSignalError(to, tooMuchUnsent());
    }
  }

  /**
   * Has a relay channel made with a member, who is shown `sealed`.
   * @throws PeerloomError `peer/not-found`, `edge/relay-off` (without asking, once the edge has said so), `edge/relay-unavailable`, `edge/rate-limited`, `edge/unreachable`, `aborted`
   */
  async relay(
    to: PeerId,
    sealed: Uint8Array,
    signal?: AbortSignal,
  ): Promise<{ readonly channel: ChannelId; readonly ticket: string }> {
    if (isAtLeast(this.stage, "relay-off"))
      throw new PeerloomError("edge/relay-off", "The edge relays no more today. Reach each other directly.");
    const answer = await this.#ask(
      (socket, request) => socket.send({ kind: "relay", request, to, sealed }),
      signal,
    );
    if (answer.kind !== "relay-ready") throw this.#wrongAnswer();
    return { channel: answer.channel, ticket: answer.ticket };
  }

  /**
   * Where a member can be dialled, or undefined when no member has that id.
   * @throws PeerloomError `edge/rate-limited`, `edge/unreachable`, `aborted`
   */
  async find(id: PeerId, signal?: AbortSignal): Promise<Contact | undefined> {
    const answer = await this.#ask((socket, request) => socket.send({ kind: "find", request, id }), signal);
    if (answer.kind !== "found" || (answer.contact !== undefined && answer.contact.id !== id))
      throw this.#wrongAnswer();
    return answer.contact;
  }

  /** Something speaks for this machine's network having changed: whether the socket still lives is found out at once. */
  doubt(): void {
    this.#socket?.doubt();
  }

  /** Waits no longer with the next attempt. For what befalls this peer alone: many who hurry at once would fall upon the edge. */
  hurry(): void {
    this.#demand.hurry();
  }

  /** Tells the edge where this peer listens now. A join does so by itself. */
  updateAddresses(): void {
    this.#joinedSocket()?.send({ kind: "addresses", addresses: boundedAddresses(this.#options.addresses()) });
  }

  /** Tells the edge of a ban list, which comes back when it was later than the edge's. @returns false when it is not joined */
  sendBans(list: Uint8Array): boolean {
    return this.#joinedSocket()?.send({ kind: "bans", list }) ?? false;
  }

  /** Says goodbye; nothing runs when it resolves. Twice is harmless. */
  async close(): Promise<void> {
    this.#closing.abort(closedError());
    this.#move(this.#state); // Who waits for it is told at once.
    await this.#running;
    this.#socket = undefined;
    this.#move({ phase: "closed" });
  }

  async #run(): Promise<void> {
    const { runtime, runOn = true } = this.#options;
    const { signal } = this.#closing;
    let everJoined = false;
    for (let attempt = 0; !signal.aborted;) {
      this.#move({ phase: "joining", attempt });
      const socket = this.#newSocket();
      const error = await socket.run(AbortSignal.any([signal, this.#demand.dialled()]));
      everJoined ||= this.#state.phase === "joined";
      this.#socket = undefined;
      this.#lastError = error;
      this.#requests.failAll(signal.aborted ? error : this.#unreachable());
      if (signal.aborted) return;
      if (this.#demand.isLeft) {
        attempt = 0;
        await this.#leave();
        continue;
      }
      const next = afterLoss(
        this.#state,
        {
          error,
          nowMs: runtime.clock.monotonicMs(),
          everJoined,
          members: this.#members,
          closedMs: this.#closedMs,
          tooSlow: socket.wasTooSlow,
        },
        runtime.random,
      );
      const stops = next.phase === "stopped" || (!runOn && !everJoined);
      runtime.log.debug("rendezvous lost", { edge: this.edge, code: error.code, stops });
      this.#move(stops ? { phase: "stopped", error } : next);
      this.onState(false, error);
      if (stops) return;
      attempt = next.attempt;
      await this.#demand.wait(next.delayMs, error.code !== "edge/over-budget", signal);
      if (this.#demand.isPaused && !signal.aborted) {
        await this.#leave();
        attempt = 0;
      }
    }
  }

  /** ms for which what the edge said of its stage still holds. */
  get #closedMs(): number {
    return Math.max(0, this.#budget.untilMs - this.#options.runtime.clock.monotonicMs());
  }

  /** Nobody needs it. Until somebody does. */
  async #leave(): Promise<void> {
    this.#move({ phase: "released" });
    this.onState(false);
    await this.#demand.untilWanted(this.#closing.signal);
  }

  #newSocket(): RendezvousSocket {
    const { runtime, identity, network, beacon = true } = this.#options;
    const socket = new RendezvousSocket({
      runtime,
      identity,
      network,
      origin: this.edge,
      beacon,
      proof: () => this.proof(),
      onBudget: ({ stage, leftMs, pass: back }) => {
        this.#budget = { stage, untilMs: runtime.clock.monotonicMs() + leftMs };
        if (back !== "") this.back = back;
        if (stage !== "open") runtime.log.debug("edge withdraws", { edge: this.edge, stage });
      },
      addresses: () => this.#options.addresses(),
      onJoined: (welcome) => {
        const attempt = this.#state.phase === "joining" ? this.#state.attempt : 0;
        this.#socket = socket;
        this.#usedAtMs = runtime.clock.monotonicMs();
        this.#lastError = undefined;
        this.#members = welcome.members;
        this.#move({ phase: "joined", attempt, sinceMs: runtime.clock.monotonicMs(), welcome });
        runtime.log.debug("rendezvous joined", { edge: this.edge, members: welcome.members });
        this.onState(true);
        this.onJoined(welcome);
      },
      onMessage: (message) => this.#receive(message),
    });
    return socket;
  }

  #receive(message: MemberMessage): void {
    this.#usedAtMs = this.#options.runtime.clock.monotonicMs();
    switch (message.kind) {
      case "signal":
        this.onSignal(message.from, message.sealed);
        return;
      case "relay-offer": {
        const { from, channel, ticket, sealed } = message;
        this.onRelayOffer({ from, channel, ticket, sealed });
        return;
      }
      case "relay-ready":
      case "found":
        this.#requests.answer(message);
        return;
      case "bans":
        this.onBans(message.list);
        return;
      case "release":
        this.onRelease();
        return;
      case "error": {
        const error = edgeError(message.code, message.message);
        const to = this.#requests.fail(message.request, error);
        if (to !== undefined) this.onSignalError(to, error);
      }
    }
  }

  async #ask(
    send: (socket: RendezvousSocket, request: number) => boolean,
    signal?: AbortSignal,
  ): Promise<RendezvousAnswer> {
    const socket = this.#joinedSocket();
    if (socket === undefined) throw this.#unreachable();
    return this.#requests.ask((request) => {
      if (!send(socket, request)) throw tooMuchUnsent();
    }, signal);
  }

  /** A socket that has just ended is not used again, even before its loss is dealt with. */
  #joinedSocket(): RendezvousSocket | undefined {
    this.#usedAtMs = this.#options.runtime.clock.monotonicMs();
    return this.#socket?.isJoined ? this.#socket : undefined;
  }

  /** Waits until joined; `failure` says which other states end the wait beside `stopped` and `closed`. */
  async #until(
    failure: (state: RendezvousState) => PeerloomError | undefined,
    signal?: AbortSignal,
    timeoutMs?: number,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer =
      timeoutMs === undefined
        ? undefined
        : this.#options.runtime.clock.setTimer(timeoutMs, () => reject(this.#unreachable()));
    const look = (): void => {
      const state = this.#state;
      if (state.phase === "joined") resolve();
      else if (state.phase === "released") this.want();
      else if (this.#closing.signal.aborted || state.phase === "closed") reject(closedError());
      else if (state.phase === "stopped") reject(state.error);
      else {
        const error = failure(state);
        if (error !== undefined) reject(error);
      }
    };
    this.#watchers.add(look);
    look();
    try {
      await (signal === undefined ? promise : untilAborted(promise, signal));
    } finally {
      timer?.cancel();
      this.#watchers.delete(look);
    }
  }

  #move(state: RendezvousState): void {
    this.#state = state;
    for (const look of this.#watchers) look();
  }

  #unreachable(): PeerloomError {
    if (this.#closing.signal.aborted) return closedError();
    if (this.#state.phase === "stopped") return this.#state.error;
    const text = `The edge ${this.edge} is not connected now. It is tried again; check the network if this lasts.`;
    return new PeerloomError("edge/unreachable", text, { cause: this.#lastError });
  }

  #wrongAnswer(): PeerloomError {
    const error = new PeerloomError("wire/malformed", "The edge gave an answer to another question.");
    this.#socket?.fail(error);
    return error;
  }
}

function closedError(): PeerloomError {
  return new PeerloomError("peer/closed", "This peer was closed.");
}

function tooMuchUnsent(): PeerloomError {
  return new PeerloomError(
    "edge/rate-limited",
    "The edge does not take messages as fast as they come. Try again later.",
  );
}
