/** Bounds of signal messages: what is ours is cut or refused before it is sent, what is a stranger's is refused. */
import { expect, test } from "vitest";
import {
  CANDIDATE_BYTES_MAX,
  CODE_BYTES_MAX,
  decodeSignal,
  encodeSignal,
  SDP_BYTES_MAX,
  SIGNALLED_FRAME_BYTES_MAX,
} from "../../../peer/links/signal-codec.ts";
import { BATCH_CANDIDATES_MAX } from "../../../peer/links/signal-batches.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import { encode } from "../../../shared/codec.ts";
import { ADDRESS_BYTES_MAX, ADDRESSES_MAX } from "../../../shared/limits.ts";
import { rejectionCode } from "./support.ts";

const id = new Uint8Array(8).fill(1);

const offer = (sdp: string): SignalMessage => ({
  kind: "rtc",
  connectionId: id,
  signal: { kind: "offer", sdp },
});
const candidate = (text: string): SignalMessage => ({
  kind: "rtc",
  connectionId: id,
  signal: { kind: "candidate", candidate: text, mid: "0" },
});
const candidates = (texts: string[]): SignalMessage => ({
  kind: "rtc",
  connectionId: id,
  signal: { kind: "candidates", candidates: texts, mid: "0" },
});

/** The code that encoding and decoding ends with. */
async function codeOf(action: () => unknown): Promise<string> {
  return rejectionCode((async () => action())());
}

test.each<[string, SignalMessage]>([
  ["a description", offer("a".repeat(SDP_BYTES_MAX))],
  ["a description of two-byte letters", offer("é".repeat(SDP_BYTES_MAX / 2))],
  ["a candidate", candidate("c".repeat(CANDIDATE_BYTES_MAX))],
  [
    "a batch",
    candidates(Array.from({ length: BATCH_CANDIDATES_MAX }, () => "c".repeat(CANDIDATE_BYTES_MAX))),
  ],
  ["a code", { kind: "refuse", id, code: "c".repeat(CODE_BYTES_MAX) }],
  ["a frame", { kind: "frame", linkId: id, seq: 0, frame: new Uint8Array(SIGNALLED_FRAME_BYTES_MAX) }],
  [
    "addresses",
    {
      kind: "addresses",
      addresses: Array.from({ length: ADDRESSES_MAX }, () => "a".repeat(ADDRESS_BYTES_MAX)),
    },
  ],
])("%s may be as long as the bound", (_, message) => {
  expect(decodeSignal(encodeSignal(message))).toEqual(message);
});

test.each<[string, SignalMessage]>([
  ["a description", offer("a".repeat(SDP_BYTES_MAX + 1))],
  ["a description in bytes", offer("é".repeat(SDP_BYTES_MAX / 2 + 1))],
  ["a candidate", candidate("c".repeat(CANDIDATE_BYTES_MAX + 1))],
  ["a candidate among several", candidates(["c", "c".repeat(CANDIDATE_BYTES_MAX + 1)])],
  ["a code", { kind: "refuse", id, code: "c".repeat(CODE_BYTES_MAX + 1) }],
  ["a frame", { kind: "frame", linkId: id, seq: 0, frame: new Uint8Array(SIGNALLED_FRAME_BYTES_MAX + 1) }],
])("%s of our own past the bound is not sent", async (_, message) => {
  expect(await codeOf(() => encodeSignal(message))).toBe("wire/too-large");
});

test("addresses that are too long or too many are left out", () => {
  const long = "a".repeat(ADDRESS_BYTES_MAX + 1);
  const many = Array.from({ length: ADDRESSES_MAX + 3 }, (_, i) => `tcp://192.0.2.${i}:1`);
  const sent = decodeSignal(encodeSignal({ kind: "addresses", addresses: [long, ...many] }));
  expect(sent).toEqual({ kind: "addresses", addresses: many.slice(0, ADDRESSES_MAX) });
});

test.each<[string, unknown]>([
  ["an unknown kind", ["hello"]],
  ["no array", "dial"],
  ["an id of 7 bytes", ["dial", new Uint8Array(7), []]],
  ["an id of 9 bytes", ["refuse", new Uint8Array(9), "x"]],
  ["an id of text", ["dial", "12345678", []]],
  ["too many addresses", ["addresses", Array.from({ length: ADDRESSES_MAX + 1 }, () => "a")]],
  ["a long address", ["addresses", ["a".repeat(ADDRESS_BYTES_MAX + 1)]]],
  ["a long address in bytes", ["addresses", ["é".repeat(ADDRESS_BYTES_MAX / 2 + 1)]]],
  ["an address that is a number", ["addresses", [1]]],
  ["an unknown kind of rtc signal", ["rtc", id, "rollback", "v=0"]],
  ["a candidate without its mid", ["rtc", id, "candidate", "c"]],
  ["a long candidate", ["rtc", id, "candidate", "c".repeat(CANDIDATE_BYTES_MAX + 1), "0"]],
  ["a batch that is too large", ["rtc", id, "candidates", Array.from({ length: 17 }, () => "c"), "0"]],
  ["a batch with a long candidate", ["rtc", id, "candidates", ["c".repeat(CANDIDATE_BYTES_MAX + 1)], "0"]],
  ["a batch with a number", ["rtc", id, "candidates", [1], "0"]],
  ["an offer with a field too many", ["rtc", id, "offer", "v=0", "0"]],
  ["a description of bytes", ["rtc", id, "offer", new Uint8Array(3)]],
  ["a long code", ["refuse", id, "c".repeat(CODE_BYTES_MAX + 1)]],
])("a stranger's signal is refused: %s", async (_, fields) => {
  expect(await codeOf(() => decodeSignal(encode(fields)))).toBe("wire/malformed");
});

test("a stranger's description past the bound is refused", async () => {
  const bytes = encode(["rtc", id, "offer", "a".repeat(SDP_BYTES_MAX + 1)]);
  expect(await codeOf(() => decodeSignal(bytes))).toBe("wire/malformed");
  expect(await codeOf(() => decodeSignal(new Uint8Array(20_000)))).toBe("wire/too-large");
});
