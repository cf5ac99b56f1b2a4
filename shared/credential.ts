/**
 * Who may be in a private network: a chain of signed links from the key in the network's name to one peer. All links but the last are
 * invites, the last names the member; each is signed by the key that the one before names, the first by the network's key. So whoever
 * knows the network's name can check a credential, the edge and peers alike, and needs nobody for it. The bytes are laid down in WIRE.md.
 */
import { concatBytes, utf8, utf8Decode } from "./bytes.ts";
import { decode, encode, FieldReader } from "./codec.ts";
import { type ErrorCode, PeerloomError } from "./errors.ts";
import {
  type NetworkName,
  networkKeyOf,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "./ids.ts";
import { CREDENTIAL_BYTES_MAX } from "./limits.ts";

/** What a member may do beside being one. Bits of `abilities`. */
export const ABILITY = { relay: 1, publish: 2, index: 4, compute: 8 } as const;
export type Ability = keyof typeof ABILITY;
export const ABILITIES_ALL = 15;

/** Invites between the network's key and a member: one, and three that others made of it. */
export const DELEGATIONS_MAX = 3;
const LINKS_MAX: number = DELEGATIONS_MAX + 2;
/** Members that an invite with a use count may bring: each is remembered. */
export const USES_MAX = 1_000;
/** `expiresMs` of what does not end: the last millisecond of the year 9999. */
export const NEVER_MS = 253_402_300_799_999;

/** A pebibyte: the largest quota that says something. */
export const RELAY_BYTES_PER_DAY_MAX: number = 2 ** 50;

const VERSION = 1;
const DOMAIN = "peerloom/member/1\n";
const SIGNATURE_BYTES = 64;
const LINK_BYTES_MAX = 192; // CREDENTIAL_BYTES_MAX follows from it, and from LINKS_MAX
const LIMITS = { bytesMax: CREDENTIAL_BYTES_MAX, depthMax: 2, itemsMax: 3 * LINKS_MAX + 1 } as const;
const LINK_LIMITS = { bytesMax: LINK_BYTES_MAX, depthMax: 1, itemsMax: 11, textBytesMax: 0 } as const;
const ROLE = { invite: 0, member: 1 } as const;

/** What one link says of the key that it names. */
export interface Grant {
  readonly role: keyof typeof ROLE;
  readonly network: NetworkName;
  /** The invite's key, or the member's: the peer id. Both are banned by it. */
  readonly subject: PeerId;
  /** Bits of `ABILITY`. */
  readonly abilities: number;
  /** Wall clock, ms since 1970: the end of the invite and of all who came by it. */
  readonly expiresMs: number;
  /** Of an invite: members it may bring in all, its own invites' included. 0: any number. */
  readonly uses: number;
  /** Of an invite: how many invites may follow one on another from it. */
  readonly delegations: number;
  /** Bytes that relays pass for the member in a day (UTC), both ways; undefined: no bound. Only where it may relay. */
  readonly relayBytesPerDay?: number | undefined;
}

export interface SignedGrant {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** An invite on the way from the network's key to a member, which has a use count. */
export interface CountedInvite {
  readonly id: PeerId;
  readonly uses: number;
  readonly expiresMs: number;
}

/** A credential that was checked. */
export interface Credential {
  readonly network: NetworkName;
  readonly member: PeerId;
  readonly abilities: number;
  /** As in `Grant`. */
  readonly relayBytesPerDay?: number | undefined;
  readonly expiresMs: number;
  /** Every key it hangs on, the member's last: a ban of any of them ends it. */
  readonly keys: readonly PeerId[];
  readonly counted: readonly CountedInvite[];
}

/** True when that key signed these bytes; must not throw. */
export type Verify = (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => Promise<boolean>;

/** The body of a link. */
export function encodeGrant(grant: Grant): Uint8Array {
  const { role, network, subject, abilities, expiresMs, uses, delegations, relayBytesPerDay } = grant;
  return encode([
    VERSION,
    ROLE[role],
    utf8(network),
    publicKeyOf(subject),
    abilities,
    expiresMs,
    uses,
    delegations,
    // Left out where there is none, so that who knows no quota takes what has none, and refuses what has one.
    ...(relayBytesPerDay === undefined ? [] : [relayBytesPerDay]),
  ]);
}

/** What is signed of a link. */
export function grantClaim(body: Uint8Array): Uint8Array {
  return concatBytes(utf8(DOMAIN), body);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeGrant(body: Uint8Array): Grant {
  const fields = new FieldReader(decode(body, LINK_LIMITS), "link of a credential");
  fields.integer(VERSION, VERSION);
  const role = fields.integer(ROLE.invite, ROLE.member) === ROLE.invite ? "invite" : "member";
  const network = parseNetworkName(textOf(fields.bytes(1, 64)));
  if (network === undefined) throw new PeerloomError("wire/malformed", "A credential names no network.");
  const grant = {
    role,
    network,
    subject: peerIdFromKey(fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES)),
    abilities: fields.integer(0, ABILITIES_ALL),
    expiresMs: fields.integer(0, NEVER_MS),
    uses: fields.integer(0, USES_MAX),
    delegations: fields.integer(0, DELEGATIONS_MAX),
    relayBytesPerDay: fields.isAtEnd ? undefined : fields.integer(1, RELAY_BYTES_PER_DAY_MAX),
  } as const;
  fields.end();
  return grant;
}

export function encodeChain(links: readonly SignedGrant[]): Uint8Array {
  return encode(links.map(({ body, signature }) => [body, signature]));
}

/** Well formed, not yet believed. @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeChain(bytes: Uint8Array): readonly SignedGrant[] {
  const value = decode(bytes, LIMITS);
  if (!Array.isArray(value) || value.length === 0 || value.length > LINKS_MAX)
    throw new PeerloomError("wire/malformed", "This is no credential.");
  return value.map((item) => {
    const fields = new FieldReader(item, "link of a credential");
    const link = {
      body: fields.bytes(1, LINK_BYTES_MAX),
      signature: fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES),
    };
    fields.end();
    return link;
  });
}

/**
 * Checks the links of a chain as far as they go: an invite's own chain, or a member's.
 * @returns what they grant, in order
 * @throws PeerloomError `network/not-member` (forged, of another network, or granting more than was granted)
 */
export async function checkChain(
  links: readonly SignedGrant[],
  network: NetworkName,
  verify: Verify,
): Promise<readonly Grant[]> {
  let signer = networkKeyOf(network);
  const grants: Grant[] = [];
  for (const { body, signature } of links) {
    const before = grants.at(-1);
    const grant = readGrant(body);
    if (signer === undefined || grant.network !== network) throw noMember("is of another network");
    if (before !== undefined && !isWithin(grant, before)) throw noMember("grants more than was granted");
    if (!(await verify(signer, grantClaim(body), signature))) throw noMember("bears a wrong signature");
    grants.push(grant);
    signer = publicKeyOf(grant.subject);
  }
  return grants;
}

/**
 * Checks a member's credential; whether it has ended or was banned is another question (`refusalOf`).
 * @throws PeerloomError `network/not-member`, `wire/malformed`, `wire/too-large`
 */
export async function checkCredential(
  bytes: Uint8Array,
  network: NetworkName,
  verify: Verify,
): Promise<Credential> {
  const grants = await checkChain(decodeChain(bytes), network, verify);
  const last = grants.at(-1);
  if (last?.role !== "member") throw noMember("names no member");
  return {
    network,
    member: last.subject,
    abilities: last.abilities,
    relayBytesPerDay: last.relayBytesPerDay,
    expiresMs: last.expiresMs,
    keys: grants.map(({ subject }) => subject),
    counted: grants.flatMap(({ role, subject, uses, expiresMs }) =>
      role === "invite" && uses > 0 ? [{ id: subject, uses, expiresMs }] : [],
    ),
  };
}

/** Why a credential that was checked is not good now, or undefined. Pure. */
export function refusalOf(
  { expiresMs, keys }: Pick<Credential, "expiresMs" | "keys">,
  nowMs: number,
  isBanned: (key: PeerId) => boolean,
): ErrorCode | undefined {
  if (keys.some(isBanned)) return "network/banned";
  return expiresMs <= nowMs ? "network/expired" : undefined;
}

/** What people are told of a refusal. */
export const REFUSAL_TEXT: Readonly<Partial<Record<ErrorCode, string>>> = {
  "network/not-member": "This network is private. Ask its owner for an invite.",
  "network/invite-used": "This invite has brought as many members as it may. Ask for another.",
  "network/expired": "The invite that this membership came from has ended. Ask for another.",
  "network/banned": "The owner of this network has banned this peer, or revoked the invite it came with.",
  "network/not-allowed": "The invite does not allow this. Ask the network's owner for one that does.",
};

/** A link may grant no more than the invite above it. */
function isWithin(grant: Grant, above: Grant): boolean {
  if (above.role !== "invite") return false;
  if ((grant.abilities & ~above.abilities) !== 0 || grant.expiresMs > above.expiresMs) return false;
  if (!isQuotaWithin(grant.relayBytesPerDay, above.relayBytesPerDay)) return false;
  if (grant.role === "member") return grant.uses === 0 && grant.delegations === 0;
  const fits = above.uses === 0 || (grant.uses > 0 && grant.uses <= above.uses);
  return fits && grant.delegations < above.delegations;
}

/** No quota is more than any. */
export function isQuotaWithin(quota: number = Infinity, above: number = Infinity): boolean {
  return quota <= above;
}

function readGrant(body: Uint8Array): Grant {
  try {
    return decodeGrant(body);
  } catch (cause) {
    throw new PeerloomError("network/not-member", "A credential is malformed.", { cause });
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes);
  } catch {
    return "";
  }
}

function noMember(why: string): PeerloomError {
  return new PeerloomError("network/not-member", `A credential ${why}.`);
}
