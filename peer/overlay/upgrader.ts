/**
 * Makes sessions better while they run, and brings back those that have lost every path. A session begins on whatever
 * stands first; here the two sides tell each other where they listen, dial, negotiate WebRTC through the session itself,
 * and try again with growing pauses where it did not work.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { short } from "../../shared/ids.ts";
import { type Link, pathKindOf } from "../links/link.ts";
import { encodeSignal } from "../links/signal-codec.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import type { PeerSession } from "../session/session.ts";
import type { Sessions } from "../session/sessions.ts";
import { backoffMs } from "./backoff.ts";
import type { Connector, PathPolicy } from "./connector.ts";
import type { RtcNegotiations } from "./rtc-negotiations.ts";

/** TCP, where it works, stands before this is over; WebRTC need not be tried then. */
const WEBRTC_AFTER_MS = 150;
/** The side that did not dial the session leaves the other this long to act first. */
const ACCEPTOR_AFTER_MS = 1_500;
/** Connections of one session that are negotiated at once: the other side answers four. */
const STRIPES_AT_ONCE = 3;
/** Pauses between attempts at a direct path while the session runs on a relay. */
const UPGRADE_BACKOFF = { firstMs: 2_000, maxMs: 300_000 } as const;
/** Pauses between attempts at any path for a session that has none. */
const REDIAL_BACKOFF = { firstMs: 250, maxMs: 8_000 } as const;
/** The same once it has had none for a minute: what woke up or came back dials by itself, and each attempt may cost the edge a channel. */
const REDIAL_AWAY_BACKOFF = { firstMs: 250, maxMs: 60_000 } as const;
/** Who has just woken up does not leave it to the other side to act first. */
const WOKEN_MS = 15_000;
/** Addresses that the other side names are dialled so often: whoever changes them all the time has nobody else dialled more. */
const LEARN_EVERY_MS = 2_000;

export interface UpgraderOptions {
  readonly runtime: Runtime;
  readonly sessions: Pick<Sessions, "connectOver">;
  readonly connector: Pick<Connector, "connect" | "dialAddresses">;
  readonly rtc: RtcNegotiations | undefined;
  readonly policy: PathPolicy;
  listenAddresses(): readonly string[];
}

interface Watched {
  readonly stop: AbortController;
  /** Those who wait end their pause. */
  readonly wakes: Set<() => void>;
  wokenAtMs: number;
  isReviving: boolean;
  /** A direct path is being tried; that may take as long as a negotiation does. */
  isTrying: boolean;
  /** Addresses that came meanwhile are being dialled. */
  isDialling: boolean;
  /** Addresses have come that are to be dialled in a moment. */
  isLearning: boolean;
  learnedAtMs: number;
  /** Connections beside the first, made here. */
  readonly stripes: Set<Link>;
  opening: number;
}

export class Upgrader {
  readonly #options: UpgraderOptions;
  readonly #watched = new Map<PeerSession, Watched>();

  constructor(options: UpgraderOptions) {
    this.#options = options;
  }

  /** A session has begun. */
  watch(session: PeerSession): void {
    const stop = new AbortController();
    this.#watched.set(session, {
      stop,
      wakes: new Set(),
      wokenAtMs: Number.NEGATIVE_INFINITY,
      isReviving: false,
      isTrying: false,
      isDialling: false,
      isLearning: false,
      learnedAtMs: Number.NEGATIVE_INFINITY,
      stripes: new Set(),
      opening: 0,
    });
    session.addEventListener("stripes", () => this.#restripe(session));
    if (this.#options.policy === "relay") {
      session.explain("only-relay");
      return;
    }
    this.announceAddresses(session);
    this.#run(session, "improve session", this.#improve(session, stop.signal));
  }

  /** The session has ended. */
  forget(session: PeerSession): void {
    this.#watched.get(session)?.stop.abort(new PeerloomError("session/closed", "The session has ended."));
    this.#watched.delete(session);
  }

  /** The other side listens elsewhere. */
  learned(session: PeerSession): void {
    const watched = this.#watched.get(session);
    if (watched === undefined || watched.isLearning) return;
    watched.isLearning = true;
    this.#run(session, "learn addresses", this.#learn(session, watched));
  }

  /** Something was learned that may make a better path possible. */
  wake(session: PeerSession): void {
    const watched = this.#watched.get(session);
    if (watched !== undefined) this.#wake(watched);
    if (watched?.isTrying !== true || watched.isDialling || session.transports.includes("tcp")) return;
    watched.isDialling = true;
    const dialling = this.#tryAddresses(session, watched.stop.signal).finally(() => {
      watched.isDialling = false;
    });
    this.#run(session, "dial what was learned", dialling);
  }

  /** Every path of the session is lost, or one is wanted where none is. */
  revive(session: PeerSession): void {
    const watched = this.#watched.get(session);
    if (watched?.isReviving === true) this.#wake(watched);
    if (watched === undefined || watched.isReviving) return;
    watched.isReviving = true;
    const reviving = this.#redial(session, watched).finally(() => {
      watched.isReviving = false;
      // Lost again before the attempt knew that it was made.
      if (session.path.kind === "none" && !session.closed) this.revive(session);
    });
    this.#run(session, "revive session", reviving);
  }

  announceAddresses(session: PeerSession): void {
    const addresses = this.#options.listenAddresses();
    if (addresses.length > 0 && this.#options.policy !== "relay")
      this.#send(session, { kind: "addresses", addresses });
  }

  #run(session: PeerSession, name: string, task: Promise<void>): void {
    task.catch((error: unknown) => {
      this.#options.runtime.log.debug(`${name} ended`, { peer: short(session.peerId), error: String(error) });
    });
  }

  async #improve(session: PeerSession, signal: AbortSignal): Promise<void> {
    const { runtime } = this.#options;
    for (let attempt = 0; ; attempt++) {
      if (session.role === "acceptor" && session.path.kind !== "direct") await this.#giveWay(session, signal);
      signal.throwIfAborted();
      if (session.path.kind !== "none") {
        const watched = this.#watched.get(session);
        if (watched !== undefined) watched.isTrying = true;
        await this.#tryDirect(session, signal);
        if (watched !== undefined) watched.isTrying = false;
      }
      const settled = session.path.kind === "direct";
      if (settled) attempt = 0;
      await this.#change(
        session,
        settled ? undefined : backoffMs(attempt, runtime.random, UPGRADE_BACKOFF),
        signal,
      );
    }
  }

  async #learn(session: PeerSession, watched: Watched): Promise<void> {
    const { clock } = this.#options.runtime;
    const pauseMs = watched.learnedAtMs + LEARN_EVERY_MS - clock.monotonicMs();
    if (pauseMs > 0) await clock.sleep(pauseMs, watched.stop.signal);
    watched.isLearning = false;
    watched.learnedAtMs = clock.monotonicMs();
    this.wake(session);
  }

  /** Leaves the other side the first attempt, or there would be two connections; an address that is learned meanwhile is dialled. */
  async #giveWay(session: PeerSession, signal: AbortSignal): Promise<void> {
    const watched = this.#watched.get(session);
    if (watched !== undefined) watched.isTrying = true;
    await this.#options.runtime.clock.sleep(ACCEPTOR_AFTER_MS, signal);
    if (watched !== undefined) watched.isTrying = false;
  }

  async #tryDirect(session: PeerSession, signal: AbortSignal): Promise<void> {
    if (session.transports.includes("tcp")) return;
    const tries = [this.#tryAddresses(session, signal)];
    if (!isDirect(session)) tries.push(this.#tryWebRtc(session, signal));
    await Promise.all(tries);
  }

  async #tryAddresses(session: PeerSession, signal: AbortSignal): Promise<void> {
    const { connector, sessions } = this.#options;
    try {
      await sessions.connectOver(
        session.peerId,
        await connector.dialAddresses(session.peerId, signal),
        signal,
      );
    } catch (error) {
      this.#options.runtime.log.debug("no direct address", {
        peer: short(session.peerId),
        error: String(error),
      });
    }
  }

  async #tryWebRtc(session: PeerSession, signal: AbortSignal): Promise<void> {
    const { rtc, runtime, sessions } = this.#options;
    if (rtc === undefined) {
      session.explain("webrtc-unavailable");
      return;
    }
    // One side offers, so that offers do not cross; the other only when nothing came of that.
    await runtime.clock.sleep(WEBRTC_AFTER_MS, signal);
    if (isDirect(session)) return;
    try {
      const link = await rtc.offer(session.peerId, (message) => this.#send(session, message), signal);
      await sessions.connectOver(session.peerId, link, signal);
    } catch (error) {
      // The negotiation itself has said why, from what both sides had to offer.
      runtime.log.debug("no webrtc path", { peer: short(session.peerId), error: String(error) });
    }
  }

  /** Opens or closes connections until there are as many as bulk should be spread over. */
  #restripe(session: PeerSession): void {
    const watched = this.#watched.get(session);
    if (watched === undefined || this.#options.rtc === undefined) return;
    const { stripes, stop } = watched;
    for (const link of [...stripes].toReversed()) {
      if (session.stripes <= session.stripesWanted) break;
      stripes.delete(link);
      session.release(link);
    }
    while (
      watched.opening < STRIPES_AT_ONCE &&
      session.stripes + watched.opening < session.stripesWanted &&
      !stop.signal.aborted
    ) {
      watched.opening += 1;
      const opening = this.#openStripe(session, watched).finally(() => {
        watched.opening -= 1;
      });
      this.#run(
        session,
        "open stripe",
        opening.then(() => this.#restripe(session)),
      );
    }
  }

  async #openStripe(session: PeerSession, { stripes, stop }: Watched): Promise<void> {
    const { rtc, sessions } = this.#options;
    if (rtc === undefined) return;
    const link = await rtc.offer(session.peerId, (message) => this.#send(session, message), stop.signal);
    await sessions.connectOver(session.peerId, link, stop.signal);
    stripes.add(link);
    // More than are wanted by now go at once; those that died are not kept.
    for (const each of stripes) if (!session.carriesOver(each)) stripes.delete(each);
  }

  async #redial(session: PeerSession, watched: Watched): Promise<void> {
    const { connector, runtime } = this.#options;
    const { signal } = watched.stop;
    const hasWoken = runtime.clock.monotonicMs() - watched.wokenAtMs < WOKEN_MS;
    if (session.role === "acceptor" && !hasWoken) await this.#change(session, ACCEPTOR_AFTER_MS, signal);
    for (let attempt = 0; session.path.kind === "none"; attempt++) {
      signal.throwIfAborted();
      const startedAtMs = runtime.clock.monotonicMs();
      try {
        await connector.connect(session.peerId, { signal });
        return;
      } catch (error) {
        runtime.log.debug("redial failed", { peer: short(session.peerId), error: String(error) });
      }
      if (watched.wokenAtMs >= startedAtMs) attempt = 0;
      await this.#change(session, this.#redialPauseMs(session, attempt), signal);
      if (watched.wokenAtMs >= startedAtMs) attempt = -1;
    }
  }

  /** Undefined: until something happens. A session that nobody uses is kept, and waits to be dialled or used. */
  #redialPauseMs(session: PeerSession, attempt: number): number | undefined {
    const { random } = this.#options.runtime;
    if (!session.isAway) return backoffMs(attempt, random, REDIAL_BACKOFF);
    return session.streamCount > 0 ? backoffMs(attempt, random, REDIAL_AWAY_BACKOFF) : undefined;
  }

  #wake(watched: Watched): void {
    watched.wokenAtMs = this.#options.runtime.clock.monotonicMs();
    for (const wake of [...watched.wakes]) wake();
  }

  /** Waits until the session's path changes, something is learned, or the time is over. */
  async #change(session: PeerSession, delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.runtime;
    signal.throwIfAborted();
    const wakes = this.#watched.get(session)?.wakes;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer?.cancel();
        wakes?.delete(done);
        session.removeEventListener("path", done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = delayMs === undefined ? undefined : clock.setTimer(delayMs, done);
      session.addEventListener("path", done, { once: true });
      signal.addEventListener("abort", done, { once: true });
      wakes?.add(done);
    });
  }

  #send(session: PeerSession, message: SignalMessage): void {
    session.sendSignal(encodeSignal(message));
  }
}

function isDirect(session: PeerSession): boolean {
  return session.transports.some((kind) => pathKindOf(kind) === "direct");
}
