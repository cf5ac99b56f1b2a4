/**
 * Relay tickets: what lets one peer open one side of one channel for a minute. Stateless, so that the Worker checks them without
 * waking an object. Layout in WIRE.md; the text is base64url of the fields and their HMAC-SHA256.
 */
import {
  bufferSource,
  concatBytes,
  fromBase32,
  fromBase64Url,
  toBase64Url,
  utf8,
  utf8Decode,
} from "../shared/bytes.ts";
import { type Credential, DELEGATIONS_MAX, NEVER_MS } from "../shared/credential.ts";
import { assert } from "../shared/errors.ts";
import {
  CHANNEL_ID_BYTES,
  type ChannelId,
  channelIdFrom,
  type NetworkName,
  networkKindOf,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "../shared/ids.ts";

/** The two ends of a channel: 0 asked for it, 1 was asked. */
export type RelaySide = 0 | 1;

export interface RelayTicket {
  readonly channel: ChannelId;
  readonly side: RelaySide;
  readonly peer: PeerId;
  readonly network: NetworkName;
  readonly expiresMs: number;
  /** In a network by invite. */
  readonly membership?: RelayMembership;
}

/** What a member is held to while relays pass for it: until when it is one, by whose word, and how much that allows. */
export interface RelayMembership extends Pick<Credential, "expiresMs" | "keys"> {
  /** Bytes a day that relays pass for it; undefined: any number. */
  readonly quotaBytes?: number;
}

const VERSION = 1;
/** The same with a quota behind the key: of edges one version back, whose last tickets end a minute after the new one stands. */
const VERSION_QUOTA = 2;
/** The same with a membership behind the key. */
const VERSION_MEMBER = 3;
const TIME_BYTES = 6;
const KEY_AT: number = 2 + TIME_BYTES + CHANNEL_ID_BYTES;
const HEAD_BYTES: number = KEY_AT + PUBLIC_KEY_BYTES;
const QUOTA_BYTES = 8;
/** Of a membership, before its invites: quota, end, and how many follow. */
const MEMBERSHIP_BYTES: number = QUOTA_BYTES + TIME_BYTES + 1;
const INVITES_MAX: number = DELEGATIONS_MAX + 1;
const MAC_BYTES = 32;
const NETWORK_BYTES_MAX = 64;
/** Fits into what `relay-ready` may carry. */
const TICKET_CHARACTERS_MAX: number = Math.ceil(
  ((HEAD_BYTES + MEMBERSHIP_BYTES + INVITES_MAX * PUBLIC_KEY_BYTES + NETWORK_BYTES_MAX + MAC_BYTES) * 4) / 3,
);

export async function mintTicket(ticket: RelayTicket, key: CryptoKey): Promise<string> {
  const fields = encodeFields(ticket);
  const mac = await crypto.subtle.sign("HMAC", key, bufferSource(fields));
  return toBase64Url(concatBytes(fields, new Uint8Array(mac)));
}

/** The fields of a well-formed ticket, not yet believed. Costs no cryptography. */
export function readTicket(text: string): RelayTicket | undefined {
  const bytes = ticketBytes(text);
  if (bytes === undefined) return undefined;
  const [version, side] = bytes;
  if (version !== VERSION && version !== VERSION_QUOTA && version !== VERSION_MEMBER) return undefined;
  const networkAt = HEAD_BYTES + membershipBytes(bytes);
  if ((side !== 0 && side !== 1) || bytes.length <= networkAt + MAC_BYTES) return undefined;
  const network = readNetwork(bytes.subarray(networkAt, -MAC_BYTES));
  if (network === undefined) return undefined;
  const peer = peerIdFromKey(bytes.subarray(KEY_AT, HEAD_BYTES));
  const membership = readMembership(bytes.subarray(HEAD_BYTES, networkAt), peer);
  return {
    side,
    expiresMs: readTime(viewOf(bytes), 2),
    channel: channelIdFrom(bytes.subarray(2 + TIME_BYTES, KEY_AT)),
    peer,
    network,
    ...(networkKindOf(network) === "invite" && { membership }),
  };
}

/** True when this edge made the ticket. WebCrypto compares in constant time. */
export async function isGenuine(text: string, key: CryptoKey): Promise<boolean> {
  const bytes = ticketBytes(text);
  if (bytes === undefined) return false;
  const fields = bufferSource(bytes.subarray(0, -MAC_BYTES));
  return crypto.subtle.verify("HMAC", key, bufferSource(bytes.subarray(-MAC_BYTES)), fields);
}

function ticketBytes(text: string): Uint8Array | undefined {
  const bytes = text.length <= TICKET_CHARACTERS_MAX ? fromBase64Url(text) : undefined;
  return bytes !== undefined && bytes.length > HEAD_BYTES + MAC_BYTES ? bytes : undefined;
}

function membershipBytes(ticket: Uint8Array): number {
  if (ticket[0] !== VERSION_MEMBER) return ticket[0] === VERSION_QUOTA ? QUOTA_BYTES : 0;
  return MEMBERSHIP_BYTES + PUBLIC_KEY_BYTES * (ticket[HEAD_BYTES + MEMBERSHIP_BYTES - 1] ?? 0);
}

/** @param bytes of it; what an older edge left out bounds nothing */
function readMembership(bytes: Uint8Array, peer: PeerId): RelayMembership {
  const view = viewOf(bytes);
  const quotaBytes = bytes.length === 0 ? 0 : Number(view.getBigUint64(0));
  const invites: PeerId[] = [];
  for (let at = MEMBERSHIP_BYTES; at < bytes.length; at += PUBLIC_KEY_BYTES)
    invites.push(peerIdFromKey(bytes.subarray(at, at + PUBLIC_KEY_BYTES)));
  return {
    expiresMs: bytes.length < MEMBERSHIP_BYTES ? NEVER_MS : readTime(view, QUOTA_BYTES),
    keys: [...invites, peer],
    ...(quotaBytes > 0 && { quotaBytes }),
  };
}

function readNetwork(bytes: Uint8Array): NetworkName | undefined {
  try {
    return parseNetworkName(utf8Decode(bytes));
  } catch {
    return undefined; // not UTF-8
  }
}

function encodeFields({ channel, side, peer, network, expiresMs, membership }: RelayTicket): Uint8Array {
  const head = new Uint8Array(2 + TIME_BYTES);
  head[0] = membership === undefined ? VERSION : VERSION_MEMBER;
  head[1] = side;
  writeTime(viewOf(head), 2, expiresMs);
  const channelBytes = fromBase32(channel);
  assert(channelBytes !== undefined, "a channel id was parsed before");
  const member = membership === undefined ? [] : encodeMembership(membership);
  return concatBytes(head, channelBytes, publicKeyOf(peer), ...member, utf8(network));
}

function encodeMembership({ expiresMs, keys, quotaBytes = 0 }: RelayMembership): Uint8Array[] {
  const invites = keys.slice(0, -1).map(publicKeyOf); // the last is the peer's own
  const head = new Uint8Array(MEMBERSHIP_BYTES);
  const view = viewOf(head);
  view.setBigUint64(0, BigInt(quotaBytes));
  writeTime(view, QUOTA_BYTES, expiresMs);
  head[MEMBERSHIP_BYTES - 1] = invites.length;
  return [head, ...invites];
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function readTime(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);
}

function writeTime(view: DataView, at: number, timeMs: number): void {
  view.setUint16(at, Math.floor(timeMs / 2 ** 32));
  view.setUint32(at + 2, timeMs % 2 ** 32);
}
