/**
 * How far simulated peers are from each other: five regions on a plane, access links of their own, scaled so that the median round
 * trip of two random peers is what was asked for. Not measured anywhere: a stand-in with the shape of such matrices
 * (King: Gummadi, Saroiu and Gribble, IMW 2002), with clusters and a heavy-tailed last mile.
 */
import type { Random } from "../runtime.ts";

export interface Position {
  readonly x: number;
  readonly y: number;
  /** The last mile, ms. */
  readonly access: number;
}

/** Centres as they lie on a map, in no unit, and how many of a hundred peers live there. */
const REGIONS: readonly { readonly x: number; readonly y: number; readonly share: number }[] = [
  { x: 0, y: 0, share: 30 },
  { x: 40, y: 5, share: 20 },
  { x: -65, y: -10, share: 30 },
  { x: -50, y: 60, share: 8 },
  { x: 70, y: -50, share: 12 },
];
const REGION_SPREAD = 9;
const ACCESS_MEDIAN_MS = 4;
const ACCESS_SPREAD = 0.7;
const SAMPLES = 4_000;

export class LatencySpace {
  readonly #random: Random;
  readonly #scale: number;

  constructor(random: Random, rttMsMedian: number) {
    this.#random = random;
    const sample = Array.from({ length: SAMPLES }, () => between(this.place(), this.place()));
    sample.sort((a, b) => a - b);
    this.#scale = rttMsMedian / (sample[SAMPLES / 2] as number);
  }

  /** A random peer's position. */
  place(): Position {
    let ticket = this.#random.unit() * 100;
    const region =
      REGIONS.find(({ share }) => (ticket -= share) < 0) ?? (REGIONS[0] as { x: number; y: number });
    return {
      x: region.x + REGION_SPREAD * normal(this.#random),
      y: region.y + REGION_SPREAD * normal(this.#random),
      access: ACCESS_MEDIAN_MS * Math.exp(ACCESS_SPREAD * normal(this.#random)),
    };
  }

  rttMs(a: Position, b: Position): number {
    return this.#scale * between(a, b);
  }
}

function between(a: Position, b: Position): number {
  return Math.hypot(a.x - b.x, a.y - b.y) + a.access + b.access;
}

/** Standard normal, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());
}
