/** Trees against RFC 6962's recursive definition, and ranges: every genuine one is proved, in any place, and no other. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";
import { nodeHash } from "../../../peer/adapters/node/hash.ts";
import type { HashProvider } from "../../../peer/runtime.ts";
import { type Range, proveRange } from "../../../peer/services/feeds/range.ts";
import { leafHashes, MerkleTree, peaksOf, tilesOver } from "../../../peer/services/feeds/tree.ts";
import { concatBytes, toHex, utf8 } from "../../../shared/bytes.ts";

const entryOf = (index: number): Uint8Array => utf8(`entry ${index}`);
const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(concatBytes(...parts))
      .digest(),
  );

function rootOf(entries: readonly Uint8Array[]): Uint8Array {
  const [only] = entries;
  if (entries.length === 1 && only !== undefined) return sha256(Uint8Array.of(0), only);
  const left = 2 ** Math.floor(Math.log2(entries.length - 1));
  return sha256(Uint8Array.of(1), rootOf(entries.slice(0, left)), rootOf(entries.slice(left)));
}

async function treeOf(
  hash: HashProvider,
  count: number,
  steps: readonly number[] = [count],
): Promise<MerkleTree> {
  const tree = new MerkleTree(hash);
  for (let i = 0; tree.length < count; i++) {
    const some = Math.min(steps[i % steps.length] ?? 1, count - tree.length);
    const entries = Array.from({ length: some }, (_, k) => entryOf(tree.length + k));
    (await tree.prepare(await leafHashes(hash, entries)))();
  }
  return tree;
}

async function rangeOf(tree: MerkleTree, from: number, to: number): Promise<Range> {
  return {
    head: { length: tree.length, root: await tree.rootAt(tree.length), signature: new Uint8Array(64) },
    from,
    entries: Array.from({ length: to - from }, (_, i) => entryOf(from + i)),
    left: tree.cover(0, from),
    right: tree.cover(to, tree.length),
  };
}

test.each([
  ["Node's hash", nodeHash],
  ["WebCrypto's", webCryptoHash],
])("the root is that of RFC 6962, however the tree has grown: %s", async (_, hash) => {
  for (const count of [1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 100]) {
    const tree = await treeOf(hash, count, [1, 3, 8]);
    const entries = Array.from({ length: count }, (__, i) => entryOf(i));
    for (const length of [1, count >> 1, count]) {
      if (length === 0) continue;
      expect(toHex(await tree.rootAt(length))).toBe(toHex(rootOf(entries.slice(0, length))));
    }
  }
});

test("every range of every log is proved, also with tiles in smaller parts than need be", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), async (count, a, b) => {
      const tree = await treeOf(nodeHash, count);
      const from = a % count;
      const to = from + 1 + (b % (count - from));
      const range = await rangeOf(tree, from, to);
      const proved = await proveRange(nodeHash, range);
      expect(proved?.leaves.map(toHex)).toEqual(range.entries.map((__, i) => toHex(tree.leaf(from + i))));
      expect(proved?.before).toEqual(tree.cover(0, from));
      const middle = to + Math.floor((count - to) / 2);
      const right = [...tree.cover(to, middle), ...tree.cover(middle, count)];
      expect(await proveRange(nodeHash, { ...range, right })).toBeDefined();
    }),
  );
});

test("one changed bit anywhere, an entry too many or too few, or another place prove nothing", async () => {
  const tree = await treeOf(nodeHash, 77);
  const range = await rangeOf(tree, 20, 40);
  const flip = (bytes: Uint8Array): Uint8Array => bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1);
  const forged: Range[] = [
    { ...range, from: 21 },
    { ...range, from: 0, left: [] },
    { ...range, entries: range.entries.slice(1) },
    { ...range, entries: [...range.entries, entryOf(40)] },
    { ...range, entries: [] },
    { ...range, entries: range.entries.toReversed() },
    { ...range, head: { ...range.head, root: flip(range.head.root) } },
    { ...range, head: { ...range.head, length: 78 } },
    { ...range, left: range.left.toReversed() },
    { ...range, right: range.right.slice(1) },
    { ...range, left: [{ height: 30, hash: new Uint8Array(32) }] },
    ...range.entries.map((entry, i) => ({ ...range, entries: range.entries.with(i, flip(entry)) })),
    ...range.left.map((tile, i) => ({
      ...range,
      left: range.left.with(i, { ...tile, hash: flip(tile.hash) }),
    })),
    ...range.right.map((tile, i) => ({
      ...range,
      right: range.right.with(i, { ...tile, hash: flip(tile.hash) }),
    })),
  ];
  for (const each of forged) expect(await proveRange(nodeHash, each)).toBeUndefined();
});

test("tiles stand where their height can, or they are none", async () => {
  const tile = (height: number) => ({ height, hash: new Uint8Array(32) });
  expect(await peaksOf(nodeHash, [tile(0), tile(1)])).toBeUndefined();
  expect(await peaksOf(nodeHash, [tile(31)])).toBeUndefined();
  expect((await peaksOf(nodeHash, [tile(1), tile(0), tile(0)]))?.map(({ height }) => height)).toEqual([2]);
  const leaves = await leafHashes(nodeHash, [entryOf(5), entryOf(6), entryOf(7)]);
  expect((await tilesOver(nodeHash, 5, leaves)).map(({ height }) => height)).toEqual([0, 1]);
});
