/**
 * Where one question goes from one peer: a pure state machine. A question carries a budget, the number of peers that it may touch; each peer
 * takes one for itself and divides the rest among those it asks, so that the sum over the whole network never exceeds what the first
 * asker gave, however the peers are linked. Neighbours whose digest matches are asked first, each for itself alone; only when they do
 * not have enough it goes on, to a few neighbours by chance, each with its part. Who had the question before says so, and its part goes to
 * another. (Bounded like Gnutella's dynamic querying, steered by digests one step ahead; most peers of a network of 32 links a peer
 * are thereby known to somebody within two steps.)
 */

/** Neighbours with a matching digest that are asked. */
export const MATCHES_MAX = 8;
/** Neighbours among which the rest of a budget is divided. */
export const FAN_OUT = 3;
/** The smallest part: whoever is asked can ask one more, where a digest matches, and gives it back else. */
const PART_MIN = 2;
/** Neighbours that one peer asks for one question, those that had it before counted. */
export const ASKS_MAX = 16;

export interface FloodNeighbour {
  readonly id: string;
  /** Its digest says that it probably has what is wanted. */
  readonly matches: boolean;
}

export interface FloodState {
  readonly phase: "matching" | "walking" | "over";
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
  /** To be asked for themselves alone. */
  readonly matching: readonly string[];
  /** To go on to. */
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
  return advance({
    phase: "matching",
    ttl: reach.ttl,
    wanted,
    touched: 1,
    spare,
    givable: 2 * spare,
    asksLeft: ASKS_MAX,
    open: new Map(),
    matching: matching.slice(0, MATCHES_MAX),
    others: [...others, ...matching.slice(MATCHES_MAX)],
  });
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

function advance(state: FloodState): FloodStep {
  if (state.wanted <= 0 || state.ttl === 0) return over(state);
  if (state.phase === "matching") {
    const step = ask({ ...state, matching: [] }, state.matching, 1, 0);
    if (step.state.open.size > 0) return step;
  }
  const walking: FloodState = { ...state, phase: "walking" };
  const step = goOn(walking);
  return step.state.open.size === 0 ? over(step.state) : step;
}

/** Gives what is spare to as many as may be under way at once. */
function goOn(state: FloodState): FloodStep {
  const room = Math.min(FAN_OUT - state.open.size, Math.floor(state.spare / PART_MIN));
  const chosen = state.others.slice(0, Math.max(0, room));
  const part = Math.floor(state.spare / Math.max(1, chosen.length));
  return ask({ ...state, others: state.others.slice(chosen.length) }, chosen, part, state.ttl - 1);
}

function ask(state: FloodState, ids: readonly string[], budget: number, ttl: number): FloodStep {
  const open = new Map(state.open);
  const effects: FloodEffect[] = [];
  let { spare, givable, asksLeft } = state;
  for (const id of ids) {
    const given = Math.min(budget, spare, givable);
    if (given < 1 || asksLeft === 0) break;
    spare -= given;
    givable -= given;
    asksLeft -= 1;
    open.set(id, given);
    effects.push({ kind: "ask", id, ttl, budget: given });
  }
  return { state: { ...state, open, spare, givable, asksLeft }, effects };
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
