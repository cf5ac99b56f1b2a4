/**
 * A small ledger on a feed. Each writer has an account with 100 coins in it, named by its peer id, and all may spend the 100 of "joint".
 * Two rules make it: what no honest writer appends is rejected, and stops who appends it (`validate`); what an honest writer could not know to be
 * wrong, such as that somebody else has emptied the joint account meanwhile, is refused in the order that all share (`apply`).
 * Who signs two transfers for one number, to show one here and one there, is proven a forger and cut off: that needs no rule.
 */
import type { FeedEntry, ReducedFeedOptions } from "../../peer/node.ts";

export const JOINT = "joint";
const OPENING = 100;

export interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly coins: number;
}

export interface Ledger {
  /** Of accounts that have moved; the others have 100. */
  readonly balances: Readonly<Record<string, number>>;
  /** Transfers that were not covered: their hashes, the last hundred. */
  readonly refused: readonly string[];
}

export function balanceOf({ balances }: Ledger, account: string): number {
  return balances[account] ?? OPENING;
}

/** Pass it to `peer.feeds.open("ledger", ledger(writers))`; whoever passes other writers or rules is in another feed. */
export function ledger(writers: readonly string[]): ReducedFeedOptions<Ledger> {
  return {
    writers,
    rules: "ledger/1",
    initial: { balances: {}, refused: [] },
    validate: (entry) => (transferOf(entry, writers) === undefined ? "reject" : "accept"),
    apply(state, entry) {
      const transfer = transferOf(entry, writers);
      if (transfer === undefined) return state;
      const { from, to, coins } = transfer;
      const left = balanceOf(state, from) - coins;
      if (left < 0) return { ...state, refused: [...state.refused, entry.hash].slice(-100) };
      const balances = { ...state.balances, [from]: left };
      return { ...state, balances: { ...balances, [to]: (balances[to] ?? OPENING) + coins } };
    },
  };
}

/** Undefined when it is none that its writer may make. */
function transferOf({ writer, value }: FeedEntry, writers: readonly string[]): Transfer | undefined {
  if (typeof value !== "object" || value === null || !("from" in value && "to" in value && "coins" in value))
    return undefined;
  const { from, to, coins } = value;
  const isAccount = (account: unknown): account is string =>
    account === JOINT || (typeof account === "string" && writers.includes(account));
  const isOwn = from === writer || from === JOINT;
  if (!isOwn || !isAccount(from) || !isAccount(to) || from === to) return undefined;
  return typeof coins === "number" && Number.isSafeInteger(coins) && coins > 0
    ? { from, to, coins }
    : undefined;
}
