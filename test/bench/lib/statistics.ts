/** Numbers of rounds, told whole: the least, the middle, the most, and each. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** In the order they were measured. */
  readonly rounds: readonly number[];
}

export function spread(values: readonly number[], digits = 2): Spread {
  return {
    min: round(Math.min(...values), digits),
    median: round(quantile(values, 0.5), digits),
    max: round(Math.max(...values), digits),
    rounds: values.map((value) => round(value, digits)),
  };
}

/** Nearest rank. NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
