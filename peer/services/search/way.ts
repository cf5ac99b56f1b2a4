/**
 * A way to search while it is followed: what it finds is gathered for a moment, so that the same content of several peers becomes one hit, and
 * given out; whoever stops listening stops it, and nothing of it runs on.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { Clock } from "../../runtime.ts";
import type { Hits, SearchHit } from "./hits.ts";

/** After the first hit so long is waited for others of the same content. */
const GATHER_MS = 150;

export interface Question {
  readonly text: string;
  readonly words: readonly string[];
  readonly limit: number;
  /** Monotonic. */
  readonly deadlineMs: number;
}

/** Takes what was found. @returns whether more is wanted */
export type AddHits = (...found: Parameters<Hits["add"]>) => boolean;

export interface Way {
  /** When it has answered, if only what was known already, dearer ways are left. */
  readonly isEnough: boolean;
  /** Ends when it has asked all it can, or soon after the signal is aborted. */
  run(question: Question, add: AddHits, signal: AbortSignal): Promise<void>;
}

/** Runs one way and gives out what it finds. @throws what the way throws, unless it was aborted */
export async function* followWay(
  way: Way,
  question: Question,
  hits: Hits,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<SearchHit, void, undefined> {
  const stop = new AbortController();
  const over = new AbortController();
  const within = AbortSignal.any([signal, stop.signal]);
  let wake = Promise.withResolvers<void>();
  const add: AddHits = (...found) => {
    hits.add(...found);
    wake.resolve();
    return hits.left > 0;
  };
  const running = way.run(question, add, within).finally(() => {
    over.abort();
    wake.resolve();
  });
  running.catch(() => {}); // Looked at below, unless nobody listens any more.
  try {
    while (!over.signal.aborted) {
      await wake.promise;
      wake = Promise.withResolvers<void>();
      if (hits.left > 0) await clock.sleep(GATHER_MS, AbortSignal.any([over.signal, within])).catch(() => {});
      yield* hits.take();
      if (hits.left === 0 || within.aborted) return;
    }
    await running;
  } finally {
    stop.abort(new PeerloomError("stream/cancelled", "No more is wanted."));
    await running.catch(() => {});
  }
}

/** One of several ways may fail; the next is tried. */
export function forgiving(way: Way): Way {
  return { ...way, run: (...asked) => way.run(...asked).catch(() => {}) };
}

/** Resolves when `end` was called; gives up, and resolves, when the signal is aborted. */
export function settled(signal: AbortSignal, begin: (end: () => void) => () => void): Promise<void> {
  return new Promise((resolve) => {
    let giveUp = (): void => {};
    const over = (): void => {
      signal.removeEventListener("abort", over);
      giveUp();
      resolve();
    };
    signal.addEventListener("abort", over, { once: true });
    giveUp = begin(over);
    if (signal.aborted) over();
  });
}
