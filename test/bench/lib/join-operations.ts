/** What the processes of `edge.ts` may be asked. */
import type { Usage as Account } from "../../../shared/budget.ts";
import type { Usage } from "./operations.ts";

/** One process that runs an embedded edge. */
export interface EdgeOperations {
  /** @returns its URL */
  start: { args: { vars: Readonly<Record<string, string>> }; result: string };
  /** Kills it, and starts it again on the same port after so long. */
  restart: { args: { awayMs: number }; result: null };
  usage: { args: { collect: boolean }; result: Usage };
  /** What a network has used, by the edge's own account. */
  account: { args: { network: string }; result: Account };
  /** Of `/metrics`, by series. */
  metrics: { args: Record<string, never>; result: Readonly<Record<string, number>> };
}

/** One of several processes that hold sockets. */
export interface LoadOperations {
  /** Opens so many, some at a time. */
  open: {
    args: { edge: string; network: string; count: number; atOnce: number };
    result: {
      tookMs: readonly number[];
      /** Members of its shard that each was told of, itself among them. */
      membersTold: readonly number[];
      refused: Readonly<Record<string, number>>;
    };
  };
  /** Sockets that are lost from now on come back by themselves. */
  comeBack: { args: { edge: string }; result: null };
  /** Before the edge is killed once more: `returns` begins anew. */
  forget: { args: Record<string, never>; result: null };
  /** What became of them since `comeBack` or `forget`, wall clock in ms. */
  returns: {
    args: Record<string, never>;
    result: {
      joined: number;
      dialsMs: readonly number[];
      joinsMs: readonly number[];
      /** Dials that the edge did not get round to. */
      timedOut: number;
    };
  };
  close: { args: Record<string, never>; result: null };
}
