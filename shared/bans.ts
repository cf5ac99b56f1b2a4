/**
 * Whom a network's owner has put out: one numbered, signed list of keys, of peers and of invites alike. The highest number stands, so a list can be
 * passed on by anybody and nobody can bring an older one back. Edge and peers keep the latest they have seen.
 */
import { concatBytes, utf8, utf8Decode } from "./bytes.ts";
import { decode, encode, FieldReader } from "./codec.ts";
import type { Verify } from "./credential.ts";
import { PeerloomError } from "./errors.ts";
import {
  type NetworkName,
  networkKeyOf,
  networkKindOf,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "./ids.ts";
import { BANS_BYTES_MAX } from "./limits.ts";

/** Keys of one list: what fits into one message of a rendezvous. */
export const BANS_MAX = 768;

const VERSION = 1;
const DOMAIN = "peerloom/bans/1\n";
const SIGNATURE_BYTES = 64;
const SIGNED_LIMITS = { bytesMax: BANS_BYTES_MAX, depthMax: 1, itemsMax: 4 } as const;
const LIMITS = { bytesMax: BANS_BYTES_MAX, depthMax: 2, itemsMax: BANS_MAX + 8, textBytesMax: 0 } as const;

export interface BanList {
  readonly network: NetworkName;
  /** Rises with every change; 0 is the empty list that nobody signed. */
  readonly number: number;
  readonly keys: ReadonlySet<PeerId>;
}

export function emptyBans(network: NetworkName): BanList {
  return { network, number: 0, keys: new Set() };
}

/** What is signed, without its domain. */
export function encodeBans({ network, number, keys }: BanList): Uint8Array {
  return encode([VERSION, utf8(network), number, [...keys].sort().map(publicKeyOf)]);
}

export function bansClaim(body: Uint8Array): Uint8Array {
  return concatBytes(utf8(DOMAIN), body);
}

export function encodeSignedBans(body: Uint8Array, signature: Uint8Array): Uint8Array {
  return encode([body, signature]);
}

/**
 * The list, if the network's owner signed it. Networks by secret have no owner, and so no bans.
 * @throws PeerloomError `network/not-owner`, `wire/malformed`, `wire/too-large`
 */
export async function checkBans(bytes: Uint8Array, network: NetworkName, verify: Verify): Promise<BanList> {
  const outer = new FieldReader(decode(bytes, SIGNED_LIMITS), "ban list");
  const body = outer.bytes(1, BANS_BYTES_MAX);
  const signature = outer.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES);
  outer.end();
  const fields = new FieldReader(decode(body, LIMITS), "ban list");
  fields.integer(VERSION, VERSION);
  const named = fields.bytes(1, 64);
  const number = fields.integer(1, Number.MAX_SAFE_INTEGER);
  const keys = fields.list(BANS_MAX, readKey);
  fields.end();
  const owner = networkKindOf(network) === "invite" ? networkKeyOf(network) : undefined;
  const isOurs = owner !== undefined && safeText(named) === network;
  if (!isOurs || !(await verify(owner, bansClaim(body), signature)))
    throw new PeerloomError("network/not-owner", "This ban list is not signed by the network's owner.");
  return { network, number, keys: new Set(keys) };
}

function readKey(item: unknown): PeerId {
  if (!(item instanceof Uint8Array) || item.length !== PUBLIC_KEY_BYTES)
    throw new PeerloomError("wire/malformed", "A ban list names something that is no key.");
  return peerIdFromKey(item);
}

function safeText(bytes: Uint8Array): string {
  try {
    return utf8Decode(bytes);
  } catch {
    return "";
  }
}
