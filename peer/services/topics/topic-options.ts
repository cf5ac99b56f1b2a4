/** What an application says of a topic, and what it is told. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { PlainValue } from "../plain-value.ts";
import { REPLIES_MAX } from "./asks.ts";
import { PAST_MAX } from "./protocol.ts";
import type { Verdict } from "./topic-duties.ts";

export type TopicValue = PlainValue;

export interface TopicMessage {
  /** Who published it, proved by signature. */
  readonly from: PeerId;
  readonly value: TopicValue;
  /** When, by the publisher's clock; ms since 1970. */
  readonly timeMs: number;
  /** 32 hexadecimal digits, the same at every peer. */
  readonly id: string;
  /** It was published before this peer came, and told by a neighbour. */
  readonly isPast: boolean;
}

export interface TopicReply {
  readonly from: PeerId;
  readonly value: TopicValue;
}

/** What a peer thinks of a message, before it goes on. `reject` also counts against the neighbour that passed it on. */
export type TopicVerdict = Verdict;

export interface TopicOptions {
  /**
   * Decides on each message before it is passed on; 2 s at most. All peers of a topic should decide alike: a message that one accepts and
   * the other rejects sets them apart. What is only unwanted here is to be ignored. @default accepts all
   */
  readonly validate?: (message: TopicMessage) => TopicVerdict | Promise<TopicVerdict>;
  /** Answers questions of other peers; undefined: no answer. */
  readonly answer?: (question: TopicMessage) => TopicValue | undefined | Promise<TopicValue | undefined>;
  /** Past messages to begin with, as far as neighbours have them; at most 1,000, of which they keep 4 MiB. @default 0 */
  readonly history?: number;
  /**
   * `sender`: what one peer published comes in its order, each message once. One that is missing holds its successors up as long as a neighbour is
   * known to have it, 15 s at most, and 2 s where none is. What was passed over never comes later; `Topic.missed` counts it. @default "none"
   */
  readonly order?: "none" | "sender";
  /**
   * Messages a second of one publisher, for long; a message counts once more for each 4 KiB. `publish` waits, what others send beyond twice
   * of that is dropped. All peers of a topic should name the same. @default 1_000
   */
  readonly rate?: number;
}

export const TOPIC_DEFAULTS = { history: 0, order: "none", rate: 1_000 } as const;
/** Of `rate`. */
export const RATE_MAX = 1_000_000;

export interface AskOptions {
  /** Answers are waited for so long, at most 60,000. @default 5_000 */
  readonly timeoutMs?: number;
  /** Ends with so many answers, at most 1,024. @default 1_024 */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export const ASK_DEFAULTS: { readonly timeoutMs: number; readonly limit: number } = {
  timeoutMs: 5_000,
  limit: REPLIES_MAX,
};

export interface TopicStatus {
  readonly name: string;
  /** Neighbours that are in the topic. */
  readonly peers: number;
  /** Those that messages are exchanged with. */
  readonly mesh: number;
  readonly published: number;
  readonly delivered: number;
  readonly duplicates: number;
  /** Forged, rejected, stale, or beyond the publisher's rate. */
  readonly refused: number;
}

/** @throws PeerloomError `usage/invalid` */
export function checkOptions(history: number, rate: number): void {
  if (!Number.isSafeInteger(history) || history < 0 || history > PAST_MAX)
    throw new PeerloomError("usage/invalid", `A topic's history is from 0 to ${PAST_MAX}, not ${history}.`);
  if (!(rate >= 1 && rate <= RATE_MAX))
    throw new PeerloomError(
      "usage/invalid",
      `A topic's rate is from 1 to ${RATE_MAX} a second, not ${rate}.`,
    );
}
