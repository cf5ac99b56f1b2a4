/** Making an invite, and writing down that it was made. It needs nobody else: who joins by it shows that it was allowed. */
import {
  type Ability,
  ABILITY,
  DELEGATIONS_MAX,
  NEVER_MS,
  RELAY_BYTES_PER_DAY_MAX,
  USES_MAX,
} from "../../../shared/credential.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { type Authority, inviteUrl, makeInvite } from "../../identity/invites.ts";
import type { IssuedInvite, NetworkKeys } from "../../identity/network-keys.ts";
import type { Runtime } from "../../runtime.ts";

export interface InviteOptions {
  /** What those who come by it may do. @default everything that this peer may */
  readonly abilities?: readonly Ability[];
  /** The invite ends after this long, and with it every membership that came from it. @default as this peer's own */
  readonly ttlMs?: number;
  /** Members it may bring in all, at most 1,000. @default any number, or as many as this peer's own invite */
  readonly uses?: number;
  /** Invites that may follow one on another from it, at most 3. @default 0 */
  readonly delegations?: number;
  /**
   * Bytes that the edge's relays pass for each of those who come by it in a day (UTC), both ways, at most 2^50; then `network/relay-quota`.
   * @default any number, or as many as this peer's own invite
   */
  readonly relayBytesPerDay?: number;
}

export interface MadeInvite {
  /** Hand it to the newcomer by a way you trust: whoever has it may join. */
  readonly url: string;
  /** What `revoke` takes. */
  readonly id: PeerId;
  readonly abilities: readonly Ability[];
  /** Wall clock, ms since 1970; undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** Undefined: any number. */
  readonly uses: number | undefined;
  readonly delegations: number;
  /** Undefined: any number. */
  readonly relayBytesPerDay: number | undefined;
}

export interface Issuer {
  readonly authority: Authority;
  readonly keys: NetworkKeys;
  /** Origin that newcomers join. */
  readonly edge: string | undefined;
  readonly runtime: Pick<Runtime, "clock" | "random">;
}

/** @throws PeerloomError `network/not-allowed`, `usage/invalid` */
export async function issueInvite(
  { authority, keys, edge, runtime }: Issuer,
  { uses, ttlMs, abilities, delegations = 0, relayBytesPerDay }: InviteOptions = {},
): Promise<MadeInvite> {
  if (!isWithin(uses ?? 1, 1, USES_MAX))
    throw new PeerloomError("usage/invalid", `An invite brings 1 to ${USES_MAX} members, not ${uses}.`);
  if (ttlMs !== undefined && !(ttlMs > 0))
    throw new PeerloomError("usage/invalid", `An invite lasts longer than ${ttlMs} ms.`);
  if (!isWithin(delegations, 0, DELEGATIONS_MAX))
    throw new PeerloomError(
      "usage/invalid",
      `Invites follow one on another 0 to ${DELEGATIONS_MAX} deep, not ${delegations}.`,
    );
  if (!isWithin(relayBytesPerDay ?? 1, 1, RELAY_BYTES_PER_DAY_MAX))
    throw new PeerloomError("usage/invalid", `A quota is 1 to 2^50 bytes a day, not ${relayBytesPerDay}.`);
  const madeMs = Math.trunc(runtime.clock.nowMs());
  const terms = {
    delegations,
    ...(uses !== undefined && { uses }),
    ...(ttlMs !== undefined && { expiresMs: Math.trunc(madeMs + ttlMs) }),
    ...(abilities !== undefined && { abilities: bitsOf(abilities) }),
    ...(relayBytesPerDay !== undefined && { relayBytesPerDay }),
  };
  const { invite, grant } = await makeInvite(authority, terms, edge, runtime.random);
  const issued = { ...grant, id: grant.subject, madeMs };
  await keys.keepIssued(authority.network, issued);
  return { url: inviteUrl(invite), ...shownInvite(issued) };
}

/** An invite as people see it. */
export function shownInvite(invite: Omit<IssuedInvite, "madeMs">): Omit<MadeInvite, "url"> {
  const { id, abilities, expiresMs, uses, delegations, relayBytesPerDay } = invite;
  return {
    id,
    abilities: abilitiesOf(abilities),
    expiresAtMs: dateOf(expiresMs),
    uses: uses === 0 ? undefined : uses,
    delegations,
    relayBytesPerDay,
  };
}

export function abilitiesOf(bits: number): readonly Ability[] {
  return (Object.keys(ABILITY) as Ability[]).filter((name) => (bits & ABILITY[name]) !== 0);
}

/** Undefined: never. */
export function dateOf(expiresMs: number): number | undefined {
  return expiresMs === NEVER_MS ? undefined : expiresMs;
}

function isWithin(count: number, min: number, max: number): boolean {
  return Number.isSafeInteger(count) && count >= min && count <= max;
}

function bitsOf(abilities: readonly Ability[]): number {
  return abilities.reduce((bits, name) => bits | ABILITY[name], 0);
}
