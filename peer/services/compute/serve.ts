/**
 * One asker's stream at a working peer: terms first, the module if it is not here yet, then tasks into this asker's lane and their outcomes back.
 * Tasks are read only while few wait, and run only while the asker reads results, so the stream's credit holds back whoever is
 * too fast or too slow. When the stream ends, whatever of it still runs is dropped.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { type ErrorCode, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { Clock, HashProvider, Timer } from "../../runtime.ts";
import type { Stream } from "../../session/contract.ts";
import { MessageReader } from "../files/protocol.ts";
import { checkModule } from "./module-check.ts";
import type { ModuleCache } from "./module-cache.ts";
import type { Outcome } from "./outcome.ts";
import {
  type AskerMessage,
  BODY_BYTES_MAX,
  decodeFromAsker,
  encodeMessage,
  type JobTerms,
  violation,
  type WorkerMessage,
} from "./protocol.ts";
import type { BoundModule, Lane, SandboxPool, SandboxTask } from "./sandbox-pool.ts";

/** An asker that says nothing for so long while nothing of it is under way is gone. */
const SILENCE_MS_MAX = 60_000;
/** An asker that does not even read why it is refused. */
const REFUSAL_MS_MAX = 5_000;
/** While tasks of an asker wait for others' turns it is told so; it gives up who says nothing, and compiling takes its time, too. */
const WAITING_WORD_MS = 5_000;
/** Tasks of one asker that wait here; past either the stream is not read on. */
const WAITING_MAX = 256;
const WAITING_BYTES_MAX: number = 8 * 1024 * 1024;
/** Results that the asker has not taken; past that its tasks are not run. */
const UNSENT_BYTES_MAX: number = 8 * 1024 * 1024;

export interface ServeOptions {
  readonly pool: SandboxPool;
  readonly modules: ModuleCache;
  readonly hash: HashProvider;
  readonly clock: Clock;
  readonly slots: number;
  readonly memoryPagesMax: number;
  readonly taskMsMax: number;
}

interface Waiting {
  readonly id: number;
  readonly input: Uint8Array;
}

/** Serves until the asker ends. What goes wrong is told to it and then thrown. */
export async function serveWork(stream: Stream, options: ServeOptions): Promise<void> {
  const served = new ServedStream(stream, options);
  try {
    await served.run();
  } catch (error) {
    const { code } = toPeerloomError(error, "stream/reset", "Working for a peer ended.");
    await served.refuse(code);
    throw error;
  } finally {
    served.close();
  }
}

/** Tells an asker why nothing is done for it. */
export async function refuseWork(stream: Stream, code: ErrorCode): Promise<void> {
  const writer = stream.writable.getWriter();
  // One frame at most, which a new stream has credit for.
  for (const part of encodeMessage({ kind: "refusal", code })) await writer.write(part);
  await writer.close();
  await stream.readable.cancel();
}

class ServedStream implements Lane {
  readonly #stream: Stream;
  readonly #options: ServeOptions;
  readonly #reader: MessageReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Map<number, SandboxTask>();
  #module: BoundModule | undefined;
  #taskMs = 0;
  #waitingBytes = 0;
  #unsentBytes = 0;
  #sent: Promise<void> = Promise.resolve();
  #drained: (() => void) | undefined;
  #word: Timer | undefined;
  #closed = false;

  constructor(stream: Stream, options: ServeOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new MessageReader(stream.readable, BODY_BYTES_MAX, violation);
    this.#writer = stream.writable.getWriter();
  }

  async run(): Promise<void> {
    const terms = await this.#next();
    if (terms === undefined) return;
    if (terms.kind !== "ask") throw violation("it begins with an ask");
    this.#module = await this.#agree(terms);
    if (this.#module === undefined) return;
    this.#options.pool.add(this);
    for (let message = await this.#next(); message !== undefined; message = await this.#next()) {
      if (message.kind === "task") await this.#queue(message);
      else if (message.kind === "cancel") this.#cancel(message.id);
      else throw violation(`another ${message.kind}`);
    }
    const watch = this.#watchSilence();
    try {
      await this.#finished();
      await this.#sent;
      await this.#writer.close();
    } finally {
      watch.cancel();
    }
  }

  take(): SandboxTask | undefined {
    if (this.#module === undefined || this.#unsentBytes >= UNSENT_BYTES_MAX) return undefined;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return undefined;
    const { id, input } = waiting;
    this.#waitingBytes -= input.length;
    const task: SandboxTask = {
      module: this.#module,
      input,
      taskMs: this.#taskMs,
      finish: (outcome) => {
        if (this.#running.get(id) === task) this.#answer(id, outcome);
      },
    };
    this.#running.set(id, task);
    this.#drain();
    return task;
  }

  async refuse(code: ErrorCode): Promise<void> {
    const timer = this.#options.clock.setTimer(REFUSAL_MS_MAX, () => this.#stream.reset(code));
    this.#send({ kind: "refusal", code });
    await this.#sent;
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    timer.cancel();
  }

  close(): void {
    this.#closed = true;
    this.#word?.cancel();
    this.#options.pool.remove(this);
    for (const task of this.#running.values()) this.#options.pool.drop(task);
    this.#running.clear();
    this.#waiting.length = 0;
    this.#drain();
  }

  /** Says what is offered and gets the module, unless it is here. Undefined: the asker went away. */
  async #agree(terms: JobTerms): Promise<BoundModule | undefined> {
    const { slots, memoryPagesMax, taskMsMax, modules, hash } = this.#options;
    if (terms.memoryPages > memoryPagesMax) {
      throw new PeerloomError(
        "compute/memory-limit",
        `${terms.memoryPages} pages are asked for, ${memoryPagesMax} are offered.`,
      );
    }
    this.#taskMs = Math.min(terms.taskMs, taskMsMax);
    const name = toHex(terms.hash);
    let bytes = modules.get(name);
    this.#send({ kind: "offer", slots, taskMs: this.#taskMs, wantsModule: bytes === undefined });
    if (bytes === undefined) {
      const message = await this.#next();
      if (message === undefined) return undefined;
      if (message.kind !== "module") throw violation("the module comes before tasks");
      if (!equalBytes(await hash.sha256(message.module), terms.hash))
        throw violation("a module of another hash");
      bytes = message.module;
    }
    const bound = checkModule(bytes).bound(terms.memoryPages);
    modules.set(name, bytes);
    return { key: `${name}/${terms.memoryPages}`, bytes: bound, memoryPages: terms.memoryPages };
  }

  async #queue({ id, input }: Waiting): Promise<void> {
    if (this.#running.has(id) || this.#waiting.some((each) => each.id === id))
      throw violation("a task twice");
    this.#waiting.push({ id, input });
    this.#waitingBytes += input.length;
    this.#options.pool.wake();
    if (this.#word === undefined) this.#planWord();
    while (
      !this.#closed &&
      (this.#waiting.length >= WAITING_MAX || this.#waitingBytes >= WAITING_BYTES_MAX)
    ) {
      await this.#change();
    }
  }

  #planWord(): void {
    this.#word = this.#options.clock.setTimer(WAITING_WORD_MS, () => {
      this.#word = undefined;
      if (this.#waiting.length === 0) return;
      if (this.#running.size === 0) this.#send({ kind: "waiting" });
      this.#planWord();
    });
  }

  #cancel(id: number): void {
    const index = this.#waiting.findIndex((each) => each.id === id);
    const [waiting] = index < 0 ? [] : this.#waiting.splice(index, 1);
    this.#waitingBytes -= waiting?.input.length ?? 0;
    const task = this.#running.get(id);
    if (task !== undefined) this.#options.pool.drop(task);
    this.#running.delete(id);
  }

  #answer(id: number, outcome: Outcome): void {
    this.#running.delete(id);
    if (outcome.kind === "value") this.#send({ kind: "result", id, output: outcome.value });
    else this.#send({ kind: "failure", id, code: outcome.code });
    this.#drain();
  }

  /** In order, and counted until the stream has taken it. */
  #send(message: WorkerMessage): void {
    const parts = encodeMessage(message);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#unsentBytes += bytes;
    this.#sent = this.#sent
      .then(async () => {
        for (const part of parts) await this.#writer.write(part);
      })
      // The reading side meets the same end and tells of it.
      .catch(() => {})
      .finally(() => {
        const wasFull = this.#unsentBytes >= UNSENT_BYTES_MAX;
        this.#unsentBytes -= bytes;
        if (wasFull && !this.#closed) this.#options.pool.wake();
      });
  }

  async #next(): Promise<AskerMessage | undefined> {
    const timer = this.#watchSilence();
    try {
      const message = await this.#reader.next();
      return message === undefined ? undefined : decodeFromAsker(message);
    } finally {
      timer.cancel();
    }
  }

  #watchSilence(): { cancel(): void } {
    const { clock } = this.#options;
    const look = (): void => {
      const isStuck = this.#waiting.length === 0 || this.#unsentBytes >= UNSENT_BYTES_MAX;
      if (this.#running.size === 0 && isStuck) this.#stream.reset("link/timeout");
      else timer = clock.setTimer(SILENCE_MS_MAX, look);
    };
    let timer = clock.setTimer(SILENCE_MS_MAX, look);
    return { cancel: () => timer.cancel() };
  }

  /** Until everything that was asked has been answered. */
  async #finished(): Promise<void> {
    while (!this.#closed && this.#running.size + this.#waiting.length > 0) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  #drain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }
}
