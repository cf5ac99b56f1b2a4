/**
 * Whether a message may go on: first its signature, then the application's word. So many at once, so many waiting, and of one neighbour a share
 * of these, so that who floods waits for itself: its stream is read no further meanwhile.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Log } from "../../runtime.ts";
import { verify } from "../../identity/verify.ts";
import { signedBytes } from "./envelope.ts";
import type { JudgeSubject, Verdict } from "./topic-duties.ts";

/** Judged at once. */
export const JUDGING_MAX = 64;
/** Waiting; past that a message is dropped, and comes again by another neighbour. */
export const WAITING_MAX = 256;
/** Of one neighbour, judged and waiting. */
export const NEIGHBOUR_SHARE = 16;
/** An application that has not decided by then has ignored it. */
export const VALIDATE_MS = 2_000;

export interface JudgeOptions {
  readonly clock: Clock;
  readonly log: Log;
  topicKey(): Uint8Array;
  /** The application's word on a message with a good signature. */
  validate(subject: JudgeSubject): Verdict | Promise<Verdict>;
}

interface Case {
  readonly subject: JudgeSubject;
  readonly done: (verdict: Verdict | "forged") => void;
}

/** @throws PeerloomError `usage/invalid`: an application's mistake, for which no neighbour is to blame */
export function requireVerdict(word: unknown): Verdict {
  if (word === "accept" || word === "ignore" || word === "reject") return word;
  throw new PeerloomError(
    "usage/invalid",
    `A topic's validate must return "accept", "ignore" or "reject", not ${String(word)}.`,
  );
}

export class Judge {
  readonly #options: JudgeOptions;
  readonly #waiting: Case[] = [];
  readonly #shares = new Map<PeerId, number>();
  readonly #queues = new Map<PeerId, (() => void)[]>();
  #running = 0;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** @returns false: too many wait */
  take(subject: JudgeSubject, done: (verdict: Verdict | "forged") => void): boolean {
    if (this.#waiting.length >= WAITING_MAX) return false;
    const { from } = subject;
    this.#shares.set(from, (this.#shares.get(from) ?? 0) + 1);
    this.#waiting.push({ subject, done });
    this.#next();
    return true;
  }

  /** Resolves when a neighbour's share is not used up; undefined: it is not. */
  room(from: PeerId): Promise<void> | undefined {
    if ((this.#shares.get(from) ?? 0) < NEIGHBOUR_SHARE) return undefined;
    return new Promise((resolve) => {
      const queue = this.#queues.get(from) ?? [];
      queue.push(resolve);
      this.#queues.set(from, queue);
    });
  }

  #next(): void {
    if (this.#running >= JUDGING_MAX) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#running += 1;
    void this.#judge(next.subject)
      .then(next.done)
      .finally(() => {
        this.#running -= 1;
        this.#leave(next.subject.from);
        this.#next();
      });
  }

  async #judge(subject: JudgeSubject): Promise<Verdict | "forged"> {
    const { publisher, bytes, signature } = subject.envelope;
    if (!(await verify(publisher, signedBytes(this.#options.topicKey(), bytes), signature))) return "forged";
    return this.#validate(subject);
  }

  async #validate(subject: JudgeSubject): Promise<Verdict> {
    const { clock, log, validate } = this.#options;
    try {
      const verdict = validate(subject);
      if (typeof verdict === "string") return requireVerdict(verdict);
      const late = Promise.withResolvers<Verdict>();
      const timer = clock.setTimer(VALIDATE_MS, () => late.resolve("ignore"));
      return requireVerdict(await Promise.race([verdict, late.promise]).finally(() => timer.cancel()));
    } catch (error) {
      log.warn("topic validator failed", { error: String(error) });
      return "ignore";
    }
  }

  #leave(from: PeerId): void {
    const left = (this.#shares.get(from) ?? 1) - 1;
    if (left > 0) this.#shares.set(from, left);
    else this.#shares.delete(from);
    const queue = this.#queues.get(from);
    const resolve = queue?.shift();
    if (queue?.length === 0) this.#queues.delete(from);
    resolve?.();
  }
}
