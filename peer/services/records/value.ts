/** What applications put: a plain value within a record's size. */
import { PeerloomError } from "../../../shared/errors.ts";
import { packValue, type PlainValue, unpackValue } from "../plain-value.ts";
import { VALUE_BYTES_MAX } from "./record.ts";

export type RecordValue = PlainValue;

/** @throws PeerloomError `records/too-large`, `usage/invalid` for what is none of these */
export function encodeValue(value: RecordValue): Uint8Array {
  const bytes = packValue(value, "A record");
  if (bytes.length > VALUE_BYTES_MAX) {
    throw new PeerloomError(
      "records/too-large",
      `A record holds ${VALUE_BYTES_MAX - 1} bytes, this value has ${bytes.length - 1}. Share it as a file and put its ticket.`,
    );
  }
  return bytes;
}

/** @throws PeerloomError `wire/malformed` */
export function decodeValue(bytes: Uint8Array): RecordValue {
  return unpackValue(bytes, VALUE_BYTES_MAX);
}
