/**
 * Address prefixes that broke the rules, each for a growing time: a minute, then twice as long each time, an hour at most. A day without
 * an offence, and it begins at a minute again.
 */

export const BAN_FIRST_MS = 60_000;
export const BAN_MAX_MS = 3_600_000;
/** So many strikes in a minute are an offence: somebody behind the same address may have a broken client, or mean another edge. */
export const STRIKES_MAX = 10;
const STRIKES_MS = 60_000;
const FORGET_MS = 86_400_000;
/** Prefixes remembered; past that the one banned longest ago is forgotten. */
const PREFIXES_MAX = 4_096;

interface Ban {
  readonly untilMs: number;
  readonly lastMs: number;
}

interface Strikes {
  readonly count: number;
  readonly sinceMs: number;
}

export class AddressBans {
  readonly #bans = new Map<string, Ban>();
  readonly #strikes = new Map<string, Strikes>();

  /** ms that the ban still lasts; 0 when there is none. */
  leftMs(prefix: string | undefined, nowMs: number): number {
    const ban = prefix === undefined ? undefined : this.#bans.get(prefix);
    return ban === undefined ? 0 : Math.max(0, ban.untilMs - nowMs);
  }

  /** Prefixes that are banned. */
  count(nowMs: number): number {
    return [...this.#bans.values()].filter(({ untilMs }) => untilMs > nowMs).length;
  }

  /** Another offence. One of a prefix that is banned already, by sockets that were open, changes nothing. */
  add(prefix: string, nowMs: number): void {
    const ban = this.#bans.get(prefix);
    if (ban !== undefined && nowMs < ban.untilMs) return;
    const isKnown = ban !== undefined && nowMs - ban.untilMs < FORGET_MS;
    const lastMs = isKnown ? Math.min(BAN_MAX_MS, ban.lastMs * 2) : BAN_FIRST_MS;
    setNewest(this.#bans, prefix, { untilMs: nowMs + lastMs, lastMs });
  }

  /** What may be a mistake, once; an offence when it comes often. */
  strike(prefix: string, nowMs: number): void {
    const before = this.#strikes.get(prefix);
    const isRecent = before !== undefined && nowMs - before.sinceMs < STRIKES_MS;
    const strikes = isRecent ? { ...before, count: before.count + 1 } : { count: 1, sinceMs: nowMs };
    if (strikes.count >= STRIKES_MAX) {
      this.#strikes.delete(prefix);
      this.add(prefix, nowMs);
    } else setNewest(this.#strikes, prefix, strikes);
  }

  /** Somebody else has banned it. */
  learn(prefix: string, leftMs: number, nowMs: number): void {
    setNewest(this.#bans, prefix, {
      untilMs: nowMs + Math.min(BAN_MAX_MS, leftMs),
      lastMs: Math.max(BAN_FIRST_MS, leftMs),
    });
  }
}

/** The one set longest ago goes when there are too many. */
function setNewest<T>(map: Map<string, T>, prefix: string, value: T): void {
  map.delete(prefix);
  map.set(prefix, value);
  if (map.size > PREFIXES_MAX) map.delete(map.keys().next().value ?? "");
}
