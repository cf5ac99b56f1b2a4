/**
 * The ways to a peer that lead through other peers: they are asked where it listens, carry the signals of WebRTC, ask it back to the
 * rendezvous, and forward to it. Part of connecting that is there once the overlay is.
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Link } from "../links/link.ts";
import type { PeerSession } from "../session/session.ts";
import { withDeadline } from "./abort.ts";
import { backoffMs } from "./backoff.ts";
import type { Connector, ConnectorOptions } from "./connector.ts";
import type { Forwarder } from "./forwarder.ts";
import type { Overlay } from "./overlay.ts";
import type { Way } from "./way.ts";
import { WebRtcWays } from "./webrtc-ways.ts";

/** A peer that the others know is reached through them; only if that fails the edge relays. */
const RELAY_AFTER_PEERS_MS = 3_000;
/** One who was asked to come to the rendezvous is looked for there so often. */
const MEET_ATTEMPTS = 6;
const MEET_BACKOFF = { firstMs: 300, maxMs: 2_000 } as const;
/** Others forward where no better way stands by then: without an edge, and with one, whose relay carries more. */
const FORWARD_AFTER_MS = { pure: 150, edge: 3_000 } as const;
/** Making a session with somebody who might forward. */
const FORWARDER_TIMEOUT_MS = 4_000;

export interface ThroughPeersOptions extends Pick<
  ConnectorOptions,
  "runtime" | "identity" | "sessions" | "policy" | "introducer" | "rtc"
> {
  readonly connector: Connector;
  readonly overlay: Overlay;
  readonly forwarder: Forwarder;
}

export class ThroughPeers {
  readonly #options: ThroughPeersOptions;
  readonly #webrtc: WebRtcWays;
  readonly #lookUps = new Map<PeerId, Promise<Contact | undefined>>();

  constructor(options: ThroughPeersOptions) {
    this.#options = options;
    this.#webrtc = new WebRtcWays(options, (peerId, signal) => this.lookUp(peerId, signal));
  }

  /** Somebody is there to be asked. */
  get isLinked(): boolean {
    return this.#options.overlay.size > 0;
  }

  /** What a peer says of itself through other peers; one question for all who ask at once. */
  lookUp(peerId: PeerId, signal: AbortSignal): Promise<Contact | undefined> {
    const { overlay, connector } = this.#options;
    const asked = this.#lookUps.get(peerId);
    if (asked !== undefined) return asked;
    const asking = (async () => {
      if (!(await overlay.isLinked(signal))) return undefined;
      const contact = await overlay.find(peerId, signal);
      connector.remember(peerId, contact?.addresses ?? []);
      return contact;
    })().finally(() => this.#lookUps.delete(peerId));
    this.#lookUps.set(peerId, asking);
    return asking;
  }

  /** Beside those that lead over addresses and the edge. */
  ways(peerId: PeerId): Way[] {
    const ways = this.#webrtc.throughPeers(peerId);
    if (this.#options.policy === "any") {
      ways.push({
        name: "through another peer",
        afterMs: 0,
        link: (signal) => this.#dialForwarded(peerId, signal),
      });
    }
    return ways;
  }

  /**
   * A session on a direct path, for the overlay. Without `edge` only peers carry the signals.
   * @throws PeerloomError `connect/no-path`, `peer/closed`, `aborted`
   */
  async connectDirect(
    { id, addresses }: Contact,
    { edge, signal }: { readonly edge: boolean; readonly signal: AbortSignal },
  ): Promise<PeerSession> {
    const { connector, sessions } = this.#options;
    connector.remember(id, addresses);
    const standing = sessions.get(id);
    if (standing?.path.kind === "direct") return standing;
    return connector.connectBy(id, () => this.#directWays(id, edge), signal);
  }

  /** A relay channel, once others were asked: whoever they know is reached without, and comes to the rendezvous if it left. */
  async relay(
    peerId: PeerId,
    dial: (signal: AbortSignal) => Promise<PeerSession>,
    signal: AbortSignal,
  ): Promise<PeerSession> {
    const { runtime, overlay } = this.#options;
    if (overlay.isReady && (await this.lookUp(peerId, signal)) !== undefined)
      await runtime.clock.sleep(RELAY_AFTER_PEERS_MS, signal);
    for (let attempt = 0; ; attempt++) {
      try {
        return await dial(signal);
      } catch (error) {
        const isAway = error instanceof PeerloomError && error.code === "peer/not-found";
        if (!isAway || attempt === MEET_ATTEMPTS) throw error;
        // It may have left the rendezvous: it is asked, through others, to come back.
        if (attempt === 0) {
          if ((await this.lookUp(peerId, signal)) === undefined) throw error;
          void overlay.signal(peerId, { kind: "meet" });
        }
        await runtime.clock.sleep(backoffMs(attempt, runtime.random, MEET_BACKOFF), signal);
      }
    }
  }

  #directWays(peerId: PeerId, edge: boolean): Way[] {
    const { connector, introducer, policy } = this.#options;
    if (policy === "relay") return [];
    const address: Way = {
      name: "address",
      afterMs: 0,
      link: async (signal) => {
        if (connector.addressesOf(peerId).length === 0) await this.lookUp(peerId, signal);
        return connector.dialAddresses(peerId, signal);
      },
    };
    const byEdge = edge && introducer?.isJoined === true;
    const hasAddress = connector.addressesOf(peerId).length > 0;
    return [
      address,
      ...(byEdge ? this.#webrtc.introduced(peerId, hasAddress) : this.#webrtc.throughPeers(peerId)),
    ];
  }

  /** Through a peer that is linked to both, or that both can be linked to. */
  async #dialForwarded(peerId: PeerId, signal: AbortSignal): Promise<Link> {
    const { runtime, introducer, sessions, identity, overlay, forwarder } = this.#options;
    const none = new PeerloomError("link/unavailable", `Nobody forwards to ${short(peerId)}.`);
    if ((await this.lookUp(peerId, signal)) === undefined) throw none;
    const isPure = introducer === undefined || overlay.isReady;
    await runtime.clock.sleep(isPure ? FORWARD_AFTER_MS.pure : FORWARD_AFTER_MS.edge, signal);
    const named = await overlay.neighboursOf(peerId, signal);
    const isLinked = ({ id }: Contact): boolean => sessions.get(id)?.path.kind === "direct";
    const candidates = named
      .filter(({ id }) => id !== identity.id && id !== peerId)
      .sort((a, b) => Number(isLinked(b)) - Number(isLinked(a)));
    let failure = none;
    for (const contact of candidates) {
      signal.throwIfAborted();
      try {
        const through = await withDeadline(runtime.clock, FORWARDER_TIMEOUT_MS, signal, (within) =>
          this.connectDirect(contact, { edge: false, signal: within }),
        );
        return await forwarder.dial(through, peerId, signal);
      } catch (error) {
        failure = toPeerloomError(error, "link/failed", "Somebody in between could not be reached.");
      }
    }
    throw failure;
  }
}
