/**
 * A session: the authenticated relation to another peer, carried by one or more paths and outliving each. It puts paths, delivery, control
 * and mux together: decides what each frame means, moves to the best path without losing a byte, and says when all is over.
 */
import { type ErrorCode, parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { parseFrame } from "../../shared/frame.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import { type Link, LINK_BUFFER_LOW_BYTES, pathKindOf } from "../links/link.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { BytesByPath, OpenOptions, PathInfo, Session, Stream, StreamHandler } from "./contract.ts";
import type { ControlOperation } from "./control.ts";
import { ControlChannel } from "./control-channel.ts";
import { Delivery } from "./delivery.ts";
import { Mux } from "./mux.ts";
import { type MuxStream, resetCodeOf } from "./mux-stream.ts";
import type { Path } from "./path.ts";
import { Paths, PROVE_TIMEOUT_MS } from "./paths.ts";
import { RESUME_MS, Resumption } from "./resumption.ts";
import type { SessionKeys } from "./seal.ts";
import { PROTOCOL_BYTES_MAX } from "./stream-frames.ts";
import { StripePlan } from "./stripe-plan.ts";

/** `close` waits so long for what was written to arrive. */
const CLOSE_FLUSH_MS = 2_000;

export interface SessionOptions {
  readonly runtime: Runtime;
  readonly peerId: PeerId;
  readonly sessionId: Uint8Array;
  /** Which run of the other peer this is. */
  readonly remoteInstance: Uint8Array;
  /** Of the wire, spoken by both. */
  readonly version: number;
  readonly role: "dialler" | "acceptor";
  readonly keys: SessionKeys;
  handler(protocol: string): StreamHandler | undefined;
  onSignal(session: PeerSession, message: Uint8Array): void;
  onOverlay(session: PeerSession, message: Uint8Array): void;
  /** The other side has proved itself on a first link. */
  onProved(session: PeerSession): void;
  /** No path is left, or a path is wanted where none is; somebody should make one within `RESUME_MS`. */
  onPathless(session: PeerSession): void;
  /** It has no path and holds more than before. */
  onHolding(session: PeerSession): void;
  onEnd(session: PeerSession): void;
}

export class PeerSession extends EventTarget implements Session {
  readonly peerId: PeerId;
  readonly sessionId: Uint8Array;
  readonly remoteInstance: Uint8Array;
  readonly #options: SessionOptions;
  readonly #runtime: Runtime;
  readonly #mux: Mux;
  readonly #paths: Paths;
  readonly #delivery: Delivery;
  readonly #control: ControlChannel;
  readonly #resumption = new Resumption();
  readonly #stripePlan = new StripePlan();
  #whyNotDirect = "direct-pending";
  #proved: boolean;
  #proofTimer: Timer | undefined;
  #ended: PeerloomError | undefined;
  #closing = false;

  constructor(options: SessionOptions) {
    super();
    this.#options = options;
    this.#runtime = options.runtime;
    this.peerId = options.peerId;
    this.sessionId = options.sessionId;
    this.remoteInstance = options.remoteInstance;
    this.#proved = options.role === "dialler";
    const { clock } = options.runtime;
    this.#mux = new Mux({
      role: options.role,
      nowMs: () => clock.monotonicMs(),
      rttMs: () => this.#paths.active?.rttMs ?? 0,
      wake: () => this.#delivery.pumpSoon(),
      onOpen: (stream) => this.#serve(stream),
      onSignal: (message) => options.onSignal(this, message),
      onOverlay: (message) => options.onOverlay(this, message),
    });
    this.#paths = new Paths({
      clock,
      leads: options.role === "dialler",
      receive: (path, frame) => this.#receive(path, frame),
      drained: () => this.#delivery.pump(),
      sendPing: (path, id) => this.#control.send(path, [{ kind: "ping", id }]),
      release: (path) => this.#delivery.release(path),
      note: (event, path, fields) =>
        this.#runtime.log.debug(event, { peer: short(this.peerId), transport: path.link.kind, ...fields }),
      chose: (best, before) => this.#pathChosen(best, before),
      isStriped: () => this.#stripePlan.wanted > 1,
      isBusy: () => !this.#delivery.isIdle || this.#mux.isInUse,
      isLimited: () => this.#delivery.isLimited,
      watched: (nowMs, stoodStillMs) => {
        if (this.pathlessSinceMs !== undefined) this.#outlive(nowMs, stoodStillMs);
        this.#delivery.resend(nowMs);
        this.#planStripes(nowMs);
      },
    });
    this.#control = new ControlChannel({
      keys: options.keys,
      received: (path, operations) => this.#operate(path, operations),
      failed: (path, error) => this.#blame(path, error),
    });
    this.#delivery = new Delivery({
      clock,
      version: options.version,
      keys: options.keys,
      mux: this.#mux,
      paths: this.#paths,
      control: this.#control,
      blame: (path, error) => this.#blame(path, error),
      failed: (error) => this.end(toPeerloomError(error, "session/closed", "Sealing failed.")),
    });
    // A host that can be closed all at once tells of it.
    if (options.runtime.lifecycle !== undefined)
      this.#control.prepareFarewell("session/closed").catch(() => {});
    if (!this.#proved) {
      // Its first link may die before the proof arrives; the dialler then comes with another.
      this.#proofTimer = clock.setTimer(2 * PROVE_TIMEOUT_MS, () => {
        this.end(new PeerloomError("session/lost", "The other side never proved itself."));
      });
    }
  }

  /** `close` has been called: nothing new is begun on it. */
  get closing(): boolean {
    return this.#closing || this.#ended !== undefined;
  }

  get closed(): boolean {
    return this.#ended !== undefined;
  }

  /** Who began it: leads where both could act. */
  get role(): "dialler" | "acceptor" {
    return this.#options.role;
  }

  get bytesReceived(): BytesByPath {
    return this.#delivery.receivedBytes;
  }

  get path(): PathInfo {
    const path = this.#paths.active;
    if (path === undefined) {
      return { kind: "none", transport: "none", why: "lost", rttMs: undefined, description: "" };
    }
    const kind = pathKindOf(path.link.kind);
    return {
      kind,
      transport: path.link.kind,
      why: kind !== "direct" ? this.#whyNotDirect : path.link.isTurned === true ? "turn" : "direct",
      rttMs: path.rttMs,
      description: path.link.description,
    };
  }

  /** Monotonic time when it lost its last path, later by what this side has slept since; undefined while it has one. */
  get pathlessSinceMs(): number | undefined {
    return this.#resumption.pathlessSinceMs;
  }

  /** Without any path for `AWAY_MS`. */
  get isAway(): boolean {
    return this.#resumption.isAway;
  }

  /** Memory of what is under way, or waits to be sent or read. */
  get heldBytes(): number {
    return this.#delivery.heldBytes + this.#mux.heldBytes;
  }

  /** IP address of the other end on the path that carries the session, where its transport tells. */
  get remoteHost(): string | undefined {
    return this.#paths.active?.link.remoteHost;
  }

  /** The transports of all usable paths, best first; for those who decide whether another link is worth making. */
  get transports(): readonly Link["kind"][] {
    return this.#paths.transports;
  }

  /** Connections that bulk should be spread over; "stripes" is dispatched when that changes. */
  get stripesWanted(): number {
    return this.#stripePlan.wanted;
  }

  /** Connections that bulk is spread over. */
  get stripes(): number {
    return this.#paths.carriers.length;
  }

  /** Whether a link is one of its paths. */
  carriesOver(link: Link): boolean {
    return this.#paths.has(link);
  }

  /** A link is not needed any more. */
  release(link: Link): void {
    this.#paths.dropLink(link);
  }

  /** Why the session is not direct, from those who tried. */
  explain(why: string): void {
    if (this.#whyNotDirect === why) return;
    this.#whyNotDirect = why;
    if (this.path.kind !== "direct") this.#announcePath();
  }

  async open(protocol: string, { signal, priority = "normal" }: OpenOptions = {}): Promise<Stream> {
    signal?.throwIfAborted();
    if (this.#ended !== undefined) {
      throw new PeerloomError(
        "session/closed",
        `The session with ${short(this.peerId)} is over. Connect again.`,
        {
          cause: this.#ended,
        },
      );
    }
    if (protocol.length === 0 || protocol.length > PROTOCOL_BYTES_MAX || !/^[\x21-\x7e]+$/.test(protocol)) {
      throw new PeerloomError(
        "usage/invalid",
        'A protocol name is 1 to 128 printable ASCII characters, as in "echo/1".',
      );
    }
    const stream = this.#mux.open(protocol, priority);
    if (this.pathlessSinceMs !== undefined) this.#options.onPathless(this);
    if (signal !== undefined) {
      const reset = (): void => stream.reset("aborted");
      signal.addEventListener("abort", reset, { once: true });
      // One signal may be given to many streams, and would keep them all.
      void stream.closed.then(() => signal.removeEventListener("abort", reset));
    }
    return stream;
  }

  /** Sends a message to the layer that makes links on the other side. */
  sendSignal(message: Uint8Array): void {
    if (this.#ended === undefined) this.#mux.sendSignal(message);
  }

  /** Sends a message of the overlay; it may be dropped when the session is slow. */
  sendOverlay(message: Uint8Array): void {
    if (this.#ended === undefined) this.#mux.sendOverlay(message);
  }

  /** Streams open, either side's. */
  get streamCount(): number {
    return this.#mux.streamCount;
  }

  async close(code: ErrorCode = "session/closed"): Promise<void> {
    if (this.closing) return;
    this.#closing = true;
    if (this.#paths.active !== undefined && !this.#delivery.isIdle)
      await this.#delivery.flush(CLOSE_FLUSH_MS);
    if (this.#paths.active !== undefined) this.#control.send(this.#paths.active, [{ kind: "bye", code }]);
    await this.#control.sent;
    this.end(new PeerloomError(code, `The session with ${short(this.peerId)} was closed here.`));
  }

  /** Ends it because the program is closed, and there is no time: the other side is told if that can be done at once. */
  leave(): void {
    if (this.#paths.active !== undefined) this.#control.farewell(this.#paths.active);
    this.end(new PeerloomError("session/closed", "This program was closed."));
  }

  /** Ends the session at once; streams see `error`. */
  end(error: PeerloomError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#proofTimer?.cancel();
    this.#control.close();
    this.#delivery.close();
    this.#mux.fail(error);
    this.#paths.close();
    this.#options.onEnd(this);
    this.dispatchEvent(new CustomEvent("close", { detail: error.code }));
  }

  // --- links ---

  /**
   * Takes over a link. `proving`: it carries nothing of ours until the other end has proved itself on it.
   * @param linkNonce the acceptor's nonce for this link
   */
  addPath(link: Link, state: "proving" | "usable", linkNonce: Uint8Array): void {
    const path = this.#paths.add(link, state, linkNonce);
    if (path === undefined) return;
    if (state === "usable") {
      const id = path.startPing(this.#runtime.clock.monotonicMs());
      this.#control.send(path, [
        { kind: "prove", linkNonce, binding: link.binding },
        { kind: "ping", id },
      ]);
      this.#paths.choose();
    }
    this.#paths.watch();
  }

  /** Something speaks against its links: whether they still live is found out at once. @param slept this side was asleep */
  check({ slept = false }: { readonly slept?: boolean } = {}): void {
    this.#paths.check(slept);
  }

  /** Gives up every link and keeps the session, which goes on where it was when there is another within `RESUME_MS`. */
  park(): void {
    this.#paths.dropAll(new PeerloomError("link/closed", "This side was put away."));
  }

  /** Numbers an `attach` or `attached` frame. */
  nextControlCounter(): number {
    return this.#control.nextCounter();
  }

  get keys(): SessionKeys {
    return this.#options.keys;
  }

  /** Every data frame below has arrived here. */
  get receivedBelow(): number {
    return this.#delivery.receivedBelow;
  }

  /** The other side said so while a link was attached. */
  acknowledgedBelow(next: number): void {
    if (!this.#delivery.acknowledged(next)) {
      this.end(
        new PeerloomError("session/protocol-violation", "The other side acknowledged what was never sent."),
      );
    }
  }

  /** Goes on over the best path there is, and tells when that is another one. */
  #pathChosen(best: Path | undefined, before: Path | undefined): void {
    if (best !== before) {
      const [from, to] = [before?.link.kind, best?.link.kind];
      this.#runtime.log.debug("path moved", { peer: short(this.peerId), from, to });
      // From the stopgap to the relay that it stood in for: nothing that anybody is told has changed.
      if (before?.link.isStopgap !== true || best?.link.kind !== before.link.kind) this.#announcePath();
      if (best !== undefined) this.#delivery.acknowledgeAgain();
    }
    if (best === undefined) {
      const nowMs = this.#runtime.clock.monotonicMs();
      if (this.#proved && this.#resumption.pathLost(nowMs, this.heldBytes)) this.#options.onPathless(this);
      this.#paths.watch();
      return;
    }
    this.#resumption.pathFound();
    this.#delivery.pumpSoon();
  }

  #announcePath(): void {
    this.dispatchEvent(new CustomEvent("path", { detail: this.path }));
  }

  #receive(path: Path, bytes: Uint8Array): void {
    try {
      const frame = parseFrame(bytes);
      if (frame.type === "data") this.#delivery.receive(path, frame);
      else if (frame.type === "control") this.#control.receive(path, frame);
      else if (frame.type !== "welcome")
        throw new PeerloomError("wire/malformed", `A ${frame.type} frame comes first only.`);
    } catch (error) {
      this.#blame(path, error);
    }
  }

  /** A link that carries what cannot be from the other side is cut; the session goes on elsewhere. */
  #blame(path: Path, error: unknown): void {
    const reason = toPeerloomError(
      error,
      "wire/malformed",
      "The link carried what the other side cannot have sent.",
    );
    if (reason.code === "session/over-credit" || reason.code === "session/protocol-violation") {
      // Sealed by the other side itself: it is the peer that is at fault, and no other link would help.
      if (this.#paths.active !== undefined)
        this.#control.send(this.#paths.active, [{ kind: "bye", code: reason.code }]);
      this.end(reason);
      return;
    }
    this.#runtime.log.warn("bad frame", {
      peer: short(this.peerId),
      transport: path.link.kind,
      code: reason.code,
    });
    this.#paths.drop(path, reason);
  }

  #operate(path: Path, operations: readonly ControlOperation[]): void {
    const nowMs = this.#runtime.clock.monotonicMs();
    path.heard(nowMs);
    for (const operation of operations) this.#perform(path, operation, nowMs);
  }

  #perform(path: Path, operation: ControlOperation, nowMs: number): void {
    switch (operation.kind) {
      case "ack":
        this.acknowledgedBelow(operation.next);
        this.#paths.choose();
        return;
      case "taken":
        this.#delivery.taken(path, operation.frames);
        return;
      case "ping":
        // Who asks without taking answers gets none; an honest side asks once a second.
        if (path.link.bufferedBytes < LINK_BUFFER_LOW_BYTES)
          this.#control.send(path, [{ kind: "pong", id: operation.id }]);
        return;
      case "pong":
        this.#paths.answered(path, operation.id, nowMs);
        return;
      case "prove":
        this.#prove(path, operation.linkNonce, operation.binding, nowMs);
        return;
      case "bye": {
        const code = parseErrorCode(operation.code, "session/closed");
        this.end(new PeerloomError(code, `${short(this.peerId)} ended the session: ${code}.`));
        return;
      }
    }
  }

  #prove(path: Path, linkNonce: Uint8Array, binding: Uint8Array, nowMs: number): void {
    if (path.state !== "proving") return;
    path.prove(linkNonce, binding);
    this.#control.send(path, [{ kind: "ping", id: path.startPing(nowMs) }]);
    if (!this.#proved) {
      this.#proved = true;
      this.#proofTimer?.cancel();
      this.#options.onProved(this);
    }
    this.#paths.choose();
  }

  #serve(stream: MuxStream): void {
    const handler = this.#options.handler(stream.protocol);
    if (handler === undefined) {
      stream.reset("stream/no-handler");
      return;
    }
    const served = (async () => handler(stream, this))();
    served.catch((error: unknown) => {
      this.#runtime.log.debug("handler failed", { protocol: stream.protocol, error: String(error) });
      stream.reset(resetCodeOf(error));
    });
  }

  #planStripes(nowMs: number): void {
    if (!this.#delivery.isSpreadable) return;
    const active = this.#paths.active;
    const before = this.#stripePlan.wanted;
    const wanted = this.#stripePlan.step({
      nowMs,
      landedBytes: this.#delivery.landedBytes,
      isLimited: this.#delivery.isLimited,
      stripes: this.stripes,
      rttMs: active?.link.kind === "webrtc" ? active.rttMsMin : undefined,
    });
    if (wanted !== before) {
      this.#runtime.log.debug("stripes", { peer: short(this.peerId), wanted, before });
      this.dispatchEvent(new CustomEvent("stripes", { detail: wanted }));
    }
  }

  /** Without any path it ends when nobody has made one in time. */
  #outlive(nowMs: number, stoodStillMs: number): void {
    const news = this.#resumption.step(nowMs, stoodStillMs);
    if (news === "lost") {
      this.end(
        new PeerloomError("session/lost", `No path to ${short(this.peerId)} for ${RESUME_MS / 1000} s.`),
      );
      return;
    }
    if (news === "away") this.dispatchEvent(new Event("away"));
    if (this.#resumption.holds(this.heldBytes)) this.#options.onHolding(this);
  }
}
