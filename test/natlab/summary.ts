/** What all cells of a run say together: how many connect and are as theory says, how quickly, and how much of a consumer mix is direct. */
import type { Outcome } from "./matrix.ts";

export interface Summary {
  readonly cells: number;
  readonly connected: number;
  readonly asExpected: number;
  /** Medians and the worst, ms; undefined where there is none. */
  readonly firstByteMs: Spread | undefined;
  readonly directMs: Spread | undefined;
  /** Undefined where a kind of pair of the mix was not run. */
  readonly consumerMix: ConsumerMix | undefined;
  /** Relayed cells by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

export interface Spread {
  readonly median: number;
  readonly max: number;
}

export interface ConsumerMix {
  /** 0 to 1, of all pairs of the mix. */
  readonly direct: number;
  /** Of those that theory lets be direct. */
  readonly directOfPossible: number;
}

const EASY = "full-cone|address-restricted|port-restricted|carrier-grade";
/** Kinds of pairs and their share; within one kind every cell counts the same. */
const MIX: readonly { readonly share: number; readonly kind: RegExp }[] = [
  { share: 0.6, kind: new RegExp(`^(${EASY})/(${EASY})$`) },
  { share: 0.25, kind: new RegExp(`^((${EASY})/symmetric|symmetric/(${EASY}))$`) },
  { share: 0.1, kind: new RegExp(`^(${EASY})/(udp-blocked|tcp-443-only)$`) },
  { share: 0.05, kind: new RegExp(`^open/(${EASY}|open|symmetric)$`) },
];

export function summaryOf(outcomes: readonly Outcome[]): Summary {
  const reasons: Record<string, number> = {};
  for (const { path, why } of outcomes) if (path === "relay") reasons[why] = (reasons[why] ?? 0) + 1;
  return {
    cells: outcomes.length,
    connected: outcomes.filter(({ connected }) => connected).length,
    asExpected: outcomes.filter(({ ok }) => ok).length,
    firstByteMs: spreadOf(outcomes.map(({ firstByteMs }) => firstByteMs)),
    directMs: spreadOf(outcomes.map(({ directMs }) => directMs)),
    consumerMix: consumerMixOf(outcomes),
    reasons,
  };
}

function consumerMixOf(outcomes: readonly Outcome[]): ConsumerMix | undefined {
  let [direct, possible] = [0, 0];
  for (const { share, kind } of MIX) {
    const cells = outcomes.filter(({ cell }) => kind.test(cell));
    if (cells.length === 0) return undefined;
    direct += (share * cells.filter(({ path }) => path === "direct").length) / cells.length;
    possible += (share * cells.filter(({ expected }) => expected.path === "direct").length) / cells.length;
  }
  return { direct, directOfPossible: possible === 0 ? 0 : direct / possible };
}

function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const sorted = values.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  const [median, max] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  return median === undefined || max === undefined ? undefined : { median, max };
}
