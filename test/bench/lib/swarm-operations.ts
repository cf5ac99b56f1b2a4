/** What a member of a swarm may be asked, whichever stack it is of. */
import type { Usage } from "./operations.ts";

export interface SwarmOperations {
  /** Opens it. @returns what the next ones must know of the first: a tracker's address, or nothing */
  open: {
    args: { readonly meeting: string; readonly upload: number | null };
    result: string;
  };
  /** Offers a file, joining those whose ticket it is given. @returns what getters must know */
  share: { args: { readonly path: string; readonly ticket: string | null }; result: string };
  get: { args: { readonly ticket: string; readonly path: string }; result: GetFigures };
  usage: { args: null; result: Usage };
}

export interface GetFigures {
  readonly seconds: number;
  /** That gave something; 0 where the stack does not tell. */
  readonly sources: number;
  /** Bytes that came in vain; 0 where the stack does not tell. */
  readonly discarded: number;
}
