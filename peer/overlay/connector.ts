/**
 * From a peer id to a session. Every way there is at once: the addresses that are known, a relay channel through the
 * edge, WebRTC signalled by the rendezvous where no relay may be used. The first link that stands carries the session;
 * better ones are made behind its back (upgrader.ts).
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type ChannelId, type PeerId, short } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import { parseAddress } from "../links/address.ts";
import { dialFirst, dialOrder } from "../links/happy-eyeballs.ts";
import { dialWebSocket } from "../links/websocket.ts";
import { dialRelay } from "../links/relay.ts";
import type { Link } from "../links/link.ts";
import { SIGNAL_ID_BYTES, type SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import type { PeerSession } from "../session/session.ts";
import type { Sessions } from "../session/sessions.ts";
import { waitWithin } from "../session/wait-within.ts";
import type { Introducer } from "./introducer.ts";
import { type Failure, unknownToPeers, whyNoPath } from "./no-path.ts";
import type { PathAttempt } from "./path-attempt.ts";
import type { RtcNegotiations } from "./rtc-negotiations.ts";
import type { ThroughPeers } from "./through-peers.ts";
import { SignalledLinks } from "./signalled-links.ts";
import type { SessionWay, Way } from "./way.ts";

/** `direct`: never through a relay. `relay`: nothing else; nobody learns an address. */
export type PathPolicy = "any" | "direct" | "relay";

export const CONNECT_DEFAULTS = { timeoutMs: 20_000 } as const;

export interface ConnectOptions {
  readonly signal?: AbortSignal;
  /** Give up after this long. @default 20_000 */
  readonly timeoutMs?: number;
  /** Where the peer may listen, e.g. from a ticket. */
  readonly addresses?: readonly string[];
}

/** @throws PeerloomError `link/failed`, `aborted` */
export type DialTcp = (
  runtime: Runtime,
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
) => Promise<Link>;

export interface ConnectorOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly sessions: Sessions;
  readonly policy: PathPolicy;
  /** Undefined without an edge. */
  readonly introducer: Introducer | undefined;
  /** Undefined where there is no TCP. */
  readonly dialTcp: DialTcp | undefined;
  /** Undefined where there is no WebRTC or it must not be used. */
  readonly rtc: RtcNegotiations | undefined;
  listenAddresses(): readonly string[];
  /** Has `throughPeers` set, where it will ever be. @throws PeerloomError `peer/closed` */
  needPeers(): Promise<void>;
  /** An address was dialled. */
  onAttempt(attempt: PathAttempt): void;
}

/** A known address that works answers before this is over; the edge is spared then. */
const RELAY_AFTER_ADDRESS_MS = 150;
/** Addresses remembered from earlier sessions and contacts; past that the oldest goes. */
const REMEMBERED_MAX = 512;

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #attempts = new Map<PeerId, Promise<PeerSession>>();
  /** Those of `connectBy`, which try less. */
  readonly #directAttempts = new Map<PeerId, Promise<PeerSession>>();
  readonly #remembered = new Map<PeerId, readonly string[]>();
  /** Where the other side was reached, and then what it says of itself. */
  readonly #proved = new WeakMap<PeerSession, readonly string[]>();
  readonly #dialledAt = new WeakMap<Link, string>();
  readonly #closing = new AbortController();
  /** Undefined where the peer stays out of the overlay, or that is not there yet. */
  throughPeers: ThroughPeers | undefined;
  /** Aborted while nothing may be dialled. */
  #pausing = new AbortController();
  /** Undefined where the edge carries no session. */
  readonly #signalled: SignalledLinks | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    const { introducer, policy, sessions, runtime } = options;
    if (introducer === undefined || policy === "direct") return;
    const signalled = new SignalledLinks(runtime, introducer, (link) => sessions.accept(link));
    introducer.onFrame = (from, message) => signalled.receive(from, message);
    this.#signalled = signalled;
  }

  /** @throws PeerloomError `connect/self`, `connect/no-path`, `connect/timeout`, `peer/not-found`, `peer/closed`, `aborted` */
  async connect(peerId: PeerId, options: ConnectOptions = {}): Promise<PeerSession> {
    const { identity, sessions, runtime } = this.#options;
    const { timeoutMs, signal } = { ...CONNECT_DEFAULTS, ...options };
    signal?.throwIfAborted();
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason as PeerloomError;
    if (peerId === identity.id) throw new PeerloomError("connect/self", "That is this peer's own id.");
    this.remember(peerId, options.addresses ?? []);
    const standing = sessions.get(peerId);
    if (standing !== undefined && standing.path.kind !== "none") return standing;
    const late = (): PeerloomError =>
      new PeerloomError("connect/timeout", `No answer from ${short(peerId)} within ${timeoutMs / 1000} s.`);
    return waitWithin(runtime.clock, this.#everyWay(peerId), timeoutMs, signal, late);
  }

  /**
   * A session by ways of somebody else's, unless one is being made already.
   * @throws PeerloomError `connect/no-path`, `peer/closed`, `aborted`
   */
  connectBy(peerId: PeerId, ways: () => readonly Way[], signal: AbortSignal): Promise<PeerSession> {
    const running = this.#attempts.get(peerId) ?? this.#directAttempts.get(peerId);
    return running ?? this.#run(peerId, ways, signal, this.#directAttempts);
  }

  /** Where a peer listens, as far as is known. */
  addressesOf(peerId: PeerId): readonly string[] {
    return this.#remembered.get(peerId) ?? [];
  }

  /** The other side of a session says where it listens. @returns whether that is news */
  told(session: PeerSession, addresses: readonly string[]): boolean {
    const before = this.provedAddresses(session);
    this.#proved.set(session, addresses);
    this.remember(session.peerId, addresses);
    return addresses.length !== before.length || addresses.some((address) => !before.includes(address));
  }

  /** Where the other side of a session was dialled or, as soon as it has said so, listens; `addressesOf` may be hearsay. */
  provedAddresses(session: PeerSession): readonly string[] {
    return this.#proved.get(session) ?? [];
  }

  /** Where a peer listens, as it was told by whomever. */
  remember(peerId: PeerId, addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    this.#remembered.delete(peerId);
    this.#remembered.set(peerId, addresses);
    if (this.#remembered.size > REMEMBERED_MAX)
      this.#remembered.delete(this.#remembered.keys().next().value as PeerId);
  }

  /** Another member asks for a relay channel; its dial was opened and proved before. */
  async acceptRelay(
    from: PeerId,
    offer: { readonly channel: ChannelId; readonly ticket: string },
  ): Promise<void> {
    const { introducer, policy, sessions, runtime } = this.#options;
    if (introducer === undefined || policy === "direct") return;
    try {
      sessions.accept(await dialRelay(runtime, { edge: introducer.edge, ...offer }, this.#whileDialling()));
    } catch (error) {
      runtime.log.debug("relay not joined", { peer: short(from), error: String(error) });
    }
  }

  /**
   * A link to one of the addresses that a peer listens on: IPv6 first, the others soon after.
   * @throws PeerloomError `link/failed`, `link/unavailable`
   */
  async dialAddresses(peerId: PeerId, signal: AbortSignal): Promise<Link> {
    const { runtime, dialTcp, onAttempt } = this.#options;
    const targets = this.addressesOf(peerId).flatMap((text) => {
      const address = parseAddress(text);
      const isOther = address?.scheme === "tcp" && (runtime.tcp === undefined || dialTcp === undefined);
      return address === undefined || isOther ? [] : [{ text, address }];
    });
    if (targets.length === 0) {
      throw new PeerloomError("link/unavailable", `No address of ${short(peerId)} can be dialled from here.`);
    }
    const open = (address: (typeof targets)[number]["address"], within: AbortSignal): Promise<Link> => {
      if (address.scheme !== "tcp") return dialWebSocket(runtime, address, within);
      if (dialTcp !== undefined) return dialTcp(runtime, address, within);
      throw new PeerloomError("link/unavailable", "This host has no TCP.");
    };
    const dial = async ({ text, address }: (typeof targets)[number], within: AbortSignal): Promise<Link> => {
      let error: PeerloomError | undefined;
      try {
        const link = await open(address, within);
        this.#dialledAt.set(link, text);
        return link;
      } catch (cause) {
        error = toPeerloomError(cause, "link/failed", `${text} could not be dialled.`);
        throw error;
      } finally {
        onAttempt({ peerId, transport: "address", address: text, error });
      }
    };
    return dialFirst(dialOrder(targets), dial, { clock: runtime.clock, signal });
  }

  /** Dials nothing until `resume`. */
  pause(): void {
    this.#pausing.abort(new PeerloomError("link/unavailable", "This page was put away."));
  }

  resume(): void {
    if (this.#pausing.signal.aborted) this.#pausing = new AbortController();
  }

  close(): void {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#signalled?.close();
  }

  #whileDialling(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, this.#pausing.signal]);
  }

  /** Whom the edge does not know others may, once they can be asked. */
  async #everyWay(peerId: PeerId): Promise<PeerSession> {
    const couldAsk = this.throughPeers !== undefined;
    try {
      return await this.#attempt(peerId);
    } catch (error) {
      // Their own dial may have come meanwhile, from where nobody would have found them.
      const { sessions } = this.#options;
      const theirs = (await sessions.begunBy(peerId, this.#closing.signal)) ?? sessions.get(peerId);
      if (theirs !== undefined && theirs.path.kind !== "none") return theirs;
      const { code } = toPeerloomError(error, "connect/no-path", String(error));
      if (couldAsk || (code !== "peer/not-found" && code !== "connect/no-path")) throw error;
      await this.#options.needPeers();
      if (this.throughPeers === undefined) throw error;
      return this.#attempt(peerId);
    }
  }

  /** One attempt for all who wait for the same peer. Also makes a new path for a session that has lost all. */
  #attempt(peerId: PeerId): Promise<PeerSession> {
    const { signal } = this.#closing;
    return this.#attempts.get(peerId) ?? this.#run(peerId, () => this.#ways(peerId), signal, this.#attempts);
  }

  #run(
    peerId: PeerId,
    ways: () => readonly (Way | SessionWay)[],
    until: AbortSignal,
    attempts: Map<PeerId, Promise<PeerSession>>,
  ): Promise<PeerSession> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#whileDialling(), until]);
    const attempt = this.#raceOrAgain(peerId, ways, signal).finally(() => {
      attempts.delete(peerId);
      stop.abort(new PeerloomError("aborted", "Another way was faster."));
    });
    attempt.catch(() => {});
    attempts.set(peerId, attempt);
    return attempt;
  }

  /**
   * Who has started again refuses what is attached to a session from before: its links are made once more, for another. All who wait for the
   * attempt wait for both.
   */
  async #raceOrAgain(
    peerId: PeerId,
    ways: () => readonly (Way | SessionWay)[],
    signal: AbortSignal,
  ): Promise<PeerSession> {
    const { sessions } = this.#options;
    const kept = sessions.get(peerId);
    try {
      return await this.#race(peerId, ways(), signal);
    } catch (error) {
      if (kept?.closed !== true) throw error;
      const theirs = sessions.get(peerId);
      if (theirs !== undefined && theirs.path.kind !== "none") return theirs;
      return this.#race(peerId, ways(), signal);
    }
  }

  #ways(peerId: PeerId): (Way | SessionWay)[] {
    const { introducer, policy, rtc } = this.#options;
    const ways: (Way | SessionWay)[] = [];
    if (policy !== "relay") {
      ways.push({ name: "address", afterMs: 0, link: (signal) => this.#dialKnown(peerId, signal) });
    }
    if (introducer !== undefined && policy !== "direct") {
      const afterMs = ways.length > 0 && this.#remembered.has(peerId) ? RELAY_AFTER_ADDRESS_MS : 0;
      const session: SessionWay["session"] = (signal, linked) => {
        const dial = (within: AbortSignal): Promise<PeerSession> =>
          this.#relay(introducer, peerId, within, linked);
        return this.throughPeers?.relay(peerId, dial, signal) ?? dial(signal);
      };
      ways.push({ name: "relay", afterMs, session });
    }
    if (introducer !== undefined && policy === "direct" && rtc !== undefined) {
      const send = (message: SignalMessage): void => introducer.signal(peerId, message);
      ways.push({ name: "webrtc", afterMs: 0, link: (signal) => rtc.offer(peerId, send, signal) });
    }
    ways.push(...(this.throughPeers?.ways(peerId) ?? []));
    return ways;
  }

  async #dialKnown(peerId: PeerId, signal: AbortSignal): Promise<Link> {
    const { throughPeers } = this;
    const { introducer } = this.#options;
    // The edge is spared: it is asked only about those whom the others do not know.
    const isKnown =
      this.#remembered.has(peerId) || (await throughPeers?.lookUp(peerId, signal)) !== undefined;
    if (!isKnown && introducer === undefined && throughPeers?.isLinked === true) throw unknownToPeers(peerId);
    if (!isKnown && introducer !== undefined) {
      const contact = await introducer.find(peerId, signal);
      if (contact === undefined) {
        throw new PeerloomError(
          "peer/not-found",
          `The edge does not know ${short(peerId)}. Is it running, in this network?`,
        );
      }
      this.remember(peerId, contact.addresses);
    }
    return this.dialAddresses(peerId, signal);
  }

  /**
   * Over a relay channel. While that is being opened the edge carries the handshake, and what is said first, as signals: the session stands after
   * one round trip to the other side, and the channel joins it. It counts only when the edge has granted the channel.
   */
  async #relay(
    introducer: Introducer,
    peerId: PeerId,
    signal: AbortSignal,
    linked: () => void,
  ): Promise<PeerSession> {
    const { runtime, sessions, listenAddresses, policy } = this.#options;
    const dial: SignalMessage = {
      kind: "dial",
      dialId: runtime.random.bytes(SIGNAL_ID_BYTES),
      addresses: policy === "relay" ? [] : listenAddresses(),
    };
    const stopSoon = new AbortController();
    const stopChannel = new AbortController();
    const abort = (): void => {
      stopSoon.abort(signal.reason);
      stopChannel.abort(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      const maySignal = introducer.isJoined && introducer.relays;
      const stopgap = maySignal ? this.#signalled?.dial(peerId) : undefined;
      const soon = stopgap && sessions.connectOver(peerId, stopgap, stopSoon.signal);
      soon?.catch(() => {}); // Without it the channel is waited for.
      const channel = await introducer.relay(peerId, dial, signal);
      const until = AbortSignal.any([stopChannel.signal, this.#whileDialling()]);
      const relayed = (async () => {
        const link = await dialRelay(runtime, { edge: introducer.edge, ...channel }, until);
        linked();
        return sessions.connectOver(peerId, link, until);
      })();
      relayed.then(
        // Whoever knows no such signals never answers on them.
        () => stopSoon.abort(new PeerloomError("aborted", "The relay channel was faster.")),
        (error: unknown) =>
          runtime.log.debug("relay not opened", { peer: short(peerId), error: String(error) }),
      );
      if (soon === undefined) return await relayed;
      // A channel that fails, as when somebody changes what goes over it, leaves the signals; what is told is why the channel failed.
      return await Promise.any([soon, relayed]).catch(() => relayed);
    } catch (error) {
      stopSoon.abort(error);
      stopChannel.abort(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** The first way whose link becomes a path wins; all have failed when the last one has. */
  async #race(
    peerId: PeerId,
    ways: readonly (Way | SessionWay)[],
    signal: AbortSignal,
  ): Promise<PeerSession> {
    signal.throwIfAborted();
    const failures: Failure[] = [];
    const oneFailed = new AbortController();
    const tries = ways.map(async (way) => {
      const { name, afterMs } = way;
      let isLinked = false;
      const linked = (): void => {
        isLinked = true;
      };
      try {
        if (afterMs > 0) await this.#headStart(afterMs, oneFailed.signal);
        if ("session" in way) return await way.session(signal, linked);
        const link = await way.link(signal);
        linked();
        const session = await this.#options.sessions.connectOver(peerId, link, signal);
        const address = this.#dialledAt.get(link);
        if (address !== undefined && !this.#proved.has(session)) this.#proved.set(session, [address]);
        return session;
      } catch (error) {
        const reason = toPeerloomError(error, "link/failed", String(error));
        failures.push({ way: name, isLinked, reason });
        oneFailed.abort();
        throw reason;
      }
    });
    try {
      return await Promise.any(tries);
    } catch {
      signal.throwIfAborted();
      throw whyNoPath(peerId, failures);
    }
  }

  async #headStart(delayMs: number, over: AbortSignal): Promise<void> {
    await this.#options.runtime.clock.sleep(delayMs, over).catch(() => {});
  }
}
