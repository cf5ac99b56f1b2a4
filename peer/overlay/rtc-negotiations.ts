/**
 * The WebRTC negotiations of a peer, by connection id. Whoever carries the signals (a session, the rendezvous, later the
 * overlay) hands them in here; what comes out are links.
 */
import { toHex } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { Link } from "../links/link.ts";
import { SIGNAL_ID_BYTES, type SignalMessage } from "../links/signaller.ts";
import { negotiateWebRtc, type WebRtcNegotiation } from "../links/webrtc.ts";
import type { IceServer, RtcSignal, Runtime, WebRtcHost } from "../runtime.ts";

/** Negotiations under way at once, own and others'; a stranger's past that are refused. */
const NEGOTIATIONS_MAX = 64;
/** Of one other peer: its old and its new attempt. */
const NEGOTIATIONS_PER_PEER_MAX = 4;

export interface RtcNegotiationsOptions {
  readonly runtime: Runtime;
  readonly host: WebRtcHost;
  iceServers(): Promise<readonly IceServer[]>;
  /** A connection that the other side offered is open. */
  onLink(from: PeerId, link: Link): void;
}

interface Running {
  readonly peerId: PeerId;
  readonly negotiation: Promise<WebRtcNegotiation>;
  readonly stop: AbortController;
}

/** Sends a signal towards the other side. Failures end the negotiation by its own deadline. */
export type SendSignal = (message: SignalMessage) => void;

export class RtcNegotiations {
  readonly #options: RtcNegotiationsOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: RtcNegotiationsOptions) {
    this.#options = options;
  }

  /**
   * Offers a connection.
   * @throws PeerloomError `link/timeout`, `link/failed`, `link/too-many`, `aborted`
   */
  async offer(peerId: PeerId, send: SendSignal, signal: AbortSignal): Promise<Link> {
    if (this.#running.size >= NEGOTIATIONS_MAX) {
      throw new PeerloomError("link/too-many", "Too many WebRTC connections are being negotiated.");
    }
    const attempt = (): Promise<Link> => {
      return this.#run(peerId, "offerer", this.#options.runtime.random.bytes(SIGNAL_ID_BYTES), send, signal);
    };
    try {
      return await attempt();
    } catch (error) {
      // A connection sometimes fails at once for no reason that lasts; a fresh one then does not.
      if (signal.aborted || !(error instanceof PeerloomError) || error.code !== "link/failed") throw error;
      return attempt();
    }
  }

  /** Takes one signal from a proved sender. */
  receive(from: PeerId, connectionId: Uint8Array, message: RtcSignal, send: SendSignal): void {
    const known = this.#running.get(toHex(connectionId));
    if (known !== undefined) {
      if (known.peerId === from) this.#pass(known, message);
      return;
    }
    if (message.kind !== "offer" || !this.#hasRoomFor(from)) return;
    this.#run(from, "answerer", connectionId, send, undefined, message).then(
      (link) => this.#options.onLink(from, link),
      (error: unknown) => this.#options.runtime.log.debug("webrtc answer failed", { error: String(error) }),
    );
  }

  close(): void {
    for (const { stop } of this.#running.values()) {
      stop.abort(new PeerloomError("peer/closed", "This peer is closing."));
    }
  }

  async #run(
    peerId: PeerId,
    role: "offerer" | "answerer",
    connectionId: Uint8Array,
    send: SendSignal,
    signal: AbortSignal | undefined,
    first?: RtcSignal,
  ): Promise<Link> {
    const { runtime, host } = this.#options;
    const key = toHex(connectionId);
    const stop = new AbortController();
    const negotiation = this.#options.iceServers().then((iceServers) =>
      negotiateWebRtc({
        host,
        role,
        iceServers,
        clock: runtime.clock,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
        send: (rtc) => send({ kind: "rtc", connectionId, signal: rtc }),
      }),
    );
    const running = { peerId, negotiation, stop };
    this.#running.set(key, running);
    if (first !== undefined) this.#pass(running, first);
    try {
      return await (
        await negotiation
      ).link;
    } finally {
      this.#running.delete(key);
    }
  }

  #pass(running: Running, message: RtcSignal): void {
    // A negotiation that could not begin has told its owner already.
    running.negotiation.then(
      (negotiation) => negotiation.accept(message),
      () => {},
    );
  }

  #hasRoomFor(from: PeerId): boolean {
    let own = 0;
    for (const { peerId } of this.#running.values()) if (peerId === from) own += 1;
    return own < NEGOTIATIONS_PER_PEER_MAX && this.#running.size < NEGOTIATIONS_MAX;
  }
}
