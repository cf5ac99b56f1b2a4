/**
 * Network coordinates: Vivaldi (Dabek et al., SIGCOMM 2004), two dimensions and a height, in milliseconds. Two peers that never
 * spoke can tell about how far apart they are, so that of many candidates the near one is opened.
 */
import type { Random } from "../../runtime.ts";

export interface Coordinate {
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

/** How far one sample moves the coordinate. */
const STEP = 0.25;
const ERROR_STEP = 0.25;
const ERROR_FIRST = 1;
const HEIGHT_MS_MIN = 1;
/** Beyond this a coordinate is a lie or a broken clock. */
export const COORDINATE_MS_MAX = 10_000;

/** Predicted round trip. */
export function predictRttMs(a: Coordinate, b: Coordinate): number {
  return Math.hypot(a.x - b.x, a.y - b.y) + a.height + b.height;
}

export class OwnCoordinate implements Coordinate {
  readonly #random: Random;
  x = 0;
  y = 0;
  height: number = HEIGHT_MS_MIN;
  /** Relative, 0 to 1: how little this coordinate can be trusted. */
  error: number = ERROR_FIRST;

  constructor(random: Random) {
    this.#random = random;
  }

  /** One measured round trip to a peer that says it is there, and how sure it is. */
  measured(rttMs: number, theirs: Coordinate, theirError: number): void {
    const predicted = predictRttMs(this, theirs);
    const trust = this.error / (this.error + Math.max(theirError, 0.05));
    const relative = Math.min(Math.abs(predicted - rttMs) / Math.max(rttMs, 1), 1);
    this.error += ERROR_STEP * trust * (relative - this.error);
    const push = STEP * trust * (rttMs - predicted);
    let [dx, dy] = [this.x - theirs.x, this.y - theirs.y];
    let length = Math.hypot(dx, dy);
    if (length < 0.001) {
      const angle = this.#random.unit() * 2 * Math.PI;
      [dx, dy, length] = [Math.cos(angle), Math.sin(angle), 1];
    }
    const clamp = (value: number): number => Math.min(Math.max(value, -COORDINATE_MS_MAX), COORDINATE_MS_MAX);
    this.x = clamp(this.x + (push * dx) / length);
    this.y = clamp(this.y + (push * dy) / length);
    this.height = Math.min(Math.max(this.height + push * 0.1, HEIGHT_MS_MIN), COORDINATE_MS_MAX);
  }
}
