/**
 * One data connection: WebRTC below, values above. The door carries its signals. It ends as a whole: on the first message that
 * is none, when too much is left unread, when the channel closes.
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import type { Clock, IceServer, RtcConnection, RtcSignal, Timer, WebRtcHost } from "../runtime.ts";
import type { PeerJsConnection } from "./contract.ts";
import {
  CANDIDATES_MAX,
  NEGOTIATION_TIMEOUT_MS,
  SENDS_WAITING_MAX,
  UNREAD_VALUES_MAX,
  UNSENT_BYTES_HIGH,
} from "./limits.ts";
import { type Arrived, type Serialization, type Serializer, serializerOf } from "./serialization.ts";
import { Allowance, ValueQueue } from "./value-queue.ts";

/** What was given to `send` before `close` has this long to arrive; a connection that is dead is found so by then. */
const CLOSE_WAIT_MS = 30_000;

/** What both sides of a connection agree on. */
export interface ConnectionTerms {
  readonly connectionId: string;
  readonly label: string;
  readonly metadata: unknown;
  readonly serialization: Serialization;
  readonly reliable: boolean;
}

export interface DataConnectionOptions {
  readonly clock: Clock;
  readonly host: WebRtcHost;
  readonly iceServers: readonly IceServer[];
  readonly role: "offerer" | "answerer";
  readonly peer: string;
  readonly terms: ConnectionTerms;
  readonly valueBytesMax: number;
  /** The door's, of all connections. */
  readonly allowance: Allowance;
  /** Carries a signal to the other side. */
  onSignal(signal: RtcSignal): void;
  /** The first message may come right behind. */
  onOpen(): void;
  onEnd(connection: DataConnection): void;
}

type Phase = "negotiating" | "open" | "closing" | "ended";

export class DataConnection implements PeerJsConnection {
  readonly peer: string;
  readonly connectionId: string;
  readonly label: string;
  readonly metadata: unknown;
  readonly serialization: Serialization;
  readonly reliable: boolean;
  readonly closed: Promise<PeerloomError | undefined>;
  readonly #options: DataConnectionOptions;
  readonly #rtc: RtcConnection;
  readonly #allowance: Allowance;
  readonly #values: ValueQueue;
  readonly #end: PromiseWithResolvers<PeerloomError | undefined> = Promise.withResolvers();
  #serializer: Serializer | undefined;
  #phase: Phase = "negotiating";
  #error: PeerloomError | undefined;
  #described = false;
  #candidates = 0;
  #sending: Promise<void> = Promise.resolve();
  #sendsWaiting = 0;
  #drained: PromiseWithResolvers<void> | undefined;
  #closing: Promise<void> | undefined;
  #openTimer: Timer | undefined;
  #pieceTimer: Timer | undefined;

  constructor(options: DataConnectionOptions) {
    const { terms, host, iceServers, role, clock } = options;
    this.#options = options;
    this.peer = options.peer;
    this.connectionId = terms.connectionId;
    this.label = terms.label;
    this.metadata = terms.metadata;
    this.serialization = terms.serialization;
    this.reliable = terms.reliable;
    this.closed = this.#end.promise;
    this.#allowance = new Allowance(UNREAD_VALUES_MAX * options.valueBytesMax, options.allowance);
    this.#values = new ValueQueue(this.#allowance);
    this.#rtc = host.open({
      role,
      iceServers,
      announced: { label: terms.label, ordered: terms.reliable },
      onSignal: (signal) => options.onSignal(signal),
    });
    this.#rtc.onOpen = () => this.#opened();
    this.#rtc.onMessage = (bytes) => this.#receive(bytes);
    this.#rtc.onText = (text) => this.#receive(text);
    this.#rtc.onDrain = () => this.#drain();
    this.#rtc.onClose = (error) => this.#over(error?.code === "link/closed" ? undefined : error);
    this.#openTimer = clock.setTimer(NEGOTIATION_TIMEOUT_MS, () =>
      this.fail(
        new PeerloomError(
          "connect/timeout",
          `No connection with ${this.peer} in ${NEGOTIATION_TIMEOUT_MS / 1_000} s: UDP may be blocked. Give iceServers with TURN.`,
        ),
      ),
    );
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  get isNegotiating(): boolean {
    return this.#phase === "negotiating";
  }

  /** Whether the other side has described itself: it is there. */
  get isAnswered(): boolean {
    return this.#described;
  }

  /** Takes a signal of the other side. Never throws. */
  accept(signal: RtcSignal): void {
    if (signal.kind === "candidate") {
      this.#candidates += 1;
      if (this.#candidates > CANDIDATES_MAX) return;
    } else this.#described = true;
    this.#rtc.accept(signal);
  }

  async send(value: unknown): Promise<void> {
    if (this.#phase !== "open" || this.#serializer === undefined) throw this.#error ?? closed();
    if (this.#sendsWaiting >= SENDS_WAITING_MAX) {
      throw new PeerloomError(
        "peerjs/unread",
        `${SENDS_WAITING_MAX} values wait to be sent: the other side is slower. Await send.`,
      );
    }
    const { messages } = this.#serializer.encode(value);
    this.#sendsWaiting += 1;
    const sent = this.#sending.then(async () => {
      try {
        for await (const message of messages()) await this.#put(message);
      } catch (error) {
        const failure = toPeerloomError(error, "peerjs/value-invalid", "A Blob could not be read.");
        // Half of its pieces are out: the other side would wait for the rest for ever.
        this.fail(failure);
        throw failure;
      } finally {
        this.#sendsWaiting -= 1;
      }
    });
    this.#sending = sent.catch(() => {});
    await sent;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined> {
    return { next: () => this.#values.next() };
  }

  /** @param waitMs what was sent has so long to arrive */
  close(waitMs: number = CLOSE_WAIT_MS): Promise<void> {
    this.#closing ??= this.#close(waitMs);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends at once. Readers learn why. */
  fail(error: PeerloomError | undefined): void {
    this.#over(error);
    this.#rtc.destroy();
  }

  async #close(waitMs: number): Promise<void> {
    if (this.#phase === "open") {
      this.#phase = "closing";
      const { clock } = this.#options;
      const deadlineMs = clock.monotonicMs() + waitMs;
      const stop = new AbortController();
      const late = clock.sleep(waitMs, stop.signal).catch(() => {});
      await Promise.race([this.#sending, late]);
      stop.abort();
      this.#rtc.close(Math.max(0, deadlineMs - clock.monotonicMs()));
      await this.closed;
    } else this.fail(undefined);
  }

  async #put(message: string | readonly Uint8Array[]): Promise<void> {
    if (this.#phase === "ended") throw this.#error ?? closed();
    if (typeof message === "string") this.#rtc.sendText(message);
    else this.#rtc.send(message);
    if (this.#rtc.bufferedBytes <= UNSENT_BYTES_HIGH) return;
    this.#drained ??= Promise.withResolvers();
    await this.#drained.promise;
  }

  #drain(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #opened(): void {
    if (this.#phase !== "negotiating") return;
    this.#phase = "open";
    this.#openTimer?.cancel();
    const { valueBytesMax, onOpen } = this.#options;
    const bytesMax =
      this.serialization === "raw" ? Math.min(valueBytesMax, this.#rtc.messageBytesMax) : valueBytesMax;
    this.#serializer = serializerOf(this.serialization, bytesMax);
    onOpen();
  }

  #receive(message: Uint8Array | string): void {
    this.#opened(); // some hosts tell of the first message before they tell that it is open
    const serializer = this.#serializer;
    if (this.#phase !== "open" || serializer === undefined) return;
    let arrived: Arrived;
    try {
      arrived = serializer.decode(message, this.#options.clock.monotonicMs());
    } catch (error) {
      this.fail(toPeerloomError(error, "wire/malformed", "A message could not be read."));
      return;
    }
    if (arrived.kind === "close") {
      this.#over(undefined);
      this.#rtc.close();
      return;
    }
    if (arrived.kind === "value") this.#allowance.give(arrived.released);
    if (!this.#allowance.take(arrived.cost)) {
      this.fail(
        new PeerloomError(
          "peerjs/unread",
          `${this.peer} has sent more than was read. Read its values sooner.`,
        ),
      );
      return;
    }
    if (arrived.kind === "value") this.#values.push(arrived.value, arrived.cost);
    this.#watchPieces(serializer);
  }

  /** Pieces that do not come. One timer at most, moved no more often than it rings. */
  #watchPieces(serializer: Serializer): void {
    if (this.#pieceTimer !== undefined) return;
    const { deadlineMs } = serializer;
    if (deadlineMs === undefined) return;
    const { clock } = this.#options;
    this.#pieceTimer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      this.#pieceTimer = undefined;
      if ((serializer.deadlineMs ?? Number.POSITIVE_INFINITY) > clock.monotonicMs()) {
        this.#watchPieces(serializer);
        return;
      }
      this.fail(new PeerloomError("link/timeout", `The rest of a value from ${this.peer} does not come.`));
    });
  }

  #over(error: PeerloomError | undefined): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#error = error;
    this.#openTimer?.cancel();
    this.#pieceTimer?.cancel();
    this.#allowance.close();
    this.#values.end(error);
    this.#drain();
    this.#end.resolve(error);
    this.#options.onEnd(this);
  }
}

function closed(): PeerloomError {
  return new PeerloomError("link/closed", "The PeerJS connection is closed.");
}
