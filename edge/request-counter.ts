/**
 * Requests of each key in the running minute, in this isolate's memory, for where Cloudflare does not count them. Miniflare's own counter
 * writes a row for each request and waits for its disk: a flood of prefixes then made everybody else wait for seconds at the door.
 */

/** As in wrangler.toml; a test compares. */
export const LIMIT_REQUESTS = 1_200;
export const LIMIT_PERIOD_MS = 60_000;
/** Keys counted at once; past that the one that came first is forgotten, and may begin again. */
const KEYS_MAX = 65_536;

const counts = new Map<string, number>();
let windowStartMs = Number.NEGATIVE_INFINITY;

export function mayPass(key: string, nowMs: number): boolean {
  if (nowMs - windowStartMs >= LIMIT_PERIOD_MS) {
    counts.clear();
    windowStartMs = nowMs;
  }
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  if (counts.size > KEYS_MAX) counts.delete(counts.keys().next().value as string);
  return count <= LIMIT_REQUESTS;
}
