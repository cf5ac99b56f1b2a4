import type { Link } from "../links/link.ts";

/** One way to a link. */
export interface Way {
  readonly name: string;
  /** Waits so long for a better way; not at all once one has failed. */
  readonly afterMs: number;
  link(signal: AbortSignal): Promise<Link>;
}
