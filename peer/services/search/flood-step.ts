/**
 * Where one question goes from one peer: a pure state machine. A question carries a budget, the number of peers that it may touch; each peer
 * takes one for itself and divides the rest among those it asks, so that the sum over the whole network never exceeds what the first
 * asker gave, however the peers are linked. Neighbours whose digest matches are asked first, then a few by chance. Who had the
 * question before says so, and its part goes to another. (Bounded like Gnutella's dynamic querying, steered by digests one step
 * ahead: with 32 links each, most peers of a network are a neighbour of somebody who is asked.)
 */

/** Neighbours with a matching digest that are asked at once. */
export const MATCHES_MAX = 8;
/** Neighbours that are asked at once where fewer match. */
export const FAN_OUT = 3;
/** The smallest part of one that is asked by chance: whoever is asked can ask one more, where a digest matches, and gives it back else. */
const PART_MIN = 2;
/** Neighbours that one peer asks for one question, those that had it before counted. */
export const ASKS_MAX = 16;

export interface FloodNeighbour {
  readonly id: string;
  /** Its digest says that it probably has what is wanted. */
  readonly matches: boolean;
}

export interface FloodState {
  readonly phase: "asking" | "over";
  /** Steps left from here. */
  readonly ttl: number;
  /** Hits still wanted. */
  readonly wanted: number;
  /** Peers newly touched, this one among them. With `spare` and what is open they make up the budget. */
  readonly touched: number;
  readonly spare: number;
  /** What may still be given out, also of what came back: else those who lie about their part could double it for ever. */
  readonly givable: number;
  readonly asksLeft: number;
  /** Parts of those that have been asked and have not ended. */
  readonly open: ReadonlyMap<string, number>;
  /** Still to be asked, in this order. */
  readonly others: readonly string[];
}

export type FloodEvent =
  /** Somebody who was asked has found so many. */
  | { readonly kind: "found"; readonly count: number }
  /** Somebody who was asked has nothing more to say. */
  | { readonly kind: "ended"; readonly id: string; readonly touched: number }
  /** The time is over, or nobody waits any more. */
  | { readonly kind: "stopped" };

export type FloodEffect =
  | { readonly kind: "ask"; readonly id: string; readonly ttl: number; readonly budget: number }
  /** No more is wanted from it. */
  | { readonly kind: "drop"; readonly id: string }
  | { readonly kind: "end"; readonly touched: number };

export interface FloodStep {
  readonly state: FloodState;
  readonly effects: readonly FloodEffect[];
}

/**
 * A question has come.
 * @param neighbours in the order in which they are to be asked: shuffled by the caller, without the one that asks
 * @param reach what the question brings; its budget counts this peer
 * @param wanted hits wanted, those found here already taken off
 */
export function beginFlood(
  neighbours: readonly FloodNeighbour[],
  reach: { readonly ttl: number; readonly budget: number },
  wanted: number,
): FloodStep {
  const spare = reach.budget - 1;
  const matching = neighbours.filter(({ matches }) => matches).map(({ id }) => id);
  const others = neighbours.filter(({ matches }) => !matches).map(({ id }) => id);
  const state: FloodState = {
    phase: "asking",
    ttl: reach.ttl,
    wanted,
    touched: 1,
    spare,
    givable: 2 * spare,
    asksLeft: ASKS_MAX,
    open: new Map(),
    others: [...matching, ...others],
  };
  return advance(state, Math.min(matching.length, MATCHES_MAX));
}

export function stepFlood(state: FloodState, event: FloodEvent): FloodStep {
  if (state.phase === "over") return { state, effects: [] };
  switch (event.kind) {
    case "found":
      return advance({ ...state, wanted: state.wanted - event.count });
    case "ended": {
      const given = state.open.get(event.id);
      if (given === undefined) return { state, effects: [] };
      const open = new Map(state.open);
      open.delete(event.id);
      const touched = Math.min(event.touched, given);
      return advance({
        ...state,
        open,
        touched: state.touched + touched,
        spare: state.spare + given - touched,
      });
    }
    case "stopped":
      return over(state);
  }
}

/** Gives what is spare to as many as may be under way at once. @param matching so many of the next have a digest that matches */
function advance(state: FloodState, matching = 0): FloodStep {
  if (state.wanted <= 0 || state.ttl === 0) return over(state);
  const atChance = Math.min(FAN_OUT - state.open.size, Math.floor(state.spare / PART_MIN));
  const count = Math.max(Math.min(matching, state.spare), atChance, 0);
  const step = ask(state, state.others.slice(0, count));
  return step.state.open.size === 0 ? over(step.state) : step;
}

function ask(state: FloodState, ids: readonly string[]): FloodStep {
  const open = new Map(state.open);
  const effects: FloodEffect[] = [];
  const part = Math.floor(state.spare / Math.max(1, ids.length));
  let { spare, givable, asksLeft } = state;
  for (const id of ids) {
    const budget = Math.min(part, givable);
    if (budget < 1 || asksLeft === 0) break;
    spare -= budget;
    givable -= budget;
    asksLeft -= 1;
    open.set(id, budget);
    effects.push({ kind: "ask", id, ttl: state.ttl - 1, budget });
  }
  return {
    state: { ...state, open, spare, givable, asksLeft, others: state.others.slice(ids.length) },
    effects,
  };
}

/** Those that are still at it count with all that they were given. */
function over(state: FloodState): FloodStep {
  let { touched } = state;
  const effects: FloodEffect[] = [];
  for (const [id, given] of state.open) {
    touched += given;
    effects.push({ kind: "drop", id });
  }
  effects.push({ kind: "end", touched });
  return { state: { ...state, phase: "over", touched, open: new Map() }, effects };
}
