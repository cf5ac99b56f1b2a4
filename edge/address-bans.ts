/**
 * Address prefixes that broke the rules, each for a growing time: a minute, then twice as long each time, an hour at most. A day without
 * an offence, and it begins at a minute again.
 */

export const BAN_FIRST_MS = 60_000;
export const BAN_MAX_MS = 3_600_000;
const FORGET_MS = 86_400_000;
/** Prefixes remembered; past that the one banned longest ago is forgotten. */
const PREFIXES_MAX = 4_096;

interface Ban {
  readonly untilMs: number;
  readonly lastMs: number;
}

export class AddressBans {
  readonly #bans = new Map<string, Ban>();

  /** ms that the ban still lasts; 0 when there is none. */
  leftMs(prefix: string | undefined, nowMs: number): number {
    const ban = prefix === undefined ? undefined : this.#bans.get(prefix);
    return ban === undefined ? 0 : Math.max(0, ban.untilMs - nowMs);
  }

  /** Another offence. One of a prefix that is banned already, by sockets that were open, changes nothing. */
  add(prefix: string, nowMs: number): void {
    const ban = this.#bans.get(prefix);
    if (ban !== undefined && nowMs < ban.untilMs) return;
    const isKnown = ban !== undefined && nowMs - ban.untilMs < FORGET_MS;
    const lastMs = isKnown ? Math.min(BAN_MAX_MS, ban.lastMs * 2) : BAN_FIRST_MS;
    this.#set(prefix, { untilMs: nowMs + lastMs, lastMs });
  }

  /** Somebody else has banned it. */
  learn(prefix: string, leftMs: number, nowMs: number): void {
    this.#set(prefix, {
      untilMs: nowMs + Math.min(BAN_MAX_MS, leftMs),
      lastMs: Math.max(BAN_FIRST_MS, leftMs),
    });
  }

  #set(prefix: string, ban: Ban): void {
    this.#bans.delete(prefix);
    this.#bans.set(prefix, ban);
    if (this.#bans.size > PREFIXES_MAX) this.#bans.delete(this.#bans.keys().next().value ?? "");
  }
}
