/**
 * Ids are branded strings made only by the parsers here, so that whoever holds one knows it is well formed.
 */
import { fromBase32, toBase32 } from "./bytes.ts";
import { assert, PeerloomError } from "./errors.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** An Ed25519 public key (32 bytes), lower-case base32 without padding, 52 characters. */
export type PeerId = Brand<string, "PeerId">;
/** The name of a network: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit. */
export type NetworkName = Brand<string, "NetworkName">;
/** A relay channel: 16 random bytes, base32, 26 characters. */
export type ChannelId = Brand<string, "ChannelId">;

export const PUBLIC_KEY_BYTES = 32;
export const CHANNEL_ID_BYTES = 16;

/** The network of those who name none. */
export const DEFAULT_NETWORK: NetworkName = "main" as NetworkName;

export function parsePeerId(text: string): PeerId | undefined {
  return /^[a-z2-7]{52}$/.test(text) && fromBase32(text) !== undefined ? (text as PeerId) : undefined;
}

/** @throws PeerloomError `id/invalid` */
export function requirePeerId(text: string): PeerId {
  const id = parsePeerId(text);
  if (id === undefined) {
    throw new PeerloomError(
      "id/invalid",
      `"${text.slice(0, 60)}" is not a peer id: 52 characters of a-z and 2-7 are expected.`,
    );
  }
  return id;
}

export function peerIdFromKey(publicKey: Uint8Array): PeerId {
  assert(publicKey.length === PUBLIC_KEY_BYTES, "a public key has 32 bytes");
  return toBase32(publicKey) as PeerId;
}

export function publicKeyOf(id: PeerId): Uint8Array {
  const key = fromBase32(id);
  assert(key !== undefined, "a peer id was parsed before");
  return key;
}

export function parseNetworkName(text: string): NetworkName | undefined {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text) ? (text as NetworkName) : undefined;
}

/** @throws PeerloomError `network/invalid-name` */
export function requireNetworkName(text: string): NetworkName {
  const name = parseNetworkName(text);
  if (name === undefined) {
    throw new PeerloomError(
      "network/invalid-name",
      `"${text.slice(0, 80)}" is not a network name: use 1 to 64 of a-z, 0-9, ".", "_" and "-".`,
    );
  }
  return name;
}

/**
 * The key that certifies the members of a private network; its name is made of it, so that nobody need be told. Undefined for an open
 * network.
 */
export function networkKeyOf(name: NetworkName): Uint8Array | undefined {
  return /^[is]\.[a-z2-7]{52}$/.test(name) ? fromBase32(name.slice(2)) : undefined;
}

/** `invite`: its owner certifies members. `secret`: who knows the secret has the key. */
export function networkKindOf(name: NetworkName): "open" | "invite" | "secret" {
  if (networkKeyOf(name) === undefined) return "open";
  return name.startsWith("i.") ? "invite" : "secret";
}

/** The name of the private network that a key certifies. */
export function privateNetworkName(kind: "invite" | "secret", publicKey: Uint8Array): NetworkName {
  assert(publicKey.length === PUBLIC_KEY_BYTES, "a public key has 32 bytes");
  return `${kind === "invite" ? "i" : "s"}.${toBase32(publicKey)}` as NetworkName;
}

export function parseChannelId(text: string): ChannelId | undefined {
  return /^[a-z2-7]{26}$/.test(text) && fromBase32(text) !== undefined ? (text as ChannelId) : undefined;
}

export function channelIdFrom(bytes: Uint8Array): ChannelId {
  assert(bytes.length === CHANNEL_ID_BYTES, "a channel id has 16 bytes");
  return toBase32(bytes) as ChannelId;
}

/** The first characters, enough to tell peers apart in logs and messages. */
export function short(id: PeerId): string {
  return id.slice(0, 8);
}
