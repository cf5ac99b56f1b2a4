/**
 * A session: the authenticated relation to another peer, carried by one or more paths and outliving each. It puts the
 * outbox, the inbox and the mux together, watches its paths, and moves to the best one without losing a byte.
 */
import { equalBytes } from "../../shared/bytes.ts";
import { type ErrorCode, parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { FRAME, frameHeader, parseFrame, type SealedFrame } from "../../shared/frame.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import { type Link, LINK_BUFFER_LOW_BYTES, pathKindOf } from "../links/link.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { AckSchedule } from "./ack-schedule.ts";
import type { BytesByPath, OpenOptions, PathInfo, Session, Stream, StreamHandler } from "./contract.ts";
import { type ControlOperation, decodeControl, encodeControl } from "./control.ts";
import { Inbox, type Received } from "./inbox.ts";
import { Mux } from "./mux.ts";
import { type MuxStream, resetCodeOf } from "./mux-stream.ts";
import { Outbox } from "./outbox.ts";
import type { Path } from "./path.ts";
import { Paths, PROVE_TIMEOUT_MS } from "./paths.ts";
import { nonceOf, type SessionKeys } from "./seal.ts";
import { PROTOCOL_BYTES_MAX } from "./stream-frames.ts";
import { StripePlan } from "./stripe-plan.ts";

/**
 * A session without any path lives on for this long, not counting what this side has slept: longer than people close a laptop between two
 * rooms, and about as long as Linux lets TCP wait for an answer (`tcp_retries2`, 924 s).
 */
export const RESUME_MS = 900_000;
/** Without any path for so long, the other side is asleep, cut off or dead: "away" is dispatched, and it is dialled rarely. */
export const AWAY_MS = 60_000;
/** A frame unacknowledged for so long on a living path is sent again. */
const STALL_MS = 5_000;
const STALL_ROUND_TRIPS = 8;
/** `close` waits so long for what was written to arrive. */
const CLOSE_FLUSH_MS = 2_000;
/** Bytes under way from which on writes are gathered for a turn of the event loop. */
const COMPANY_BYTES: number = 64 * 1024;

/** The first wire version that knows `taken`, without which bulk is not spread over several links. */
const TAKEN_VERSION = 2;

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
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #acks: AckSchedule;
  readonly #paths: Paths;
  readonly #stripePlan = new StripePlan();
  readonly #received = { direct: 0, relay: 0, overlay: 0 };
  #whyNotDirect = "direct-pending";
  #controlCounter = 0;
  #controlSent: Promise<void> | undefined;
  #pumpPlanned = false;
  #pathlessSinceMs: number | undefined;
  #isAway = false;
  /** Told last to `onHolding`. */
  #toldHeldBytes = 0;
  #proved: boolean;
  #proofTimer: Timer | undefined;
  #ended: PeerloomError | undefined;
  #closing = false;
  #drained: (() => void) | undefined;

  constructor(options: SessionOptions) {
    super();
    this.#options = options;
    this.#runtime = options.runtime;
    this.peerId = options.peerId;
    this.sessionId = options.sessionId;
    this.remoteInstance = options.remoteInstance;
    this.#proved = options.role === "dialler";
    const nowMs = (): number => this.#runtime.clock.monotonicMs();
    this.#mux = new Mux({
      role: options.role,
      nowMs,
      rttMs: () => this.#paths.active?.rttMs ?? 0,
      wake: () => this.#planPump(),
      onOpen: (stream) => this.#serve(stream),
      onSignal: (message) => options.onSignal(this, message),
      onOverlay: (message) => options.onOverlay(this, message),
    });
    this.#outbox = new Outbox({
      key: options.keys.sendData,
      nowMs,
      take: (bytesMax, urgentOnly) => this.#mux.take(bytesMax, urgentOnly),
      wake: () => this.#planPump(),
      failed: (error) => this.end(toPeerloomError(error, "session/closed", "Sealing failed.")),
    });
    this.#inbox = new Inbox({
      key: options.keys.receiveData,
      deliver: (plaintext) => this.#mux.receive(plaintext),
    });
    this.#acks = new AckSchedule(this.#runtime.clock, () => this.#acknowledge());
    this.#paths = new Paths({
      clock: this.#runtime.clock,
      leads: options.role === "dialler",
      receive: (path, frame) => this.#receive(path, frame),
      drained: () => this.#pump(),
      sendPing: (path, id) => this.#sendControl(path, [{ kind: "ping", id }]),
      release: (path) => this.#outbox.release(path),
      note: (event, path, fields) =>
        this.#runtime.log.debug(event, { peer: short(this.peerId), transport: path.link.kind, ...fields }),
      chose: (best, before) => this.#pathChosen(best, before),
      isStriped: () => this.#stripePlan.wanted > 1,
      isBusy: () => !this.#idle || this.#mux.streamCount > 0,
      watched: (nowMs, stoodStillMs) => {
        if (this.#pathlessSinceMs !== undefined) this.#outlive(nowMs, stoodStillMs);
        this.#resend(nowMs);
        this.#planStripes(nowMs);
      },
    });
    if (!this.#proved) {
      // Its first link may die before the proof arrives; the dialler then comes with another.
      this.#proofTimer = this.#runtime.clock.setTimer(2 * PROVE_TIMEOUT_MS, () => {
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
    return { ...this.#received };
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
      why: kind === "direct" ? "direct" : this.#whyNotDirect,
      rttMs: path.rttMs,
      description: path.link.description,
    };
  }

  /** Monotonic time when it lost its last path, later by what this side has slept since; undefined while it has one. */
  get pathlessSinceMs(): number | undefined {
    return this.#pathlessSinceMs;
  }

  /** Without any path for `AWAY_MS`. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** Memory of what is under way, or waits to be sent or read. */
  get heldBytes(): number {
    return this.#outbox.bytes + this.#inbox.aheadBytes + this.#mux.heldBytes;
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
    if (this.#pathlessSinceMs !== undefined) this.#options.onPathless(this);
    signal?.addEventListener("abort", () => stream.reset("aborted"), { once: true });
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
    if (this.#paths.active !== undefined && !this.#idle) await this.#flush();
    if (this.#paths.active !== undefined) this.#sendControl(this.#paths.active, [{ kind: "bye", code }]);
    await this.#controlSent;
    this.end(new PeerloomError(code, `The session with ${short(this.peerId)} was closed here.`));
  }

  /** Ends the session at once; streams see `error`. */
  end(error: PeerloomError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#acks.stop();
    this.#proofTimer?.cancel();
    this.#mux.fail(error);
    this.#outbox.clear();
    this.#inbox.clear();
    this.#paths.close();
    this.#drained?.();
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
      this.#sendControl(path, [
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
    return this.#controlCounter++;
  }

  get keys(): SessionKeys {
    return this.#options.keys;
  }

  /** Every data frame below has arrived here. */
  get receivedBelow(): number {
    return this.#inbox.next;
  }

  /** The other side said so while a link was attached. */
  acknowledgedBelow(next: number): void {
    if (!this.#outbox.acknowledge(next)) {
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
      // The last acknowledgement may have died with the path before, and a full window sends nothing to acknowledge.
      if (best !== undefined && this.#inbox.next > 0) this.#acks.now();
    }
    if (best === undefined) {
      if (this.#pathlessSinceMs === undefined && this.#proved) {
        this.#pathlessSinceMs = this.#runtime.clock.monotonicMs();
        this.#toldHeldBytes = this.heldBytes;
        this.#options.onPathless(this);
      }
      this.#paths.watch();
      return;
    }
    this.#pathlessSinceMs = undefined;
    this.#isAway = false;
    this.#planPump();
  }

  #announcePath(): void {
    this.dispatchEvent(new CustomEvent("path", { detail: this.path }));
  }

  // --- receiving ---

  #receive(path: Path, bytes: Uint8Array): void {
    try {
      const frame = parseFrame(bytes);
      if (frame.type === "data") this.#receiveData(path, frame);
      else if (frame.type === "control") this.#receiveControl(path, frame);
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
        this.#sendControl(this.#paths.active, [{ kind: "bye", code: reason.code }]);
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

  #receiveData(path: Path, frame: SealedFrame): void {
    const bytes = frame.sealed.length;
    path.arrivedFrames += 1;
    const received = this.#inbox.receive(frame);
    if (!(received instanceof Promise)) {
      this.#dataReceived(path, bytes, received);
      return;
    }
    received
      .then((outcome) => this.#dataReceived(path, bytes, outcome))
      .catch((error: unknown) => this.#blame(path, error));
  }

  #dataReceived(path: Path, bytes: number, received: Received): void {
    if (this.#ended !== undefined) return;
    if (received === "forged")
      throw new PeerloomError("wire/malformed", "A data frame was not sealed by the other side.");
    if (received === "refused") return;
    path.heard(this.#runtime.clock.monotonicMs());
    if (received === "accepted") {
      this.#received[pathKindOf(path.link.kind)] += bytes;
      this.#acks.received(bytes);
    } else {
      this.#acks.now();
    }
    this.#paths.watchClosely();
  }

  #receiveControl(path: Path, frame: SealedFrame): void {
    const opened = this.#options.keys.receiveControl.open(nonceOf(frame.counter), frame.header, frame.sealed);
    if (!(opened instanceof Promise)) {
      this.#controlReceived(path, opened);
      return;
    }
    opened
      .then((plaintext) => this.#controlReceived(path, plaintext))
      .catch((error: unknown) => this.#blame(path, error));
  }

  #controlReceived(path: Path, plaintext: Uint8Array | undefined): void {
    if (this.#ended !== undefined || path.state === "dead") return;
    if (plaintext === undefined)
      throw new PeerloomError("wire/malformed", "A control frame was not sealed by the other side.");
    const nowMs = this.#runtime.clock.monotonicMs();
    path.heard(nowMs);
    for (const operation of decodeControl(plaintext)) this.#operate(path, operation, nowMs);
  }

  #operate(path: Path, operation: ControlOperation, nowMs: number): void {
    switch (operation.kind) {
      case "ack":
        this.acknowledgedBelow(operation.next);
        if (this.#idle) this.#drained?.();
        this.#paths.choose();
        return;
      case "taken":
        this.#outbox.landBelow(path, operation.frames);
        this.#planPump();
        return;
      case "ping":
        // Who asks without taking answers gets none; an honest side asks once a second.
        if (path.link.bufferedBytes < LINK_BUFFER_LOW_BYTES)
          this.#sendControl(path, [{ kind: "pong", id: operation.id }]);
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
    if (!equalBytes(linkNonce, path.linkNonce))
      throw new PeerloomError("wire/malformed", "A proof for another link.");
    if (!equalBytes(binding, path.link.binding)) {
      throw new PeerloomError(
        "session/handshake-failed",
        "Somebody sits in the middle of this link: its certificates differ.",
      );
    }
    path.state = "usable";
    path.proofTimer?.cancel();
    this.#sendControl(path, [{ kind: "ping", id: path.startPing(nowMs) }]);
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

  // --- sending ---

  get #idle(): boolean {
    return this.#outbox.isEmpty && !this.#mux.hasOutput;
  }

  async #flush(): Promise<void> {
    const { clock } = this.#runtime;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(CLOSE_FLUSH_MS, resolve);
      this.#drained = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#drained = undefined;
  }

  /** Small writes go out at once; while much is under way the next ones wait for company in larger frames. */
  #planPump(): void {
    if (this.#pumpPlanned || this.#ended !== undefined) return;
    this.#pumpPlanned = true;
    const run = (): void => {
      this.#pumpPlanned = false;
      this.#pump();
    };
    if (this.#outbox.bytes < COMPANY_BYTES) queueMicrotask(run);
    else this.#runtime.clock.defer(run);
  }

  #pump(): void {
    const { active, carriers } = this.#paths;
    if (this.#ended !== undefined || active === undefined) return;
    this.#outbox.pump(this.#options.version < TAKEN_VERSION ? [active] : carriers);
    this.#acks.ride();
    this.#paths.watchClosely();
  }

  #acknowledge(): void {
    const ack: ControlOperation = { kind: "ack", next: this.#inbox.next };
    const { active, any, untold } = this.#paths;
    const isStriped =
      this.#options.version >= TAKEN_VERSION &&
      (this.#inbox.hasGap || untold.some((path) => path !== active));
    if (!isStriped || untold.length === 0) {
      if (any !== undefined && any.state !== "proving") this.#sendControl(any, [ack]);
      return;
    }
    // One link that is behind must not close the windows of the others.
    for (const path of untold) {
      path.toldFrames = path.arrivedFrames;
      this.#sendControl(path, [ack, { kind: "taken", frames: path.arrivedFrames }]);
    }
  }

  #sendControl(path: Path, operations: readonly ControlOperation[]): void {
    const counter = this.#controlCounter++;
    const header = frameHeader(FRAME.control, counter);
    const sealed = this.#options.keys.sendControl.seal(nonceOf(counter), header, [encodeControl(operations)]);
    if (!(sealed instanceof Promise)) {
      path.link.send([header, ...sealed]);
      return;
    }
    // Kept in order: a proof must not be overtaken.
    const before = this.#controlSent;
    this.#controlSent = sealed
      .then(async (parts) => {
        await before;
        path.link.send([header, ...parts]);
      })
      .catch((error: unknown) => this.#blame(path, error));
  }

  #planStripes(nowMs: number): void {
    if (this.#options.version < TAKEN_VERSION) return;
    const active = this.#paths.active;
    const before = this.#stripePlan.wanted;
    const wanted = this.#stripePlan.step({
      nowMs,
      landedBytes: this.#outbox.landedBytes,
      isLimited: this.#mux.hasOutput,
      stripes: this.stripes,
      rttMs: active?.link.kind === "webrtc" ? active.rttMsMin : undefined,
    });
    if (wanted !== before) {
      this.#runtime.log.debug("stripes", { peer: short(this.peerId), wanted, before });
      this.dispatchEvent(new CustomEvent("stripes", { detail: wanted }));
    }
  }

  /** Without any path it ends when nobody has made one in time. This side's own sleep is not the other's silence. */
  #outlive(nowMs: number, stoodStillMs: number): void {
    const sinceMs = Math.min((this.#pathlessSinceMs ?? nowMs) + stoodStillMs, nowMs);
    this.#pathlessSinceMs = sinceMs;
    if (nowMs - sinceMs > RESUME_MS) {
      this.end(
        new PeerloomError("session/lost", `No path to ${short(this.peerId)} for ${RESUME_MS / 1000} s.`),
      );
      return;
    }
    if (nowMs - sinceMs > AWAY_MS && !this.#isAway) {
      this.#isAway = true;
      this.dispatchEvent(new Event("away"));
    }
    const heldBytes = this.heldBytes;
    if (heldBytes <= this.#toldHeldBytes) return;
    this.#toldHeldBytes = heldBytes;
    this.#options.onHolding(this);
  }

  /** What a living path has lost is sent again. */
  #resend(nowMs: number): void {
    const stallMs = Math.max(STALL_MS, STALL_ROUND_TRIPS * (this.#paths.active?.rttMs ?? 0));
    this.#outbox.releaseOlderThan(nowMs - stallMs);
  }
}
