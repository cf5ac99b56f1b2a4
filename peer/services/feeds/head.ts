/**
 * A head: how long a writer's log is and the root over all of it, signed by the writer. One signature certifies every entry
 * behind it, which is why 100,000 entries cost one check and not 100,000.
 */
import { encode, type FieldReader } from "../../../shared/codec.ts";
import { type PeerId, publicKeyOf } from "../../../shared/ids.ts";
import { SIGNATURE_BYTES, verify } from "../../identity/verify.ts";
import { ENTRIES_MAX } from "./entry.ts";
import { HASH_BYTES } from "./tree.ts";

export interface Head {
  /** Entries, at least one. */
  readonly length: number;
  readonly root: Uint8Array;
  readonly signature: Uint8Array;
}

export function headSignedBytes(
  address: Uint8Array,
  writer: PeerId,
  { length, root }: Pick<Head, "length" | "root">,
): Uint8Array {
  return encode(["peerloom/feed/1", address, publicKeyOf(writer), length, root]);
}

export function isHeadGenuine(address: Uint8Array, writer: PeerId, head: Head): Promise<boolean> {
  return verify(writer, headSignedBytes(address, writer, head), head.signature);
}

export function headFields({ length, root, signature }: Head): readonly unknown[] {
  return [length, root, signature];
}

/** @throws PeerloomError `wire/malformed` */
export function readHead(fields: FieldReader): Head {
  return {
    length: fields.integer(1, ENTRIES_MAX),
    root: fields.bytes(HASH_BYTES, HASH_BYTES),
    signature: fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES),
  };
}
