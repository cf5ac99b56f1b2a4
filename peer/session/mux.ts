/**
 * The mux: many streams in one session. Towards the streams it is their owner; towards the session it turns what they
 * have into plaintexts of data frames, and data frames into what they get. Who goes first: control, then interactive
 * streams, then four turns of normal for one of bulk, round robin inside each class.
 */
import { type ErrorCode, parseErrorCode, PeerloomError } from "../../shared/errors.ts";
import type { StreamPriority } from "./contract.ts";
import { MuxStream, type StreamOwner } from "./mux-stream.ts";
import {
  BYTES_HEAD_BYTES,
  bytesHead,
  encodeStreamFrame,
  readStreamFrames,
  type StreamFrame,
} from "./stream-frames.ts";

/** Streams open at once that one side has opened. */
export const STREAMS_MAX = 256;
/** Window that all streams of a session may have grown by together. */
const GROWTH_BYTES_MAX: number = 32 * 1024 * 1024;
/** One turn of one stream while others wait. */
const TURN_BYTES: number = 64 * 1024;
/** Turns of normal streams for one of bulk. */
const NORMAL_TURNS = 4;
/** Control frames waiting; a session that cannot send for so long is broken anyway. */
const CONTROL_QUEUE_MAX = 4096;
const OVERLAY_QUEUE_MAX = 256;

/** The plaintext of one data frame, in pieces, and whom to tell when it has arrived. */
export interface Plaintext {
  readonly parts: Uint8Array[];
  readonly acknowledged: (() => void)[];
}

/** Streams that have carried nothing for so long are open, and not in use: nobody waits for the next byte from one moment to the next. */
export const STREAMS_QUIET_MS = 10_000;

export interface MuxOptions {
  readonly role: "dialler" | "acceptor";
  /** There is something to send. */
  wake(): void;
  /** The other side opened a stream. */
  onOpen(stream: MuxStream): void;
  onSignal(bytes: Uint8Array): void;
  onOverlay(bytes: Uint8Array): void;
  rttMs(): number;
  nowMs(): number;
}

export class Mux implements StreamOwner {
  readonly #options: MuxOptions;
  readonly #streams = new Map<number, MuxStream>();
  readonly #control: Uint8Array[] = [];
  readonly #waiting: { readonly [priority in StreamPriority]: Set<MuxStream> } = {
    interactive: new Set(),
    normal: new Set(),
    bulk: new Set(),
  };
  #normalTurns = 0;
  /** The stream whose turn the end of a frame cut short: it goes first in the next one, or it would be cut every time. */
  #cutShort: { readonly stream: MuxStream; readonly bytesLeft: number } | undefined;
  #nextId: number;
  #lastRemoteId: number;
  #ownOpen = 0;
  #remoteOpen = 0;
  #grown = 0;
  #usedAtMs = Number.NEGATIVE_INFINITY;
  #failed = false;

  constructor(options: MuxOptions) {
    this.#options = options;
    // As in HTTP/2: who dialled opens odd streams. Ids never come again.
    this.#nextId = options.role === "dialler" ? 1 : 2;
    this.#lastRemoteId = options.role === "dialler" ? 0 : -1;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Streams are open, and one has lately been opened or carried something. */
  get isInUse(): boolean {
    return this.#streams.size > 0 && this.nowMs() - this.#usedAtMs < STREAMS_QUIET_MS;
  }

  /** Memory of what was written and not sent, and of what came and was not read. */
  get heldBytes(): number {
    let bytes = 0;
    for (const frame of this.#control) bytes += frame.length;
    for (const stream of this.#streams.values()) bytes += stream.heldBytes;
    return bytes;
  }

  /** @throws PeerloomError `session/too-many-streams` */
  open(protocol: string, priority: StreamPriority): MuxStream {
    if (this.#ownOpen >= STREAMS_MAX) {
      throw new PeerloomError(
        "session/too-many-streams",
        `${STREAMS_MAX} streams are open to this peer already. Close some, or send more over each.`,
      );
    }
    const id = this.#nextId;
    this.#nextId += 2;
    this.#ownOpen += 1;
    const stream = new MuxStream({ id, protocol, priority, owner: this });
    this.#streams.set(id, stream);
    this.#usedAtMs = this.nowMs();
    this.#queueControl({ kind: "open", id, protocol, priority });
    return stream;
  }

  sendSignal(bytes: Uint8Array): void {
    this.#queueControl({ kind: "signal", bytes });
  }

  /** Dropped when much waits already: the overlay sends what matters again, by another way. */
  sendOverlay(bytes: Uint8Array): void {
    if (this.#control.length < OVERLAY_QUEUE_MAX) this.#queueControl({ kind: "overlay", bytes });
  }

  get hasOutput(): boolean {
    const { interactive, normal, bulk } = this.#waiting;
    return this.#control.length > 0 || interactive.size > 0 || normal.size > 0 || bulk.size > 0;
  }

  /**
   * The next plaintext, or undefined when nothing waits. Its views hold until the caller returns to the event loop.
   * @param bytesMax of all but a control frame that is larger, which goes alone
   * @param urgentOnly control and interactive streams alone
   * @param linkBytesMax what the link takes: a control frame above it waits for another one
   */
  take(bytesMax: number, urgentOnly: boolean, linkBytesMax: number): Plaintext | undefined {
    const parts: Uint8Array[] = [];
    const acknowledged: (() => void)[] = [];
    let room = bytesMax;
    for (let frame = this.#control[0]; frame !== undefined; frame = this.#control[0]) {
      if (frame.length > (parts.length === 0 ? linkBytesMax : room)) break;
      parts.push(frame);
      room -= frame.length;
      this.#control.shift();
    }
    // Nothing passes control that is left: a stream's bytes would overtake its opening.
    while (room > BYTES_HEAD_BYTES && this.#control.length === 0) {
      const stream = urgentOnly ? first(this.#waiting.interactive) : this.#nextStream();
      if (stream === undefined) break;
      room -= this.#takeFrom(stream, room, parts, acknowledged);
    }
    return parts.length === 0 ? undefined : { parts, acknowledged };
  }

  /** @throws PeerloomError `session/protocol-violation`, `session/over-credit`: the session must end */
  receive(plaintext: Uint8Array): void {
    readStreamFrames(plaintext, (frame) => this.#receiveFrame(frame));
  }

  /** Every stream ends with this error. */
  fail(error: PeerloomError): void {
    this.#failed = true;
    for (const stream of [...this.#streams.values()]) stream.endWith(error);
    this.#control.length = 0;
  }

  // --- StreamOwner ---

  ready(stream: MuxStream): void {
    this.#waiting[stream.priority].add(stream);
    this.#options.wake();
  }

  sendCredit(stream: MuxStream, bytes: number): void {
    this.#queueControl({ kind: "credit", id: stream.id, bytes });
  }

  sendStop(stream: MuxStream): void {
    this.#queueControl({ kind: "stop", id: stream.id });
  }

  sendReset(stream: MuxStream, code: ErrorCode): void {
    this.#queueControl({ kind: "reset", id: stream.id, code });
  }

  finished(stream: MuxStream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#waiting[stream.priority].delete(stream);
    this.#grown -= stream.grownBytes;
    if (this.#isOwn(stream.id)) this.#ownOpen -= 1;
    else this.#remoteOpen -= 1;
  }

  grow(bytes: number): boolean {
    if (this.#grown + bytes > GROWTH_BYTES_MAX) return false;
    this.#grown += bytes;
    return true;
  }

  rttMs(): number {
    return this.#options.rttMs();
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  // --- sending ---

  #queueControl(frame: Exclude<StreamFrame, { kind: "bytes" }>): void {
    if (this.#control.length >= CONTROL_QUEUE_MAX) {
      throw new PeerloomError(
        "session/protocol-violation",
        "The other side asks for answers and takes none.",
      );
    }
    this.#control.push(encodeStreamFrame(frame));
    this.#options.wake();
  }

  #nextStream(): MuxStream | undefined {
    const { interactive, normal, bulk } = this.#waiting;
    if (interactive.size > 0) return first(interactive);
    const cutShort = this.#cutShort?.stream;
    if (cutShort !== undefined && this.#waiting[cutShort.priority].has(cutShort)) return cutShort;
    if (normal.size > 0 && (bulk.size === 0 || this.#normalTurns < NORMAL_TURNS)) {
      this.#normalTurns += 1;
      return first(normal);
    }
    this.#normalTurns = 0;
    return first(bulk);
  }

  /** Gives a stream one turn. @returns bytes added to the plaintext */
  #takeFrom(stream: MuxStream, room: number, parts: Uint8Array[], acknowledged: (() => void)[]): number {
    const waiting = this.#waiting[stream.priority];
    // Leaving and coming back puts the stream behind the others of its class.
    waiting.delete(stream);
    const alone = waiting.size === 0;
    const turnBytes = this.#cutShort?.stream === stream ? this.#cutShort.bytesLeft : TURN_BYTES;
    if (stream.priority !== "interactive") this.#cutShort = undefined;
    this.#usedAtMs = this.nowMs();
    const length = Math.min(stream.sendable, room - BYTES_HEAD_BYTES, alone ? room : turnBytes);
    let used = 0;
    if (length > 0) {
      parts.push(bytesHead(stream.id, length), ...stream.takeBytes(length));
      used += BYTES_HEAD_BYTES + length;
    }
    if (stream.endDue) {
      const end = encodeStreamFrame({ kind: "end", id: stream.id });
      if (end.length <= room - used) {
        parts.push(end);
        used += end.length;
        acknowledged.push(stream.takeEnd());
        return used;
      }
      waiting.add(stream);
    } else if (stream.sendable > 0) {
      waiting.add(stream);
      if (!alone && length < turnBytes) this.#cutShort = { stream, bytesLeft: turnBytes - length };
    }
    // A stream that could not use the room that is left must not be asked again for this frame.
    return used === 0 && waiting.has(stream) ? room : used;
  }

  // --- receiving ---

  #receiveFrame(frame: StreamFrame): void {
    // Hosts that open in the background may still be at it.
    if (this.#failed) return;
    if (frame.kind === "signal") return this.#options.onSignal(frame.bytes);
    if (frame.kind === "overlay") return this.#options.onOverlay(frame.bytes);
    this.#usedAtMs = this.nowMs();
    if (frame.kind === "open") return this.#receiveOpen(frame);
    const stream = this.#streams.get(frame.id);
    if (stream === undefined) {
      const known = this.#isOwn(frame.id) ? frame.id < this.#nextId : frame.id <= this.#lastRemoteId;
      if (!known)
        throw new PeerloomError("session/protocol-violation", `Stream ${frame.id} was never opened.`);
      return; // It has ended here while this frame was under way.
    }
    switch (frame.kind) {
      case "bytes":
        return stream.receiveBytes(frame.bytes);
      case "credit":
        return stream.addCredit(frame.bytes);
      case "end":
        return stream.receiveEnd();
      case "stop":
        return stream.stop();
      case "reset":
        return stream.receiveReset(frame.code);
    }
  }

  #receiveOpen({ id, protocol, priority }: Extract<StreamFrame, { kind: "open" }>): void {
    if (this.#isOwn(id) || id <= this.#lastRemoteId) {
      throw new PeerloomError(
        "session/protocol-violation",
        `Stream ${id} cannot be opened by the other side.`,
      );
    }
    this.#lastRemoteId = id;
    if (this.#remoteOpen >= STREAMS_MAX) {
      this.#queueControl({
        kind: "reset",
        id,
        code: parseErrorCode("session/too-many-streams", "stream/refused"),
      });
      return;
    }
    this.#remoteOpen += 1;
    const stream = new MuxStream({ id, protocol, priority, owner: this });
    this.#streams.set(id, stream);
    this.#options.onOpen(stream);
  }

  #isOwn(id: number): boolean {
    return id % 2 === this.#nextId % 2;
  }
}

function first(streams: ReadonlySet<MuxStream>): MuxStream | undefined {
  for (const stream of streams) return stream;
  return undefined;
}
