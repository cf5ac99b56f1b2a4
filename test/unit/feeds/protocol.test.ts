/** Every message comes back as it was; nonsense is refused with a code, whatever its bytes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import {
  addressOf,
  decodeDefinition,
  encodeDefinition,
  makeDefinition,
  requireDefinition,
  WRITERS_MAX,
} from "../../../peer/services/feeds/definition.ts";
import { decodeEntry, encodeEntry, packEntryValue } from "../../../peer/services/feeds/entry.ts";
import {
  decodeForkProof,
  encodeForkProof,
  type ForkProof,
  isForkGenuine,
  makeForkProof,
  outranks,
} from "../../../peer/services/feeds/fork.ts";
import { headSignedBytes } from "../../../peer/services/feeds/head.ts";
import { decodeMessage, encodeMessage, type FeedMessage } from "../../../peer/services/feeds/protocol.ts";
import type { Range } from "../../../peer/services/feeds/range.ts";
import { leafHashes, MerkleTree } from "../../../peer/services/feeds/tree.ts";
import { sha256, toHex, utf8 } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";

const HEAD_BYTES = 5;
const writer = await identityFromSeed(new Uint8Array(32).fill(3));
const other = await identityFromSeed(new Uint8Array(32).fill(4));
const definition = makeDefinition("votes", [other.id, writer.id, other.id], "votes/1");
const address = await addressOf(definition);
const place = definition.writers.indexOf(writer.id);

/** One entry of a log that ends with others. */
async function branch(texts: readonly string[], seq: number, by = writer): Promise<Range> {
  const entries = texts.map((text, i) =>
    encodeEntry({ seq: i, previous: new Uint8Array(32), links: [], timeMs: 1, value: packEntryValue(text) }),
  );
  const tree = new MerkleTree(nodeHash);
  (await tree.prepare(await leafHashes(nodeHash, entries)))();
  const head = { length: tree.length, root: await tree.rootAt(tree.length) };
  const signature = await by.sign(headSignedBytes(address, by.id, head));
  return {
    head: { ...head, signature },
    from: seq,
    entries: [entries[seq] as Uint8Array],
    left: tree.cover(0, seq),
    right: tree.cover(seq + 1, tree.length),
  };
}

async function fork(seq = 1): Promise<ForkProof> {
  const [one, two] = [await branch(["a", "b", "c"], seq), await branch(["a", "x", "y", "z"], seq)];
  return (await makeForkProof(nodeHash, place, one, two)) as ForkProof;
}

async function messages(): Promise<FeedMessage[]> {
  const range = await branch(["a", "b", "c"], 1);
  return [
    { kind: "open", address },
    { kind: "definition", bytes: encodeDefinition(definition) },
    { kind: "heads", heads: [{ writer: 1, head: range.head, have: 2 }] },
    { kind: "heads", heads: [] },
    { kind: "want", request: 7, writer: 0, from: 256, count: 256 },
    { kind: "range", request: 7, range },
    { kind: "missing", request: 7 },
    { kind: "fork", proof: encodeForkProof(await fork()) },
    { kind: "failure" },
  ];
}

function decoded(bytes: Uint8Array): FeedMessage {
  return decodeMessage(bytes[HEAD_BYTES - 1] as number, bytes.slice(HEAD_BYTES));
}

test("messages come back as they were", async () => {
  for (const message of await messages()) expect(decoded(encodeMessage(message))).toEqual(message);
});

test("the bytes are those of shared/WIRE.md", () => {
  const want = { kind: "want", request: 7, writer: 0, from: 256, count: 16 } as const;
  expect(toHex(encodeMessage(want))).toBe("0000000704" + "940700cd010010");
  expect(toHex(encodeMessage({ kind: "missing", request: 7 }))).toBe("0000000206" + "9107");
  const single = makeDefinition("a", [peerIdFromKey(new Uint8Array(32).fill(7))], "");
  expect(toHex(encodeDefinition(single))).toBe(`9401c4016191c420${"07".repeat(32)}c400`);
});

test("nonsense is refused with a code, whatever its bytes", async () => {
  const genuine = (await messages()).map(encodeMessage);
  const refused = (act: () => unknown): void => {
    try {
      act();
    } catch (error) {
      expect(error).toBeInstanceOf(PeerloomError);
    }
  };
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 }), (type, body) => {
      refused(() => decodeMessage(type, body));
      for (const decode of [decodeEntry, decodeDefinition, decodeForkProof]) refused(() => decode(body));
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...genuine), fc.nat(), fc.nat(255), (bytes, at, value) => {
      const changed = bytes.with(HEAD_BYTES - 1 + (at % (bytes.length - HEAD_BYTES + 1)), value);
      refused(() => {
        const message = decoded(changed);
        if (message.kind === "fork") decodeForkProof(message.proof);
        if (message.kind === "definition") decodeDefinition(message.bytes);
      });
    }),
    { numRuns: 2_000 },
  );
});

test("an address names one definition, and no other bytes", async () => {
  const bytes = encodeDefinition(definition);
  expect(await requireDefinition(bytes, toHex(address))).toEqual(definition);
  const renamed = encodeDefinition({ ...definition, name: "vote5" });
  await expect(requireDefinition(renamed, toHex(address))).rejects.toMatchObject({ code: "feeds/corrupt" });
  // The same content written in another way has another hash, and is refused under that too.
  const unsorted = encode([
    1,
    utf8("votes"),
    definition.writers.toReversed().map(() => new Uint8Array(32)),
    utf8(""),
  ]);
  await expect(requireDefinition(unsorted, toHex(await sha256(unsorted)))).rejects.toMatchObject({
    code: "wire/malformed",
  });
  const many = Array.from({ length: WRITERS_MAX + 1 }, (_, i) => peerIdFromKey(new Uint8Array(32).fill(i)));
  expect(() => makeDefinition("n", many, "")).toThrow(expect.objectContaining({ code: "usage/invalid" }));
  expect(() => makeDefinition("n", [], "")).toThrow(expect.objectContaining({ code: "usage/invalid" }));
});

test("a fork proof convinces who knows the feed; no two entries of one branch, of another writer or of none do", async () => {
  const proof = await fork();
  const isGenuine = (each: ForkProof): Promise<boolean> =>
    isForkGenuine(nodeHash, address, definition.writers, each);
  expect(await isGenuine(proof)).toBe(true);
  const again = decodeForkProof(encodeForkProof(proof));
  expect(again).toEqual(proof);
  expect(await isGenuine(again)).toBe(true);
  const [a, b] = proof.branches;
  const forged: ForkProof[] = [
    { ...proof, writer: 1 - place },
    { ...proof, writer: 5 },
    { ...proof, seq: 0 },
    { ...proof, branches: [b, a] },
    { ...proof, branches: [a, a] },
    { ...proof, branches: [a, { ...b, entries: [utf8("other")] }] },
    { ...proof, branches: [a, { ...b, head: { ...b.head, signature: new Uint8Array(64) } }] },
    { ...proof, branches: [a, await branch(["a", "x", "y", "z"], 1, other)] },
  ];
  for (const each of forged) expect(await isGenuine(each)).toBe(false);
  // An honest log has one entry for each number, whichever of its heads certifies it.
  const [short, long] = [await branch(["a", "b"], 1), await branch(["a", "b", "c"], 1)];
  expect(await makeForkProof(nodeHash, place, short, long)).toBeUndefined();
});

test("of several proofs all take the same: the earlier, then the one with the lower bytes", async () => {
  const earlier = (await makeForkProof(
    nodeHash,
    place,
    await branch(["a", "b"], 0),
    await branch(["q", "b"], 0),
  )) as ForkProof;
  const [one, two] = [await fork(1), await fork(2)];
  expect(outranks(one, undefined)).toBe(true);
  expect(outranks(one, one)).toBe(false);
  expect(outranks(one, two)).toBe(true);
  expect(outranks(two, one)).toBe(false);
  expect(outranks(earlier, one)).toBe(true);
  const twin = (await makeForkProof(
    nodeHash,
    place,
    await branch(["a", "b"], 1),
    await branch(["a", "w"], 1),
  )) as ForkProof;
  expect(outranks(twin, one)).toBe(!outranks(one, twin));
});
