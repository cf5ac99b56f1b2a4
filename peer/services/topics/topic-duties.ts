/** What the mesh of a topic asks of whoever uses the topic: `judge.ts` decides what is let through, `topic.ts` takes what was. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Envelope, MessageId } from "./envelope.ts";
import type { Reply } from "./protocol.ts";

export type Verdict = "accept" | "ignore" | "reject";

/** What the mesh asks of whoever uses the topic. */
export interface TopicDuties {
  /** Decides, maybe later. @returns false: no room to decide; nothing is said then */
  judge(subject: JudgeSubject, done: (verdict: Verdict | "forged") => void): boolean;
  /** Whether its replier signed it. */
  judgeReply(reply: Reply, done: (isGenuine: boolean) => void): void;
  deliver(id: MessageId, envelope: Envelope): void;
  /** A genuine message that is not delivered here: the rule did not accept it. */
  withheld(envelope: Envelope): void;
  /** A past message, wherever it belongs among the others. */
  past(id: MessageId, envelope: Envelope): void;
  /** Those asked for the past have answered, or are gone. */
  pastOver(): void;
  /** An answer to this peer's own question. */
  replied(reply: Reply): void;
  /** Peers that may be in the topic. */
  heard(peers: readonly PeerId[]): void;
  /** Neighbours have come or gone; more may be wanted. */
  changed(): void;
}

/** A message that is to be judged, and the neighbour that brought it. */
export interface JudgeSubject {
  readonly from: PeerId;
  readonly id: MessageId;
  readonly envelope: Envelope;
  readonly isPast: boolean;
}
