/**
 * What the two handshake messages carry inside: who dials, for which session, and what each side can do.
 */
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { SESSION_ID_BYTES } from "../../shared/frame.ts";
import { PUBLIC_KEY_BYTES } from "../../shared/ids.ts";
import { CREDENTIAL_BYTES_MAX, WIRE_VERSION, WIRE_VERSION_OLDEST } from "../../shared/limits.ts";
import type { VersionRange } from "../../shared/wire-version.ts";
import type { AeadName } from "../runtime.ts";

export const INSTANCE_BYTES = 8;

/** Among the ciphers, where version 1 passes over what it does not know: the newest version the dialler speaks. */
const VERSION_ENTRY = /^wire-(\d{1,3})$/;

/** What a member of a network with an owner shows besides. */
export interface Membership {
  readonly credential: Uint8Array;
  /** Number of the latest ban list it knows. */
  readonly bans: number;
}

export interface Hello {
  /** What the dialler speaks. The field is the oldest of it, so that who knows no newer one still understands. */
  readonly versions: VersionRange;
  /** The dialler's Ed25519 key; its X25519 form must be the static key of the handshake. */
  readonly publicKey: Uint8Array;
  readonly sessionId: Uint8Array;
  /** Random, the same for all sessions of one running peer: tells dials that cross from a peer that has started again. */
  readonly instance: Uint8Array;
  /** The ciphers the dialler has, best first. */
  readonly aeads: readonly string[];
  readonly membership?: Membership | undefined;
}

export interface Welcome {
  readonly version: number;
  readonly instance: Uint8Array;
  readonly aead: AeadName;
  readonly membership?: Membership | undefined;
}

const LIMITS = { bytesMax: 512 + CREDENTIAL_BYTES_MAX, depthMax: 2, itemsMax: 32, textBytesMax: 32 } as const;
const AEADS_MAX = 8;

export function encodeHello(hello: Omit<Hello, "versions">): Uint8Array {
  const { publicKey, sessionId, instance, aeads, membership } = hello;
  const abilities = [...aeads, `wire-${WIRE_VERSION}`];
  return encode([
    WIRE_VERSION_OLDEST,
    publicKey,
    sessionId,
    instance,
    abilities,
    ...membershipFields(membership),
  ]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeHello(bytes: Uint8Array): Hello {
  const fields = new FieldReader(decode(bytes, LIMITS), "hello");
  const oldest = fields.integer(0, 255);
  const hello = {
    publicKey: fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES),
    sessionId: fields.bytes(SESSION_ID_BYTES, SESSION_ID_BYTES),
    instance: fields.bytes(INSTANCE_BYTES, INSTANCE_BYTES),
    aeads: fields.list(AEADS_MAX, (item) => (typeof item === "string" ? item : "")),
    membership: readMembership(fields),
  };
  fields.end();
  const newest = hello.aeads.map((text) => Number(VERSION_ENTRY.exec(text)?.[1] ?? oldest));
  return {
    ...hello,
    aeads: hello.aeads.filter((text) => !VERSION_ENTRY.test(text)),
    versions: { oldest, newest: Math.max(oldest, ...newest) },
  };
}

/** @param version the newest that both speak */
export function encodeWelcome(
  version: number,
  instance: Uint8Array,
  aead: AeadName,
  membership?: Membership,
): Uint8Array {
  return encode([version, instance, aead, ...membershipFields(membership)]);
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeWelcome(bytes: Uint8Array): Welcome {
  const fields = new FieldReader(decode(bytes, LIMITS), "welcome");
  const version = fields.integer(0, 255);
  const instance = fields.bytes(INSTANCE_BYTES, INSTANCE_BYTES);
  const aead = fields.parsed(parseAead, "a known cipher");
  const membership = readMembership(fields);
  fields.end();
  return { version, instance, aead, membership };
}

function membershipFields(membership: Membership | undefined): unknown[] {
  return membership === undefined ? [] : [membership.credential, membership.bans];
}

function readMembership(fields: FieldReader): Membership | undefined {
  if (!fields.hasMore) return undefined;
  return {
    credential: fields.bytes(1, CREDENTIAL_BYTES_MAX),
    bans: fields.integer(0, Number.MAX_SAFE_INTEGER),
  };
}

function parseAead(text: string): AeadName | undefined {
  return text === "aes-256-gcm" || text === "aes-128-ocb" ? text : undefined;
}
