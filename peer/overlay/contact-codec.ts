/** A contact, a peer id and its addresses, as the overlay's messages carry it. */
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf } from "../../shared/ids.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../shared/limits.ts";
import type { Contact } from "../../shared/messages.ts";
import { BODY_BYTES_MAX, CONTACT_BYTES_MAX } from "./mesh/mesh-messages.ts";

/** Neighbours that a peer names to those who need somebody in between. */
export const NAMED_MAX = 6;
const NAMED_LIMITS = {
  bytesMax: BODY_BYTES_MAX,
  depthMax: 1,
  itemsMax: NAMED_MAX + 1,
  textBytesMax: 0,
} as const;
const CONTACT_LIMITS = {
  bytesMax: CONTACT_BYTES_MAX,
  depthMax: 2,
  itemsMax: ADDRESSES_MAX + 4,
  textBytesMax: ADDRESS_BYTES_MAX,
} as const;
/** As links and answers carry it: what is too long or too many is left out. */
export function encodeContact({ id, addresses }: Contact): Uint8Array {
  return encode([
    publicKeyOf(id),
    addresses.filter((address) => address.length <= ADDRESS_BYTES_MAX).slice(0, ADDRESSES_MAX - 1),
  ]);
}

/** Undefined when it is none. */
export function decodeContact(bytes: Uint8Array): Contact | undefined {
  try {
    const fields = new FieldReader(decode(bytes, CONTACT_LIMITS), "contact");
    const id = peerIdFromKey(fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES));
    const addresses = fields.list(ADDRESSES_MAX, (item) => (typeof item === "string" ? item : ""));
    fields.end();
    return { id, addresses };
  } catch (error) {
    if (error instanceof PeerloomError) return undefined;
    throw error;
  }
}

/** Contacts that a peer names; those that are none are left out. */
export function decodeContacts(bytes: Uint8Array): Contact[] {
  try {
    const named = decode(bytes, NAMED_LIMITS);
    if (!Array.isArray(named)) return [];
    return named.flatMap((each) => (each instanceof Uint8Array ? (decodeContact(each) ?? []) : []));
  } catch (error) {
    if (error instanceof PeerloomError) return [];
    throw error;
  }
}
