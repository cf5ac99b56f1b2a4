/** What a routed request asks, and how its answer reads. The body is a msgpack list, the kind first. */
import { decode, FieldReader, type ScanLimits } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { SIBLINGS } from "./link-table.ts";
import { BODY_BYTES_MAX, CONTACT_BYTES_MAX } from "./mesh-messages.ts";
import { isMeshKey, KEY_BITS, type MeshKey } from "./mesh-key.ts";
import type { MeshContact } from "./openings.ts";

export const ASK = {
  /** `[0]`: the contacts of whoever is closest. */
  closest: 0,
  /** `[1, bytes]`: hands bytes to the peer of that very key. */
  deliver: 1,
  /** `[2]`: the keys alone of whoever is closest. */
  closestKeys: 2,
  /** `[3, bytes]`: of the service. */
  service: 3,
  /** `[4, key, contact]`: whoever is closest to that key should be linked to it. */
  meet: 4,
  /** `[5, key, bytes]`: a go-between hands bytes on to one whom it brought together with the asker. */
  handOn: 5,
  /** `[6, key, bytes]`: handed on for the peer of that key. */
  handedOn: 6,
} as const;
export const ASK_MAX = 6;
export const BODY_LIMITS: ScanLimits = {
  bytesMax: BODY_BYTES_MAX,
  depthMax: 3,
  itemsMax: 64,
  textBytesMax: 0,
};

/** @throws PeerloomError `wire/malformed` */
export function readKey(fields: FieldReader): MeshKey {
  return fields.integer(0, 2 ** KEY_BITS - 1);
}

/** Undefined when it is no such answer. */
export function readKeys(body: Uint8Array): MeshKey[] | undefined {
  return attempt(() => {
    const keys = decode(body, BODY_LIMITS);
    return Array.isArray(keys) && keys.every((key) => isMeshKey(key)) ? keys : undefined;
  });
}

/** Undefined when it is no such answer. */
export function readContacts(body: Uint8Array): MeshContact[] | undefined {
  return attempt(() =>
    new FieldReader(decode(body, BODY_LIMITS), "contacts").list(SIBLINGS + 1, (item) => {
      const each = new FieldReader(item, "contact");
      return { key: readKey(each), contact: each.bytes(1, CONTACT_BYTES_MAX) };
    }),
  );
}

function attempt<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof PeerloomError) return undefined;
    throw error;
  }
}
