/**
 * A session: the authenticated relation to another peer, carried by one or more paths and outliving each. It puts the
 * outbox, the inbox and the mux together, watches its paths, and moves to the best one without losing a byte.
 */
import { equalBytes } from "../../shared/bytes.ts";
import { type ErrorCode, parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { DATA_BYTES_MAX, FRAME, frameHeader, parseFrame, type SealedFrame } from "../../shared/frame.ts";
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
import { Path, pickPath } from "./path.ts";
import { nonceOf, type SessionKeys } from "./seal.ts";
import { PROTOCOL_BYTES_MAX } from "./stream-frames.ts";

/** A session without any path lives on for this long. */
export const RESUME_MS = 60_000;
/** The other end must prove itself on a link by then. */
const PROVE_TIMEOUT_MS = 10_000;
const TICK_BUSY_MS = 100;
const TICK_IDLE_MS = 5_000;
/** A tick this late means that we stood still, not the other side. */
const TICK_LATE_MS = 400;
/** A frame unacknowledged for so long on a living path is sent again. */
const STALL_MS = 5_000;
const STALL_ROUND_TRIPS = 8;
/** `close` waits so long for what was written to arrive. */
const CLOSE_FLUSH_MS = 2_000;
/** Bytes under way from which on writes are gathered for a turn of the event loop. */
const COMPANY_BYTES: number = 64 * 1024;
/** Links of one session; more is a mistake or an attack. */
const PATHS_MAX = 8;

export interface SessionOptions {
  readonly runtime: Runtime;
  readonly peerId: PeerId;
  readonly sessionId: Uint8Array;
  /** Which run of the other peer this is. */
  readonly remoteInstance: Uint8Array;
  readonly role: "dialler" | "acceptor";
  readonly keys: SessionKeys;
  handler(protocol: string): StreamHandler | undefined;
  onSignal(session: PeerSession, message: Uint8Array): void;
  onOverlay(session: PeerSession, message: Uint8Array): void;
  /** The other side has proved itself on a first link. */
  onProved(session: PeerSession): void;
  /** No path is left; somebody should make one within `RESUME_MS`. */
  onPathless(session: PeerSession): void;
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
  readonly #paths: Path[] = [];
  readonly #received = { direct: 0, relay: 0, overlay: 0 };
  #active: Path | undefined;
  #whyNotDirect = "direct-pending";
  #controlCounter = 0;
  #controlSent: Promise<void> | undefined;
  #pumpPlanned = false;
  #tick: { readonly timer: Timer; readonly dueAtMs: number; readonly busy: boolean } | undefined;
  #pathlessSinceMs: number | undefined;
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
      rttMs: () => this.#active?.rttMs ?? 0,
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
    const path = this.#active;
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

  /** The transports of all usable paths, best first; for those who decide whether another link is worth making. */
  get transports(): readonly Link["kind"][] {
    return this.#paths
      .filter((path) => path.state === "usable")
      .toSorted((a, b) => a.rank - b.rank)
      .map((path) => path.link.kind);
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
    if (this.#active !== undefined && !this.#idle) await this.#flush();
    if (this.#active !== undefined) this.#sendControl(this.#active, [{ kind: "bye", code }]);
    await this.#controlSent;
    this.end(new PeerloomError(code, `The session with ${short(this.peerId)} was closed here.`));
  }

  /** Ends the session at once; streams see `error`. */
  end(error: PeerloomError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#acks.stop();
    this.#proofTimer?.cancel();
    this.#tick?.timer.cancel();
    this.#tick = undefined;
    this.#mux.fail(error);
    this.#outbox.clear();
    this.#inbox.clear();
    for (const path of this.#paths.splice(0)) this.#closeLink(path, "close");
    this.#active = undefined;
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
    if (this.#paths.length >= PATHS_MAX) {
      // Attachments can be replayed, proofs cannot: who has not proved himself makes room.
      const unproved = this.#paths.find((path) => path.state === "proving");
      if (unproved !== undefined) this.#dropPath(unproved, new PeerloomError("link/too-many", "Made room."));
    }
    if (this.#ended !== undefined || this.#paths.length >= PATHS_MAX) {
      link.close();
      return;
    }
    const nowMs = this.#runtime.clock.monotonicMs();
    const path = new Path({ link, state, linkNonce, plaintextBytesMax: DATA_BYTES_MAX, nowMs });
    this.#paths.push(path);
    link.onFrame = (frame) => this.#receive(path, frame);
    link.onDrain = () => this.#pump();
    link.onClose = (error) => this.#dropPath(path, error);
    if (state === "proving") {
      path.expectAnswer(nowMs);
      path.proofTimer = this.#runtime.clock.setTimer(PROVE_TIMEOUT_MS, () => {
        if (path.state === "proving")
          this.#dropPath(path, new PeerloomError("link/timeout", "No proof came."));
      });
    } else {
      const id = path.startPing(nowMs);
      this.#sendControl(path, [
        { kind: "prove", linkNonce, binding: link.binding },
        { kind: "ping", id },
      ]);
      this.#choosePath();
    }
    this.#planTick();
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

  #dropPath(path: Path, error: PeerloomError | undefined): void {
    const index = this.#paths.indexOf(path);
    if (index < 0) return;
    this.#paths.splice(index, 1);
    path.state = "dead";
    this.#closeLink(path, error === undefined ? "close" : "destroy");
    this.#runtime.log.debug("path lost", {
      peer: short(this.peerId),
      transport: path.link.kind,
      code: error?.code,
    });
    this.#outbox.release(path);
    this.#choosePath();
  }

  #closeLink(path: Path, how: "close" | "destroy"): void {
    path.proofTimer?.cancel();
    path.link.onFrame = () => {};
    path.link.onDrain = () => {};
    path.link.onClose = () => {};
    path.link[how]();
  }

  /** Moves to the best path there is, and tells. */
  #choosePath(): void {
    if (this.#ended !== undefined) return;
    const best = pickPath(this.#paths);
    if (best !== this.#active) {
      const from = this.#active?.link.kind;
      this.#active = best;
      this.#runtime.log.debug("path moved", { peer: short(this.peerId), from, to: best?.link.kind });
      this.#announcePath();
      // The last acknowledgement may have died with the path before, and a full window sends nothing to acknowledge.
      if (best !== undefined && this.#inbox.next > 0) this.#acks.now();
    }
    if (best === undefined) {
      if (this.#pathlessSinceMs === undefined && this.#proved) {
        this.#pathlessSinceMs = this.#runtime.clock.monotonicMs();
        this.#options.onPathless(this);
      }
      this.#planTick();
      return;
    }
    this.#pathlessSinceMs = undefined;
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
      if (this.#active !== undefined) this.#sendControl(this.#active, [{ kind: "bye", code: reason.code }]);
      this.end(reason);
      return;
    }
    this.#runtime.log.warn("bad frame", {
      peer: short(this.peerId),
      transport: path.link.kind,
      code: reason.code,
    });
    this.#dropPath(path, reason);
  }

  #receiveData(path: Path, frame: SealedFrame): void {
    const bytes = frame.sealed.length;
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
    if (this.#tick?.busy !== true) this.#planTick();
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
        this.#choosePath();
        return;
      case "ping":
        // Who asks without taking answers gets none; an honest side asks once a second.
        if (path.link.bufferedBytes < LINK_BUFFER_LOW_BYTES)
          this.#sendControl(path, [{ kind: "pong", id: operation.id }]);
        return;
      case "pong":
        path.pong(operation.id, nowMs);
        this.#choosePath();
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
    this.#choosePath();
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
    if (this.#ended !== undefined || this.#active === undefined) return;
    this.#outbox.pump(this.#active);
    if (this.#tick?.busy !== true) this.#planTick();
  }

  #acknowledge(): void {
    const path = this.#active ?? this.#paths[0];
    if (path !== undefined && path.state !== "proving")
      this.#sendControl(path, [{ kind: "ack", next: this.#inbox.next }]);
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

  // --- watching ---

  #planTick(): void {
    if (this.#ended !== undefined) return;
    const busy = !this.#idle || this.#mux.streamCount > 0 || this.#active === undefined;
    if (this.#tick !== undefined) {
      if (this.#tick.busy || !busy) return;
      this.#tick.timer.cancel();
    }
    const delayMs = busy ? TICK_BUSY_MS : TICK_IDLE_MS;
    const timer = this.#runtime.clock.setTimer(delayMs, () => this.#onTick());
    this.#tick = { timer, busy, dueAtMs: this.#runtime.clock.monotonicMs() + delayMs };
  }

  #onTick(): void {
    const nowMs = this.#runtime.clock.monotonicMs();
    const tick = this.#tick;
    this.#tick = undefined;
    if (tick === undefined || this.#ended !== undefined) return;
    if (nowMs - tick.dueAtMs > TICK_LATE_MS) for (const path of this.#paths) path.forgive(nowMs);
    for (const path of [...this.#paths]) this.#watch(path, nowMs, tick.busy);
    if (this.#pathlessSinceMs !== undefined && nowMs - this.#pathlessSinceMs > RESUME_MS) {
      this.end(
        new PeerloomError("session/lost", `No path to ${short(this.peerId)} for ${RESUME_MS / 1000} s.`),
      );
      return;
    }
    const stallMs = Math.max(STALL_MS, STALL_ROUND_TRIPS * (this.#active?.rttMs ?? 0));
    this.#outbox.releaseOlderThan(nowMs - stallMs);
    this.#choosePath();
    this.#planTick();
  }

  #watch(path: Path, nowMs: number, busy: boolean): void {
    if (path.state === "proving" || path.state === "dead") return;
    const judgement = path.judge(nowMs);
    if (judgement === "dead") {
      this.#dropPath(path, new PeerloomError("link/timeout", "The path has gone silent."));
      return;
    }
    if (judgement === "suspect" && path.state === "usable") {
      path.state = "suspect";
      if (this.#paths.some((other) => other.state === "usable")) this.#outbox.release(path);
    }
    // A spare path through the edge is left asleep; its own keep-alive does not wake the relay.
    if (path !== this.#active && pathKindOf(path.link.kind) !== "direct") return;
    const id = path.pingDue(nowMs, busy && path === this.#active);
    if (id !== undefined) this.#sendControl(path, [{ kind: "ping", id }]);
  }
}
