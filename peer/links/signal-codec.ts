/**
 * Signal messages as bytes: msgpack positional arrays, the kind first, laid down in WIRE.md with vectors.
 *
 *     ["dial", dial id (8), [address…]]            ["rtc", connection id (8), "offer" | "answer", sdp]
 *     ["addresses", [address…]]                    ["rtc", connection id (8), "candidate", candidate, mid]
 *     ["refuse", id (8), code]  ["meet"]           ["rtc", connection id (8), "candidates", [candidate…], mid]
 *     ["frame", link id (8), seq, frame]
 */
import { utf8 } from "../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../shared/limits.ts";
import { BATCH_CANDIDATES_MAX } from "./signal-batches.ts";
import { type RtcBatch, SIGNAL_ID_BYTES, type SignalMessage } from "./signaller.ts";

/** A session description; a data channel's with a dozen candidates inside has about 2 KiB. */
export const SDP_BYTES_MAX = 16_384;
/** One ICE candidate. */
export const CANDIDATE_BYTES_MAX = 512;
/** The name of a media section, mostly `0`. */
export const MID_BYTES_MAX = 64;
/** An error code. */
export const CODE_BYTES_MAX = 64;
/** A frame that is carried as a signal. */
export const SIGNALLED_FRAME_BYTES_MAX: number = SDP_BYTES_MAX;
/** Frames that each side of one link may send as signals. */
export const SIGNALLED_FRAMES_MAX = 32;

const MESSAGE_BYTES_MAX: number = SDP_BYTES_MAX + 64;
const LIMITS = {
  bytesMax: MESSAGE_BYTES_MAX,
  depthMax: 2,
  itemsMax: 24,
  textBytesMax: SDP_BYTES_MAX,
} as const;

/**
 * Addresses past `ADDRESSES_MAX`, and those that are too long, are left out: dialling the others still helps.
 * @throws PeerloomError `wire/too-large` when a description, candidate or frame of our own is longer than any peer takes
 */
export function encodeSignal(message: SignalMessage): Uint8Array {
  switch (message.kind) {
    case "dial":
      return encode(["dial", message.dialId, addressFields(message.addresses)]);
    case "rtc":
      return encode(["rtc", message.connectionId, ...rtcFields(message.signal)]);
    case "addresses":
      return encode(["addresses", addressFields(message.addresses)]);
    case "meet":
      return encode(["meet"]);
    case "frame":
      if (message.frame.length > SIGNALLED_FRAME_BYTES_MAX)
        throw tooLarge("A frame", message.frame.length, SIGNALLED_FRAME_BYTES_MAX);
      return encode(["frame", message.linkId, message.seq, message.frame]);
    case "refuse":
      return encode(["refuse", message.id, bounded(message.code, CODE_BYTES_MAX, "An error code")]);
  }
}

/** @throws PeerloomError `wire/malformed`, `wire/too-large` */
export function decodeSignal(bytes: Uint8Array): SignalMessage {
  const fields = new FieldReader(decode(bytes, LIMITS), "signal");
  const message = readSignal(fields.text(16), fields);
  fields.end();
  return message;
}

function readSignal(kind: string, fields: FieldReader): SignalMessage {
  switch (kind) {
    case "dial":
      return { kind, dialId: readId(fields), addresses: readAddresses(fields) };
    case "rtc":
      return { kind, connectionId: readId(fields), signal: readRtc(fields.text(16), fields) };
    case "addresses":
      return { kind, addresses: readAddresses(fields) };
    case "meet":
      return { kind };
    case "frame":
      return {
        kind,
        linkId: readId(fields),
        seq: fields.integer(0, SIGNALLED_FRAMES_MAX - 1),
        frame: fields.bytes(1, SIGNALLED_FRAME_BYTES_MAX),
      };
    case "refuse":
      return { kind, id: readId(fields), code: readText(fields, CODE_BYTES_MAX) };
    default:
      throw malformed("unknown kind");
  }
}

function readRtc(kind: string, fields: FieldReader): RtcBatch {
  switch (kind) {
    case "offer":
    case "answer":
      return { kind, sdp: readText(fields, SDP_BYTES_MAX) };
    case "candidate":
      return { kind, candidate: readText(fields, CANDIDATE_BYTES_MAX), mid: readText(fields, MID_BYTES_MAX) };
    case "candidates":
      return {
        kind,
        candidates: readTexts(fields, BATCH_CANDIDATES_MAX, CANDIDATE_BYTES_MAX, "a candidate"),
        mid: readText(fields, MID_BYTES_MAX),
      };
    default:
      throw malformed("unknown kind of rtc signal");
  }
}

function readId(fields: FieldReader): Uint8Array {
  return fields.bytes(SIGNAL_ID_BYTES, SIGNAL_ID_BYTES);
}

function readText(fields: FieldReader, bytesMax: number): string {
  const text = fields.text(bytesMax);
  if (!fits(text, bytesMax)) throw malformed(`text of more than ${bytesMax} bytes`);
  return text;
}

function readAddresses(fields: FieldReader): string[] {
  return readTexts(fields, ADDRESSES_MAX, ADDRESS_BYTES_MAX, "an address");
}

function readTexts(fields: FieldReader, countMax: number, bytesMax: number, what: string): string[] {
  return fields.list(countMax, (item) => {
    if (typeof item !== "string" || !fits(item, bytesMax)) throw malformed(`${what} is not short text`);
    return item;
  });
}

function addressFields(addresses: readonly string[]): string[] {
  return addresses.filter((address) => fits(address, ADDRESS_BYTES_MAX)).slice(0, ADDRESSES_MAX);
}

function rtcFields(signal: RtcBatch): (string | string[])[] {
  const candidateField = (text: string): string => bounded(text, CANDIDATE_BYTES_MAX, "An ICE candidate");
  const midField = (mid: string): string => bounded(mid, MID_BYTES_MAX, "A media section's name");
  switch (signal.kind) {
    case "offer":
    case "answer":
      return [signal.kind, bounded(signal.sdp, SDP_BYTES_MAX, "A session description")];
    case "candidate":
      return [signal.kind, candidateField(signal.candidate), midField(signal.mid)];
    case "candidates":
      return [signal.kind, signal.candidates.map(candidateField), midField(signal.mid)];
  }
}

function bounded(text: string, bytesMax: number, what: string): string {
  if (fits(text, bytesMax)) return text;
  throw tooLarge(what, text.length, bytesMax);
}

function tooLarge(what: string, length: number, bytesMax: number): PeerloomError {
  return new PeerloomError("wire/too-large", `${what} of ${length}; at most ${bytesMax} bytes are allowed.`);
}

/** At most so many bytes of UTF-8, at least one a character and at most three a UTF-16 unit. */
function fits(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return false;
  return text.length * 3 <= bytesMax || utf8(text).length <= bytesMax;
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed signal: ${why}.`);
}
