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
import {
  CHANNEL_ID_BYTES,
  type ChannelId,
  channelIdFrom,
  type NetworkName,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "../shared/ids.ts";
import { assert } from "../shared/errors.ts";

/** The two ends of a channel: 0 asked for it, 1 was asked. */
export type RelaySide = 0 | 1;

export interface RelayTicket {
  readonly channel: ChannelId;
  readonly side: RelaySide;
  readonly peer: PeerId;
  readonly network: NetworkName;
  readonly expiresMs: number;
  /** Bytes a day that relays pass for this peer; undefined: any number. */
  readonly quotaBytes?: number;
}

const VERSION = 1;
/** The same with a quota behind the key. */
const VERSION_QUOTA = 2;
const EXPIRES_BYTES = 6;
const KEY_AT: number = 2 + EXPIRES_BYTES + CHANNEL_ID_BYTES;
const HEAD_BYTES: number = KEY_AT + PUBLIC_KEY_BYTES;
const QUOTA_BYTES = 8;
const MAC_BYTES = 32;
const NETWORK_BYTES_MAX = 64;
const TICKET_CHARACTERS_MAX: number = Math.ceil(
  ((HEAD_BYTES + QUOTA_BYTES + NETWORK_BYTES_MAX + MAC_BYTES) * 4) / 3,
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
  const hasQuota = version === VERSION_QUOTA;
  const networkAt = HEAD_BYTES + (hasQuota ? QUOTA_BYTES : 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isShort = bytes.length <= networkAt + MAC_BYTES;
  if ((version !== VERSION && !hasQuota) || (side !== 0 && side !== 1) || isShort) return undefined;
  const network = readNetwork(bytes.subarray(networkAt, -MAC_BYTES));
  if (network === undefined) return undefined;
  return {
    side,
    expiresMs: view.getUint16(2) * 2 ** 32 + view.getUint32(4),
    channel: channelIdFrom(bytes.subarray(2 + EXPIRES_BYTES, KEY_AT)),
    peer: peerIdFromKey(bytes.subarray(KEY_AT, HEAD_BYTES)),
    network,
    ...(hasQuota && { quotaBytes: Number(view.getBigUint64(HEAD_BYTES)) }),
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

function readNetwork(bytes: Uint8Array): NetworkName | undefined {
  try {
    return parseNetworkName(utf8Decode(bytes));
  } catch {
    return undefined; // not UTF-8
  }
}

function encodeFields({ channel, side, peer, network, expiresMs, quotaBytes }: RelayTicket): Uint8Array {
  const head = new Uint8Array(2 + EXPIRES_BYTES);
  const view = new DataView(head.buffer);
  head[0] = quotaBytes === undefined ? VERSION : VERSION_QUOTA;
  head[1] = side;
  view.setUint16(2, Math.floor(expiresMs / 2 ** 32));
  view.setUint32(4, expiresMs % 2 ** 32);
  const channelBytes = fromBase32(channel);
  assert(channelBytes !== undefined, "a channel id was parsed before");
  const quota = new Uint8Array(quotaBytes === undefined ? 0 : QUOTA_BYTES);
  if (quotaBytes !== undefined) new DataView(quota.buffer).setBigUint64(0, BigInt(quotaBytes));
  return concatBytes(head, channelBytes, publicKeyOf(peer), quota, utf8(network));
}
