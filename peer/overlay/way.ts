import type { Link } from "../links/link.ts";
import type { PeerSession } from "../session/session.ts";

/** One way to a peer. */
interface Named {
  readonly name: string;
  /** Waits so long for a better way; not at all once one has failed. */
  readonly afterMs: number;
}

/** One way to a link. */
export interface Way extends Named {
  link(signal: AbortSignal): Promise<Link>;
}

/** One that makes the session itself, over more than one link. */
export interface SessionWay extends Named {
  /** @param linked a link stands, and the other side must answer on it */
  session(signal: AbortSignal, linked: () => void): Promise<PeerSession>;
}
