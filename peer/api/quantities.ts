/** Numbers as people read them: sizes, times, speeds. Pure: the same number gives the same text. */

/** `1.9 GB`: powers of ten, as file managers and network prices count. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = "";
  for (unit of units) {
    value /= 1000;
    if (value < 999.5) break;
  }
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `1 peer`, `2 peers`. */
export function counted(count: unknown, name: string): string {
  return `${String(count)} ${name}${count === 1 ? "" : "s"}`;
}

/** Speed over the last few seconds, so that a stall shows and a start does not mislead. */
export class SpeedMeter {
  /** Samples kept; at ten a second they span three seconds. */
  static readonly SAMPLES_MAX = 30;
  readonly #samples: { readonly timeMs: number; readonly bytes: number }[] = [];

  add(timeMs: number, bytes: number): void {
    this.#samples.push({ timeMs, bytes });
    if (this.#samples.length > SpeedMeter.SAMPLES_MAX) this.#samples.shift();
  }

  bytesPerSecond(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.timeMs <= first.timeMs) return 0;
    return ((last.bytes - first.bytes) * 1000) / (last.timeMs - first.timeMs);
  }
}
