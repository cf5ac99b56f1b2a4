/** What `overlay.ts` may ask of a process of nodes. Nodes are named by their place in the process. */
import type { Usage } from "./operations.ts";

export interface HostOperations {
  /** Opens so many nodes one after the other, each joined before the next. */
  open: {
    args: { readonly firstIndex: number; readonly count: number; readonly bootstrap: readonly string[] };
    result: readonly Opened[];
  };
  announce: { args: null; result: null };
  sizes: { args: null; result: readonly number[] };
  /** One look-up after the other. */
  find: { args: { readonly questions: readonly Question[] }; result: readonly TimedFinding[] };
  /** For each question, whether the node has a session with that other one. */
  connected: { args: { readonly questions: readonly Question[] }; result: readonly boolean[] };
  /** @returns milliseconds to the last byte echoed */
  ping: { args: { readonly question: Question; readonly bytes: number }; result: number };
  /** One more node: it joins, and at once pings one that it never met. */
  arrive: {
    args: {
      readonly index: number;
      readonly bootstrap: readonly string[];
      readonly name: string;
      readonly bytes: number;
    };
    result: { readonly joinMs: number; readonly pingMs: number };
  };
  put: { args: { readonly node: number; readonly text: string }; result: Stored | null };
  get: { args: { readonly questions: readonly Question[] }; result: readonly TimedFinding[] };
  sent: { args: null; result: Readonly<Record<string, number>> };
  usage: { args: { readonly collect: boolean }; result: Usage };
}

export interface Opened {
  readonly name: string;
  readonly address: string | undefined;
}

/** Of a node here: for another's name, or for a record's key. */
export interface Question {
  readonly node: number;
  readonly about: string;
}

export interface TimedFinding {
  readonly ms: number;
  readonly found: boolean;
  readonly messages: number;
}

export interface Stored {
  readonly key: string;
  readonly ms: number;
}
