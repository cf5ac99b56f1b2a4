/**
 * The WebRTC negotiations of a peer, by connection id. Whoever carries the signals (a session, the rendezvous, later the
 * overlay) hands them in here; what comes out are links.
 */
import { toHex } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import { type IceCandidates, type IceFailure, whyNotConnected } from "../links/candidates.ts";
import type { Link } from "../links/link.ts";
import { type RtcBatch, SIGNAL_ID_BYTES, type SignalMessage } from "../links/signaller.ts";
import type { Mapping } from "./nat-probe.ts";
import { negotiateWebRtc, type WebRtcNegotiation, withFreshConnections } from "../links/webrtc.ts";
import type { IceServer, Runtime, WebRtcHost } from "../runtime.ts";

/** Negotiations under way at once that this side began, and as many that others did; past either more are refused. */
const NEGOTIATIONS_MAX = 64;
/** Of one other peer: its old and its new attempt. */
const NEGOTIATIONS_PER_PEER_MAX = 4;

/** Peers that said of themselves that they are behind a symmetric NAT; past that the oldest is forgotten. */
const SYMMETRIC_MAX = 256;
const SYMMETRIC: IceFailure = "symmetric-nat";
/** A pair that can meet has met by then; whoever waits is told why not, and the negotiation goes on. */
const EXPLAIN_AFTER_MS = 3_000;

/** What became of a negotiation, or what it looks like so far. */
export interface IceOutcome {
  /** Undefined: the two have met. */
  readonly failure: IceFailure | undefined;
  readonly candidates: IceCandidates;
  /** Of the link that was made. */
  readonly description: string;
}

export interface RtcNegotiationsOptions {
  readonly runtime: Runtime;
  readonly host: WebRtcHost;
  iceServers(): Promise<readonly IceServer[]>;
  /** A connection that the other side offered is open. */
  onLink(from: PeerId, link: Link): void;
  /** Also called while a negotiation takes long, with what holds it up. Not when it was given up for a better path. */
  onOutcome(peerId: PeerId, outcome: IceOutcome): void;
  /** How a NAT maps, where the host can find out. Never rejects. */
  mapping(): Promise<Mapping>;
}

type Role = "offerer" | "answerer";

interface Running {
  readonly peerId: PeerId;
  readonly role: Role;
  readonly negotiation: Promise<WebRtcNegotiation>;
  readonly stop: AbortController;
  /** The other side has said something. */
  isAnswered: boolean;
}

/** Sends a signal towards the other side. Failures end the negotiation by its own deadline. */
export type SendSignal = (message: SignalMessage) => void;

export class RtcNegotiations {
  readonly #options: RtcNegotiationsOptions;
  readonly #running = new Map<string, Running>();
  readonly #symmetric = new Set<PeerId>();

  constructor(options: RtcNegotiationsOptions) {
    this.#options = options;
  }

  /**
   * Offers a connection.
   * @throws PeerloomError `link/timeout`, `link/failed`, `link/too-many`, `aborted`
   */
  async offer(peerId: PeerId, send: SendSignal, signal: AbortSignal): Promise<Link> {
    if (this.#count("offerer") >= NEGOTIATIONS_MAX) {
      throw new PeerloomError("link/too-many", "Too many WebRTC connections are being negotiated.");
    }
    const { runtime } = this.#options;
    const attempt = (): Promise<Link> =>
      this.#run(peerId, "offerer", runtime.random.bytes(SIGNAL_ID_BYTES), send, signal);
    return withFreshConnections(attempt, runtime, signal);
  }

  /** Takes what a proved sender has signalled. */
  receive(from: PeerId, connectionId: Uint8Array, message: RtcBatch, send: SendSignal): void {
    const known = this.#running.get(toHex(connectionId));
    if (known !== undefined) {
      if (known.peerId !== from) return;
      known.isAnswered = true;
      this.#pass(known, message);
      return;
    }
    if (message.kind !== "offer" || !this.#hasRoomFor(from)) return;
    this.#run(from, "answerer", connectionId, send, undefined, message).then(
      (link) => this.#options.onLink(from, link),
      (error: unknown) => this.#options.runtime.log.debug("webrtc answer failed", { error: String(error) }),
    );
  }

  /** The other side says why a connection does not come about. Only what it alone can know is believed. */
  refused(from: PeerId, connectionId: Uint8Array, code: string): void {
    if (code !== SYMMETRIC) return;
    const known = this.#running.get(toHex(connectionId));
    if (known?.peerId === from) {
      known.negotiation.then(
        ({ candidates }) =>
          this.#options.onOutcome(from, { failure: SYMMETRIC, candidates, description: "" }),
        () => {},
      );
    }
    this.#symmetric.delete(from);
    this.#symmetric.add(from);
    if (this.#symmetric.size > SYMMETRIC_MAX)
      this.#symmetric.delete(this.#symmetric.values().next().value as PeerId);
  }

  /** Whether an offer to that peer has come to it, and its answer back. */
  isAnswered(peerId: PeerId): boolean {
    return [...this.#running.values()].some((one) => one.peerId === peerId && one.isAnswered);
  }

  close(): void {
    for (const { stop } of this.#running.values()) {
      stop.abort(new PeerloomError("peer/closed", "This peer is closing."));
    }
  }

  async #run(
    peerId: PeerId,
    role: Role,
    connectionId: Uint8Array,
    send: SendSignal,
    signal: AbortSignal | undefined,
    first?: RtcBatch,
  ): Promise<Link> {
    const { runtime, host } = this.#options;
    const key = toHex(connectionId);
    const stop = new AbortController();
    const servers = this.#options.iceServers();
    const negotiation = servers.then((iceServers) =>
      negotiateWebRtc({
        host,
        role,
        iceServers,
        clock: runtime.clock,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
        send: (rtc) => send({ kind: "rtc", connectionId, signal: rtc }),
      }),
    );
    const running: Running = { peerId, role, negotiation, stop, isAnswered: false };
    this.#running.set(key, running);
    if (first !== undefined) this.#pass(running, first);
    try {
      const usesStun = (await servers).length > 0;
      const refuse = (code: IceFailure): void => send({ kind: "refuse", id: connectionId, code });
      return await this.#watch(peerId, await negotiation, { usesStun, refuse });
    } finally {
      this.#running.delete(key);
    }
  }

  /** Says what became of a negotiation, and before that what holds it up. */
  async #watch(
    peerId: PeerId,
    { candidates, link }: WebRtcNegotiation,
    options: { readonly usesStun: boolean; refuse(code: IceFailure): void },
  ): Promise<Link> {
    const { runtime, onOutcome } = this.#options;
    const explain = async (): Promise<IceFailure> => {
      const failure = whyNotConnected(candidates, options);
      if (failure !== "ice-failed") return failure;
      if ((await this.#options.mapping()) === "symmetric") {
        // The other side cannot see it.
        options.refuse(SYMMETRIC);
        return SYMMETRIC;
      }
      return this.#symmetric.has(peerId) ? SYMMETRIC : failure;
    };
    const tell = (failure: IceFailure): void => onOutcome(peerId, { failure, candidates, description: "" });
    const timer = runtime.clock.setTimer(EXPLAIN_AFTER_MS, () => {
      // Without a reason, or an answer, it may still come about.
      void explain().then((failure) => {
        if (failure !== "ice-failed" && failure !== "no-answer") tell(failure);
      });
    });
    try {
      const made = await link;
      onOutcome(peerId, { failure: undefined, candidates, description: made.description });
      return made;
    } catch (error) {
      if (error instanceof PeerloomError && error.code.startsWith("link/")) tell(await explain());
      throw error;
    } finally {
      timer.cancel();
    }
  }

  #pass(running: Running, message: RtcBatch): void {
    // A negotiation that could not begin has told its owner already.
    running.negotiation.then(
      (negotiation) => negotiation.accept(message),
      () => {},
    );
  }

  #hasRoomFor(from: PeerId): boolean {
    let own = 0;
    for (const { peerId } of this.#running.values()) if (peerId === from) own += 1;
    return own < NEGOTIATIONS_PER_PEER_MAX && this.#count("answerer") < NEGOTIATIONS_MAX;
  }

  #count(role: Role): number {
    let count = 0;
    for (const one of this.#running.values()) if (one.role === role) count += 1;
    return count;
  }
}
