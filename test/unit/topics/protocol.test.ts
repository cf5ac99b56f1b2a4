/** What peers say to each other about topics: round trips, the bytes of WIRE.md, and nonsense at the door. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { verify } from "../../../peer/identity/verify.ts";
import {
  BODY_BYTES_MAX,
  readEnvelope,
  sealEnvelope,
  signedBytes,
  topicIdOf,
  topicKeyInput,
} from "../../../peer/services/topics/envelope.ts";
import {
  decodeMessage,
  encodeMessage,
  IDS_MAX,
  replySignedBytes,
  type TopicMessage,
} from "../../../peer/services/topics/protocol.ts";
import { sha256, toHex } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const identity = await identityFromSeed(new Uint8Array(32).fill(1));
const key = await sha256(topicKeyInput("main", "news"));
const topic = topicIdOf(key);
const fields = {
  kind: "value",
  publisher: identity.id,
  runMs: 1_767_225_600_000,
  seq: 3,
  timeMs: 1_767_225_600_500,
  body: Uint8Array.of(1, 0x68, 0x69),
} as const;
const envelope = await sealEnvelope(key, fields, (bytes) => identity.sign(bytes));
const id = toHex(await sha256(envelope.bytes)).slice(0, 32);
const signature = new Uint8Array(64).fill(9);
const MESSAGES: readonly TopicMessage[] = [
  { kind: "interests", topics: [{ topic, on: true }] },
  { kind: "interests", topics: Array.from({ length: 256 }, () => ({ topic, on: false })) },
  { kind: "graft", topic },
  { kind: "prune", topic, backoffMs: 60_000, peers: [identity.id] },
  { kind: "peers", topic, peers: Array.from({ length: 8 }, () => identity.id) },
  { kind: "message", envelope },
  { kind: "have", topic, publisher: identity.id, bytesMax: 200, ids: [id] },
  { kind: "want", topic, ids: Array.from({ length: IDS_MAX }, () => id) },
  { kind: "follow", topic, publisher: identity.id, on: false },
  { kind: "pastWant", topic, count: 1_000 },
  { kind: "past", envelope },
  { kind: "pastEnd", topic },
  { kind: "reply", topic, ask: id, replier: identity.id, body: Uint8Array.of(1, 0x68), signature },
];

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
  return "none";
}

describe("messages between peers", () => {
  test("come out as they went in", () => {
    for (const message of MESSAGES) expect(decodeMessage(encodeMessage(message))).toEqual(message);
  });

  test("as they stand in WIRE.md", () => {
    const hex = (message: TopicMessage): string => toHex(encodeMessage(message));
    expect(topic).toBe("4d870a9f97b83c321ebe096e82bb6303");
    expect(hex({ kind: "graft", topic })).toBe(`0291c410${topic}`);
    expect(hex({ kind: "interests", topics: [{ topic, on: true }] })).toBe(`01919192c410${topic}c3`);
    expect(hex({ kind: "want", topic, ids: [id] })).toBe(`0792c410${topic}91c410${id}`);
    expect(toHex(envelope.bytes.subarray(0, 69))).toBe(
      `00${topic}${toHex(identity.publicKey)}0000019b76daa8000000000300` + "00019b76daa9f4",
    );
    expect(toHex(envelope.body)).toBe("016869");
    expect(id).toBe("6180eead20972a421629509ae5dd12c5");
  });

  test.each<readonly [string, number, unknown]>([
    ["an unknown kind", 13, [key.subarray(0, 16)]],
    ["no array", 2, "graft"],
    ["a short topic", 2, [key.subarray(0, 15)]],
    ["a field too many", 2, [key.subarray(0, 16), 1]],
    ["an endless back-off", 3, [key.subarray(0, 16), 600_001, []]],
    ["too many peers", 4, [key.subarray(0, 16), Array.from({ length: 9 }, () => identity.publicKey)]],
    ["a peer that is none", 4, [key.subarray(0, 16), [new Uint8Array(31)]]],
    ["too many ids", 7, [key.subarray(0, 16), Array.from({ length: 129 }, () => new Uint8Array(16))]],
    ["a past without a message", 9, [key.subarray(0, 16), 0]],
    ["an endless past", 9, [key.subarray(0, 16), 1_001]],
    [
      "an endless answer",
      12,
      [key.subarray(0, 16), new Uint8Array(16), identity.publicKey, new Uint8Array(16_385), signature],
    ],
  ])("%s is refused", (_, kind, body) => {
    const bytes = Uint8Array.from([kind, ...encode(body)]);
    expect(["wire/malformed", "wire/too-large", "topics/protocol"]).toContain(
      codeOf(() => decodeMessage(bytes)),
    );
  });

  test("whatever comes is a message or is refused by a code", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 14 }), (bytes, kind) => {
        const all = Uint8Array.from([kind, ...bytes]);
        expect(["none", "wire/malformed", "wire/too-large", "topics/protocol"]).toContain(
          codeOf(() => decodeMessage(all)),
        );
      }),
    );
  });
});

describe("a published message", () => {
  const isGenuine = async (bytes: Uint8Array, topicKey = key): Promise<boolean> => {
    const read = readEnvelope(bytes);
    return verify(read.publisher, signedBytes(topicKey, bytes), read.signature);
  };

  test("carries its publisher's signature over everything, the whole topic key included", async () => {
    expect(await isGenuine(envelope.bytes)).toBe(true);
    expect(await isGenuine(envelope.bytes, await sha256(topicKeyInput("other", "news")))).toBe(false);
    for (const at of [1, 20, 56, 60, 68, 70, 133, 135]) {
      const changed = Uint8Array.from(envelope.bytes);
      changed[at] = (changed[at] as number) ^ 1;
      expect(await isGenuine(changed), `byte ${at}`).toBe(false);
    }
  });

  test("an answer is bound to its question and topic", async () => {
    const body = Uint8Array.of(1);
    const signed = await identity.sign(replySignedBytes(key, id, body));
    expect(await verify(identity.id, replySignedBytes(key, id, body), signed)).toBe(true);
    expect(await verify(identity.id, replySignedBytes(key, "0".repeat(32), body), signed)).toBe(false);
  });

  test("has a body, of 256 KiB at most, and times that are numbers", () => {
    const bytes = (length: number): Uint8Array => new Uint8Array(133 + length);
    expect(codeOf(() => readEnvelope(bytes(0)))).toBe("wire/malformed");
    expect(codeOf(() => readEnvelope(bytes(1)))).toBe("none");
    expect(codeOf(() => readEnvelope(bytes(BODY_BYTES_MAX)))).toBe("none");
    expect(codeOf(() => readEnvelope(bytes(BODY_BYTES_MAX + 1)))).toBe("wire/too-large");
    const late = bytes(1);
    late[61] = 0xff;
    expect(codeOf(() => readEnvelope(late))).toBe("wire/malformed");
    const odd = bytes(1);
    odd[0] = 2;
    expect(codeOf(() => readEnvelope(odd))).toBe("wire/malformed");
  });
});
