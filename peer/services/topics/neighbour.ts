/** A peer that this one has a session with, as far as topics are concerned. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Allowance } from "../../overlay/allowance.ts";
import type { TopicId } from "./envelope.ts";
import type { Score } from "./score.ts";

export interface GossipNeighbour {
  readonly id: PeerId;
  readonly score: Score;
  /** Topics that it says it is in. */
  readonly interests: Set<TopicId>;
  /** Of all messages but those that were published, which have allowances of their own. */
  readonly words: Allowance;
}
