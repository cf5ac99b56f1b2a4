/** Ways back of answers: each question's answers go to whoever brought the question first, one a replier, bounded in number and time. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock } from "../../runtime.ts";
import type { MessageId } from "./envelope.ts";
import type { Reply } from "./protocol.ts";

/** Answers are passed on for so long. */
export const ASK_MS_MAX = 60_000;
/** Answers of one question. */
export const REPLIES_MAX = 1_024;
/** Questions at once; past that the oldest gets no more answers. */
const ASKS_MAX = 256;

interface Ask {
  /** Undefined: this peer's own. */
  readonly from: PeerId | undefined;
  readonly untilMs: number;
  readonly repliers: Set<PeerId>;
}

export class Asks {
  readonly #clock: Clock;
  readonly #all = new Map<MessageId, Ask>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A question has come from a neighbour, or is this peer's own. */
  open(id: MessageId, from: PeerId | undefined): void {
    this.#all.set(id, { from, untilMs: this.#clock.monotonicMs() + ASK_MS_MAX, repliers: new Set() });
    if (this.#all.size > ASKS_MAX) this.#all.delete(this.#all.keys().next().value as MessageId);
  }

  /** Whether an answer would be passed on. */
  expects({ ask, replier }: Reply): boolean {
    const { repliers, untilMs } = this.#all.get(ask) ?? {};
    if (repliers === undefined || untilMs === undefined || untilMs <= this.#clock.monotonicMs()) return false;
    return repliers.size < REPLIES_MAX && !repliers.has(replier);
  }

  /** Where a genuine answer goes; undefined when it came before, or too late. */
  pass(reply: Reply): PeerId | "own" | undefined {
    if (!this.expects(reply)) return undefined;
    const ask = this.#all.get(reply.ask);
    ask?.repliers.add(reply.replier);
    return ask?.from ?? "own";
  }

  expire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#all) if (untilMs <= nowMs) this.#all.delete(id);
  }
}
