/**
 * All sessions of a peer, and how one begins on a link. The dialler sends the same hello on every link it makes
 * towards a peer until one is answered, so links that race end in one session; later links attach to it (attachment.ts). Whoever
 * comes with a valid hello replaces the session from before: it has lost it.
 */
import { equalBytes, toHex } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { FRAME, LINK_NONCE_BYTES, refuseFrame } from "../../shared/frame.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import type { Link } from "../links/link.ts";
import { acceptAttach, attach } from "./attachment.ts";
import type { StreamHandler } from "./contract.ts";
import { FirstFrames, HANDSHAKE_TIMEOUT_MS } from "./first-frames.ts";
import {
  acceptHello,
  type AcceptedHello,
  beginHello,
  type HandshakeContext,
  type PendingHello,
  refusedBy,
} from "./handshake.ts";
import { INSTANCE_BYTES } from "./hello.ts";
import { PeerSession } from "./session.ts";
import { waitWithin } from "./wait-within.ts";

/** Links that have not said anything valid yet; past that new ones are closed. */
const UNCLAIMED_MAX = 256;
/** Sessions that were answered and not proved; past that new hellos are refused. */
const HALF_OPEN_MAX = 256;
/** A hello of theirs that was answered is given so long before we send one of our own. */
const HALF_OPEN_WAIT_MS = 5_000;
/** Hellos remembered, so that the same one on another link meets the same answer; past that the oldest goes. */
const HELLOS_MAX = 256;
/**
 * Sessions kept without a path, and the bytes that they hold together; past either the one that has been without for longest is given up
 * with `session/lost`. A cut takes all sessions of a routing table at once, eighty, most of them empty.
 */
export const PATHLESS_MAX = 256;
export const PATHLESS_BYTES_MAX: number = 128 * 1024 * 1024;
/** Said to a dialler whose hello crossed ours: the session of the lower peer id stands. */
const CROSSED = "crossed";

export interface SessionsOptions extends Omit<HandshakeContext, "instance"> {
  handler(protocol: string): StreamHandler | undefined;
  onSignal(session: PeerSession, message: Uint8Array): void;
  onOverlay(session: PeerSession, message: Uint8Array): void;
  onSession(session: PeerSession): void;
  onPathless(session: PeerSession): void;
  onEnd(session: PeerSession): void;
  /** Bytes that all sessions without a path may hold together. @default 128 MiB */
  readonly heldBytesMax?: number;
}

interface Dial {
  readonly hello: Promise<PendingHello>;
  /** Set when the first answer came. */
  finished: Promise<PeerSession> | undefined;
  /** Links on which it waits for an answer. */
  links: number;
}

export class Sessions {
  readonly #options: SessionsOptions & HandshakeContext;
  readonly #byPeer = new Map<PeerId, PeerSession>();
  readonly #byId = new Map<string, PeerSession>();
  readonly #dials = new Map<PeerId, Dial>();
  readonly #hellos = new Map<string, Promise<AcceptedHello & { readonly session: PeerSession }>>();
  /** Hellos whose answers are being made; their sessions are none yet. */
  readonly #answering = new Set<AcceptedHello>();
  readonly #waiting = new Map<PeerId, Set<(session: PeerSession) => void>>();
  readonly #closing = new AbortController();
  #unclaimed = 0;

  constructor(options: SessionsOptions) {
    this.#options = { ...options, instance: options.runtime.random.bytes(INSTANCE_BYTES) };
  }

  /** The session with a peer; not one that is being closed. */
  get(peerId: PeerId): PeerSession | undefined {
    const session = this.#byPeer.get(peerId);
    return session?.closing === false ? session : undefined;
  }

  all(): readonly PeerSession[] {
    return [...this.#byPeer.values()];
  }

  /**
   * Makes a link that this side dialled a path of the session with that peer, which begins with it when there is none.
   * The link is closed when that fails.
   * @throws PeerloomError `session/handshake-failed`, `session/unknown`, `link/timeout`, `link/closed`, `wire/version`
   */
  async connectOver(peerId: PeerId, link: Link, signal: AbortSignal): Promise<PeerSession> {
    const frames = new FirstFrames(link);
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const session = this.get(peerId);
    try {
      if (session !== undefined) return await attach(session, frames, this.#options.runtime, either);
      return await this.#greet(peerId, frames, either);
    } catch (error) {
      link.destroy();
      // Its link may have gone with a session that gave way to another, made at the same moment.
      const standing = this.get(peerId);
      if (session === undefined && !either.aborted && standing !== undefined && standing.path.kind !== "none")
        return standing;
      throw toPeerloomError(error, "aborted", "Connecting was given up.");
    }
  }

  /**
   * The session of a hello of theirs that was answered, once they have proved themselves; undefined when there is none, or they do not in time.
   * @throws the signal's reason
   */
  async begunBy(peerId: PeerId, signal: AbortSignal): Promise<PeerSession | undefined> {
    if (!this.#isGreetedBy(peerId)) return undefined;
    const begun = await this.#waitFor(peerId, HALF_OPEN_WAIT_MS, signal).catch(() => undefined);
    signal.throwIfAborted();
    return begun;
  }

  /** Takes a link that the other side dialled. It is closed when nothing valid comes in time. */
  accept(link: Link): void {
    if (this.#closing.signal.aborted || this.#unclaimed >= UNCLAIMED_MAX) {
      link.destroy();
      return;
    }
    this.#unclaimed += 1;
    const claimed = this.#claim(new FirstFrames(link)).finally(() => {
      this.#unclaimed -= 1;
    });
    claimed.catch((error: unknown) => {
      const reason = toPeerloomError(error, "session/handshake-failed", "The handshake failed.");
      this.#options.runtime.log.debug("link refused", { code: reason.code, from: link.description });
      link.send([refuseFrame(reason.code)]);
      // A relay may take seconds to say goodbye, and a peer that closes waits for nobody.
      if (this.#closing.signal.aborted) link.destroy();
      else link.close();
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    await Promise.all(this.all().map((session) => session.close("session/closed")));
    for (const session of [...this.#byId.values()]) {
      session.end(new PeerloomError("peer/closed", "This peer is closing."));
    }
    this.#hellos.clear();
  }

  // --- dialling ---

  async #greet(peerId: PeerId, frames: FirstFrames, signal: AbortSignal): Promise<PeerSession> {
    const begun = await this.begunBy(peerId, signal);
    if (begun !== undefined) return attach(begun, frames, this.#options.runtime, signal);
    const dial = this.#dialTo(peerId);
    dial.links += 1;
    try {
      return await this.#greetWith(dial, peerId, frames, signal);
    } finally {
      dial.links -= 1;
      // Nobody waits for its answer: the next attempt makes its own, and the other side may dial meanwhile.
      if (dial.links === 0 && this.#dials.get(peerId) === dial) this.#dials.delete(peerId);
    }
  }

  async #greetWith(
    dial: Dial,
    peerId: PeerId,
    frames: FirstFrames,
    signal: AbortSignal,
  ): Promise<PeerSession> {
    const { runtime } = this.#options;
    const { frame } = await dial.hello;
    frames.link.send([frame]);
    const answer = await frames.next(runtime.clock, signal);
    if (answer.type === "refuse") {
      if (answer.code !== CROSSED) throw refusedBy(peerId, answer.code);
      const session = await this.#waitFor(peerId, HANDSHAKE_TIMEOUT_MS, signal);
      return attach(session, frames, runtime, signal);
    }
    if (answer.type !== "welcome")
      throw new PeerloomError("wire/malformed", "The answer to a hello is a welcome.");
    const noise = answer.noise.slice();
    const linkNonce = answer.linkNonce.slice();
    dial.finished ??= this.#finish(peerId, dial, noise);
    const session = await dial.finished;
    const standing = this.get(peerId);
    if (session.closed && standing !== undefined) return attach(standing, frames, runtime, signal);
    session.addPath(frames.link, "usable", linkNonce);
    frames.handOver();
    return session;
  }

  #dialTo(peerId: PeerId): Dial {
    const running = this.#dials.get(peerId);
    if (running !== undefined) return running;
    const dial: Dial = { hello: beginHello(this.#options, peerId), finished: undefined, links: 0 };
    this.#dials.set(peerId, dial);
    return dial;
  }

  async #finish(peerId: PeerId, dial: Dial, noise: Uint8Array): Promise<PeerSession> {
    try {
      const begun = await (await dial.hello).finish(noise);
      const session = this.#newSession({ ...begun, peerId, role: "dialler" });
      this.#establish(session);
      return session;
    } catch (error) {
      // A forged answer on one link must not spoil the attempt on another.
      dial.finished = undefined;
      throw error;
    }
  }

  // --- accepting ---

  async #claim(frames: FirstFrames): Promise<void> {
    const { runtime } = this.#options;
    const frame = await frames.next(runtime.clock, this.#closing.signal);
    if (frame.type === "hello") await this.#acceptHello(frames, frame.noise);
    else if (frame.type === "attach") {
      const session = this.#byId.get(toHex(frame.sessionId));
      if (session === undefined) throw new PeerloomError("session/unknown", "No such session here.");
      await acceptAttach(session, frames, frame, runtime);
    } else throw new PeerloomError("wire/malformed", "A link begins with a hello or an attach.");
  }

  async #acceptHello(frames: FirstFrames, noise: Uint8Array): Promise<void> {
    const { random } = this.#options.runtime;
    const accepted = await this.#answerOnce(noise, frames);
    if (accepted === undefined) return;
    const linkNonce = random.bytes(LINK_NONCE_BYTES);
    accepted.session.addPath(frames.link, "proving", linkNonce);
    frames.link.send([Uint8Array.of(FRAME.welcome), linkNonce, accepted.answer]);
    frames.handOver();
  }

  /** The same hello gets the same answer on whatever link it comes. Undefined when it crossed one of ours. */
  async #answerOnce(
    noise: Uint8Array,
    frames: FirstFrames,
  ): Promise<(AcceptedHello & { readonly session: PeerSession }) | undefined> {
    const key = toHex(noise);
    const known = this.#hellos.get(key);
    if (known !== undefined) return known;
    if (this.#byId.size + this.#answering.size - this.#byPeer.size >= HALF_OPEN_MAX) {
      throw new PeerloomError(
        "link/too-many",
        "Too many handshakes are unfinished here. Try again in a moment.",
      );
    }
    const accepted = await acceptHello(this.#options, noise);
    if (this.#dials.has(accepted.peerId) && this.#options.identity.id < accepted.peerId) {
      frames.link.send([refuseFrame(CROSSED)]);
      this.#awaitAttach(frames);
      return undefined;
    }
    const raced = this.#hellos.get(key);
    if (raced !== undefined) return raced;
    if (this.#byId.has(toHex(accepted.sessionId))) {
      throw new PeerloomError("session/handshake-failed", "That session has begun already.");
    }
    const answered = this.#answer(accepted);
    this.#hellos.set(key, answered);
    if (this.#hellos.size > HELLOS_MAX) this.#hellos.delete(this.#hellos.keys().next().value as string);
    return answered;
  }

  async #answer(accepted: AcceptedHello): Promise<AcceptedHello & { readonly session: PeerSession }> {
    this.#answering.add(accepted);
    try {
      const { answer, keys } = await accepted.finish();
      return { ...accepted, answer, session: this.#newSession({ ...accepted, role: "acceptor", keys }) };
    } finally {
      this.#answering.delete(accepted);
    }
  }

  /** The link of a crossed hello waits for its dialler to attach it to the session that stands. */
  #awaitAttach(frames: FirstFrames): void {
    this.accept(frames.link);
  }

  // --- the register ---

  #newSession(options: {
    readonly peerId: PeerId;
    readonly sessionId: Uint8Array;
    readonly remoteInstance: Uint8Array;
    readonly version: number;
    readonly role: "dialler" | "acceptor";
    readonly keys: PeerSession["keys"];
  }): PeerSession {
    const { runtime, handler, onSignal, onOverlay } = this.#options;
    const session = new PeerSession({
      ...options,
      runtime,
      handler,
      onSignal,
      onOverlay,
      onPathless: (pathless) => {
        this.#boundPathless();
        if (!pathless.closed) this.#options.onPathless(pathless);
      },
      onHolding: () => this.#boundPathless(),
      onProved: (proved) => this.#establish(proved),
      onEnd: (ended) => this.#forget(ended),
    });
    this.#byId.set(toHex(session.sessionId), session);
    return session;
  }

  /** A later session replaces the one from before, which the other side has lost; unless their dials have crossed. */
  #establish(session: PeerSession): void {
    const before = this.#byPeer.get(session.peerId);
    if (before !== undefined && before !== session) {
      const reason = new PeerloomError("session/replaced", `${short(session.peerId)} began a new session.`);
      if (hasCrossed(before, session) && this.#dialledBy(before) < this.#dialledBy(session)) {
        session.end(reason);
        return;
      }
      this.#byPeer.set(session.peerId, session);
      before.end(reason);
    }
    this.#byPeer.set(session.peerId, session);
    this.#options.onSession(session);
    for (const resolve of this.#waiting.get(session.peerId) ?? []) resolve(session);
  }

  #boundPathless(): void {
    const pathless = this.all()
      .filter(({ pathlessSinceMs }) => pathlessSinceMs !== undefined)
      .toSorted((a, b) => (a.pathlessSinceMs ?? 0) - (b.pathlessSinceMs ?? 0));
    const { heldBytesMax = PATHLESS_BYTES_MAX } = this.#options;
    let count = pathless.length;
    let bytes = pathless.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    for (const session of pathless) {
      if (count <= PATHLESS_MAX && bytes <= heldBytesMax) return;
      count -= 1;
      bytes -= session.heldBytes;
      const why = `No path to ${short(session.peerId)}, and too much waits for paths here.`;
      session.end(new PeerloomError("session/lost", why));
    }
  }

  #dialledBy(session: PeerSession): PeerId {
    return session.role === "dialler" ? this.#options.identity.id : session.peerId;
  }

  #forget(session: PeerSession): void {
    this.#byId.delete(toHex(session.sessionId));
    if (this.#byPeer.get(session.peerId) === session) this.#byPeer.delete(session.peerId);
    this.#options.onEnd(session);
  }

  /** That peer's hello was taken and it has not proved itself yet: it is about to, or it was a replay. */
  #isGreetedBy(peerId: PeerId): boolean {
    for (const hello of this.#answering) if (hello.peerId === peerId) return true;
    for (const session of this.#byId.values()) {
      if (session.peerId === peerId && this.#byPeer.get(peerId) !== session) return true;
    }
    return false;
  }

  /** The session with a peer, once there is one. */
  async #waitFor(peerId: PeerId, timeoutMs: number, signal: AbortSignal): Promise<PeerSession> {
    const standing = this.get(peerId);
    if (standing !== undefined) return standing;
    const { clock } = this.#options.runtime;
    const waiting = this.#waiting.get(peerId) ?? new Set();
    this.#waiting.set(peerId, waiting);
    const found = Promise.withResolvers<PeerSession>();
    const late = (): PeerloomError =>
      new PeerloomError("link/timeout", `${short(peerId)} began a session and did not finish it.`);
    waiting.add(found.resolve);
    try {
      return await waitWithin(clock, found.promise, timeoutMs, signal, late);
    } finally {
      waiting.delete(found.resolve);
      if (waiting.size === 0) this.#waiting.delete(peerId);
    }
  }
}

/** Both dialled the same running peer at once. Then both keep the session of the lower id, in whatever order they see them. */
function hasCrossed(before: PeerSession, after: PeerSession): boolean {
  return before.role !== after.role && equalBytes(before.remoteInstance, after.remoteInstance);
}
