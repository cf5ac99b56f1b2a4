/**
 * One working peer as who has tasks sees it: a stream on which a job was agreed, tasks that go there and outcomes that come back. It
 * reports and judges nothing: what to give whom, and what to believe, is the computation's.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { MessageReader } from "../files/protocol.ts";
import type { Outcome } from "./outcome.ts";
import {
  type AskerMessage,
  BODY_BYTES_MAX,
  decodeFromWorker,
  encodeMessage,
  type JobTerms,
  violation,
  type WorkerMessage,
} from "./protocol.ts";
import { WORK_PROTOCOL } from "./work-protocol.ts";

/** A worker that has not answered the ask. */
const OFFER_MS_MAX = 10_000;
/** Beyond the time of a task: compiling, the way there and back. */
const ANSWER_MS_MORE = 20_000;
/** A worker may say for so long that others have their turn, without an outcome in between. */
export const TURN_MS_MAX = 3_600_000;

export interface Job extends JobTerms {
  readonly module: Uint8Array;
}

export interface RemoteWorkerEvents {
  outcome(index: number, outcome: Outcome): void;
  /** Called once; nothing comes after it. */
  end(error: PeerloomError): void;
}

export class RemoteWorker {
  readonly id: PeerId;
  /** Tasks that it runs at once. */
  readonly slots: number;
  readonly #stream: Stream;
  readonly #reader: MessageReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #clock: Clock;
  readonly #taskMs: number;
  readonly #pending = new Set<number>();
  #events: RemoteWorkerEvents | undefined;
  #watch: Timer | undefined;
  /** When its last outcome came, or it was given something for the first time since it owed nothing. */
  #movedAtMs = 0;

  /**
   * Asks a peer to work on a job.
   * @throws PeerloomError `stream/no-handler` when it does not work, `compute/refused`, `compute/busy`, `compute/memory-limit`,
   * `compute/protocol`, `link/timeout`, and as `Session.open`
   */
  static async open(session: Session, job: Job, clock: Clock, signal: AbortSignal): Promise<RemoteWorker> {
    const stream = await session.open(WORK_PROTOCOL, { signal });
    const abort = (): void => stream.reset("stream/cancelled");
    const timer = clock.setTimer(OFFER_MS_MAX, () => stream.reset("link/timeout"));
    signal.addEventListener("abort", abort, { once: true });
    try {
      const reader = new MessageReader(stream.readable, BODY_BYTES_MAX, violation);
      const writer = stream.writable.getWriter();
      // What is refused shows in what is read.
      writer.closed.catch(() => {});
      const { hash, memoryPages, taskMs, module } = job;
      write(writer, { kind: "ask", hash, memoryPages, taskMs });
      const offer = await read(reader);
      if (offer?.kind !== "offer") throw refusal(session.peerId, offer);
      if (offer.wantsModule) write(writer, { kind: "module", module });
      return new RemoteWorker({
        id: session.peerId,
        slots: offer.slots,
        stream,
        reader,
        writer,
        clock,
        taskMs,
      });
    } catch (error) {
      stream.reset("stream/cancelled");
      throw error;
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", abort);
    }
  }

  private constructor(parts: {
    readonly id: PeerId;
    readonly slots: number;
    readonly stream: Stream;
    readonly reader: MessageReader;
    readonly writer: WritableStreamDefaultWriter<Uint8Array>;
    readonly clock: Clock;
    readonly taskMs: number;
  }) {
    this.id = parts.id;
    this.slots = parts.slots;
    this.#stream = parts.stream;
    this.#reader = parts.reader;
    this.#writer = parts.writer;
    this.#clock = parts.clock;
    this.#taskMs = parts.taskMs;
  }

  /** Tells of outcomes from now on. */
  start(events: RemoteWorkerEvents): void {
    this.#events = events;
    void this.#read();
  }

  send(index: number, input: Uint8Array): void {
    this.#pending.add(index);
    if (this.#pending.size === 1) this.#moved();
    write(this.#writer, { kind: "task", id: index, input });
  }

  /** Its outcome is not wanted any more. */
  cancel(index: number): void {
    if (!this.#pending.delete(index)) return;
    this.#moved();
    write(this.#writer, { kind: "cancel", id: index });
  }

  /** Nothing more is wanted. Twice is harmless. */
  close(): void {
    this.#events = undefined;
    this.#watch?.cancel();
    this.#stream.reset("stream/cancelled");
  }

  async #read(): Promise<void> {
    let error = violation("it ended early");
    try {
      for (
        let message = await read(this.#reader);
        message !== undefined;
        message = await read(this.#reader)
      ) {
        if (message.kind === "refusal") throw refusal(this.id, message);
        this.#receive(message);
      }
    } catch (reason) {
      error = toPeerloomError(reason, "stream/reset", `${short(this.id)} went away.`);
    }
    const events = this.#events;
    this.close();
    events?.end(error);
  }

  #receive(message: Exclude<WorkerMessage, { kind: "refusal" }>): void {
    if (message.kind === "offer") throw violation("a second offer");
    if (message.kind === "waiting") return this.#wait();
    // One that was cancelled, or never asked: nobody waits for it.
    if (!this.#pending.delete(message.id)) return;
    this.#moved();
    const outcome: Outcome =
      message.kind === "result"
        ? { kind: "value", value: message.output }
        : { kind: "failure", code: message.code };
    this.#events?.outcome(message.id, outcome);
  }

  #moved(): void {
    this.#movedAtMs = this.#clock.monotonicMs();
    this.#watch?.cancel();
    this.#wait();
  }

  /** A worker that owes answers and says nothing is given up; so is one that never does more than say that it will. */
  #wait(): void {
    if (this.#pending.size === 0 || this.#clock.monotonicMs() - this.#movedAtMs > TURN_MS_MAX) return;
    this.#watch?.cancel();
    this.#watch = this.#clock.setTimer(this.#taskMs + ANSWER_MS_MORE, () =>
      this.#stream.reset("link/timeout"),
    );
  }
}

async function read(reader: MessageReader): Promise<WorkerMessage | undefined> {
  const message = await reader.next();
  return message === undefined ? undefined : decodeFromWorker(message);
}

/** In order; a failure shows in what is read. */
function write(writer: WritableStreamDefaultWriter<Uint8Array>, message: AskerMessage): void {
  for (const part of encodeMessage(message)) writer.write(part).catch(() => {});
}

const REASONS: Readonly<Record<string, string>> = {
  "compute/refused": "works for others only",
  "compute/busy": "has too much to do",
  "compute/memory-limit": "offers less memory than the job may use; ask for less with memoryPages",
};

function refusal(id: PeerId, message: WorkerMessage | undefined): PeerloomError {
  if (message?.kind !== "refusal") return violation("no offer came");
  const { code } = message;
  return new PeerloomError(code, `${short(id)} ${REASONS[code] ?? `does not work on it (${code})`}.`);
}
