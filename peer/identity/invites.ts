/**
 * Invites of private networks: a key pair of their own and the chain of signatures that vouches for it. Whoever holds one signs its own
 * membership with the invite's key, so it works with nobody there to ask; and, if the invite says so, further invites. As text it is one
 * URL that opens the edge's page too; what is secret stays in the fragment, which browsers send to nobody.
 */
import { bufferSource, fromBase64Url, toBase64Url, utf8 } from "../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import {
  ABILITIES_ALL,
  checkChain,
  decodeChain,
  encodeChain,
  encodeGrant,
  type Grant,
  grantClaim,
  isQuotaWithin,
  NEVER_MS,
  type SignedGrant,
} from "../../shared/credential.ts";
import { PeerloomError } from "../../shared/errors.ts";
import {
  type NetworkName,
  networkKeyOf,
  networkKindOf,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  privateNetworkName,
} from "../../shared/ids.ts";
import { CREDENTIAL_BYTES_MAX } from "../../shared/limits.ts";
import type { Random } from "../runtime.ts";
import { type Identity, identityFromSeed, SEED_BYTES } from "./identity.ts";
import { verify } from "./verify.ts";

/** Who may sign for a network: its owner, or the holder of an invite. */
export interface Authority {
  readonly network: NetworkName;
  readonly key: Pick<Identity, "id" | "sign">;
  /** From the network's key to this one; empty for the owner. */
  readonly chain: readonly SignedGrant[];
  /** The most that may be granted. */
  readonly limits: Pick<Grant, "abilities" | "expiresMs" | "uses" | "delegations" | "relayBytesPerDay">;
}

export interface Invite {
  readonly network: NetworkName;
  /** Secret: makes the invite's key. */
  readonly seed: Uint8Array;
  readonly chain: readonly SignedGrant[];
  /** Origin of the edge to join, if it names one. */
  readonly edge: string | undefined;
}

/** What a new invite grants. Everything left out is as much as its maker may. */
export interface InviteTerms {
  readonly abilities?: number;
  /** Wall clock, ms since 1970. */
  readonly expiresMs?: number;
  /** 0: any number. */
  readonly uses?: number;
  /** Invites that may follow one on another from it. @default 0 */
  readonly delegations?: number;
  /** Bytes that relays pass for each member in a day. */
  readonly relayBytesPerDay?: number | undefined;
}

const VERSION = 1;
const INVITE_BYTES_MAX: number = CREDENTIAL_BYTES_MAX + 512;
const LIMITS = { bytesMax: INVITE_BYTES_MAX, depthMax: 1, itemsMax: 6, textBytesMax: 256 } as const;
const FRAGMENT = "#invite=";
const BARE = "peerloom:invite/";
/** Of PBKDF2-HMAC-SHA-256, as OWASP has advised since 2023: who knows a network's name can try secrets against it. */
const SECRET_ITERATIONS = 600_000;
const SECRET_DOMAIN = "peerloom/secret/1\n";

export function ownerAuthority(owner: Identity): Authority {
  return {
    network: privateNetworkName("invite", owner.publicKey),
    key: owner,
    chain: [],
    limits: { abilities: ABILITIES_ALL, expiresMs: NEVER_MS, uses: 0, delegations: Number.POSITIVE_INFINITY },
  };
}

/** @throws PeerloomError `network/invite-invalid` (forged, changed, of another key) */
export async function inviteAuthority({ network, seed, chain }: Invite): Promise<Authority> {
  const key = await identityFromSeed(seed);
  const grants = await checkChain(chain, network, verify).catch((cause: unknown) => {
    throw invalid("its signatures do not hold", cause);
  });
  const last = grants.at(-1);
  if (last?.role !== "invite" || last.subject !== key.id) throw invalid("its key is another");
  return { network, key, chain, limits: last };
}

/** The membership of a peer, as it is shown to others. */
export async function certify(authority: Authority, member: PeerId): Promise<Uint8Array> {
  const { network, limits } = authority;
  const { abilities, expiresMs, relayBytesPerDay } = limits;
  const grant: Grant = {
    role: "member",
    network,
    subject: member,
    abilities,
    expiresMs,
    uses: 0,
    delegations: 0,
    relayBytesPerDay,
  };
  return encodeChain([...authority.chain, await sign(authority, grant)]);
}

/** @throws PeerloomError `network/not-allowed` when it would grant more than its maker may */
export async function makeInvite(
  authority: Authority,
  terms: InviteTerms,
  edge: string | undefined,
  random: Random,
): Promise<{ readonly invite: Invite; readonly grant: Grant }> {
  const { network, limits } = authority;
  const seed = random.bytes(SEED_BYTES);
  const { id: subject } = await identityFromSeed(seed);
  const {
    abilities = limits.abilities,
    expiresMs = limits.expiresMs,
    uses = limits.uses,
    delegations = 0,
    relayBytesPerDay = limits.relayBytesPerDay,
  } = terms;
  const grant: Grant = {
    role: "invite",
    network,
    subject,
    abilities,
    expiresMs,
    uses,
    delegations,
    relayBytesPerDay,
  };
  const fits = limits.uses === 0 || (uses > 0 && uses <= limits.uses);
  const isWithin =
    (abilities & ~limits.abilities) === 0 &&
    expiresMs <= limits.expiresMs &&
    fits &&
    isQuotaWithin(relayBytesPerDay, limits.relayBytesPerDay);
  if (delegations >= limits.delegations || !isWithin) {
    const text =
      limits.delegations === 0
        ? "The invite that this peer came with may not be passed on. Ask for one that is delegable."
        : "An invite grants no more than its maker has.";
    throw new PeerloomError("network/not-allowed", text);
  }
  const chain = [...authority.chain, await sign(authority, grant)];
  return { invite: { network, seed, chain, edge }, grant };
}

export function encodeInvite({ network, seed, chain, edge }: Invite): Uint8Array {
  return encode([VERSION, network, seed, encodeChain(chain), edge ?? null]);
}

/** @throws PeerloomError `network/invite-invalid` */
export function decodeInvite(bytes: Uint8Array): Invite {
  try {
    const fields = new FieldReader(decode(bytes, LIMITS), "invite");
    fields.integer(VERSION, VERSION);
    const invite = {
      network: fields.parsed(parseNetworkName, "a network name"),
      seed: fields.bytes(SEED_BYTES, SEED_BYTES),
      chain: decodeChain(fields.bytes(1, CREDENTIAL_BYTES_MAX)),
      edge: fields.skipNull() ? undefined : fields.parsed(parseOrigin, "an edge"),
    };
    fields.end();
    return invite;
  } catch (cause) {
    if (!(cause instanceof PeerloomError)) throw cause;
    throw invalid("it is cut short or changed", cause);
  }
}

/** `https://edge.example/#invite=…`, or `peerloom:invite/…` where there is no edge. */
export function inviteUrl(invite: Invite): string {
  const text = toBase64Url(encodeInvite(invite));
  return invite.edge === undefined ? BARE + text : `${invite.edge}/${FRAGMENT}${text}`;
}

/** @throws PeerloomError `network/invite-invalid` */
export function parseInvite(url: string): Invite {
  const text = url.trim();
  const at = text.indexOf(FRAGMENT);
  const start = at >= 0 ? at + FRAGMENT.length : text.startsWith(BARE) ? BARE.length : undefined;
  const bytes = start === undefined ? undefined : fromBase64Url(text.slice(start));
  if (bytes === undefined) throw invalid("it is no invite's URL");
  return decodeInvite(bytes);
}

/** What a secret makes of a network's name: the name that the edge sees, the key that certifies members, and the key of handshakes. */
export interface SecretNetwork {
  readonly network: NetworkName;
  readonly authority: Authority;
  /** 32 bytes. */
  readonly psk: Uint8Array;
}

/** Takes some 0.1 to 0.3 s on purpose. @throws PeerloomError `usage/invalid` when the secret is empty */
export async function secretNetwork(name: NetworkName, secret: string): Promise<SecretNetwork> {
  if (secret === "")
    throw new PeerloomError("usage/invalid", "A network's secret is empty. Give one that nobody guesses.");
  const base = await crypto.subtle.importKey("raw", bufferSource(utf8(secret)), "PBKDF2", false, [
    "deriveBits",
  ]);
  const salt = bufferSource(utf8(SECRET_DOMAIN + name));
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations: SECRET_ITERATIONS };
  const bits = new Uint8Array(await crypto.subtle.deriveBits(parameters, base, 512));
  const key = await identityFromSeed(bits.slice(0, SEED_BYTES));
  const network = privateNetworkName("secret", key.publicKey);
  return { network, authority: { ...ownerAuthority(key), network }, psk: bits.slice(SEED_BYTES) };
}

/** The id of a network's key: what its owner is known by. */
export function ownerOf(network: NetworkName): PeerId | undefined {
  const key = networkKindOf(network) === "invite" ? networkKeyOf(network) : undefined;
  return key === undefined ? undefined : peerIdFromKey(key);
}

async function sign({ key }: Authority, grant: Grant): Promise<SignedGrant> {
  const body = encodeGrant(grant);
  return { body, signature: await key.sign(grantClaim(body)) };
}

function parseOrigin(text: string): string | undefined {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text ? text : undefined;
}

function invalid(why: string, cause?: unknown): PeerloomError {
  return new PeerloomError("network/invite-invalid", `This invite cannot be used: ${why}. Copy all of it.`, {
    cause,
  });
}
