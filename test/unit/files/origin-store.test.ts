/** A share in a page's file, whatever part of it is wanted: what is handed over, what another visit finds, and when it goes. */
import { expect, test } from "vitest";
import type { Manifest } from "../../../peer/services/files/manifest.ts";
import { LEAF_PREFIX, leafHash } from "../../../peer/services/files/merkle.ts";
import { OriginStore } from "../../../peer/services/files/origin-store.ts";
import { Selection } from "../../../peer/services/files/selection.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { KeptFile } from "./kept-file.ts";

const CONTENT = Uint8Array.from({ length: 40 }, (_, at) => at);
const MANIFEST: Manifest = {
  kind: "folder",
  name: "letters",
  entries: [
    { path: "a", bytes: 15 },
    { path: "b", bytes: 10 },
    { path: "c", bytes: 15 },
  ],
  bytes: CONTENT.length,
  chunkBytes: 10,
  root: new Uint8Array(32),
};

const chunk = (index: number): Uint8Array => CONTENT.slice(index * 10, index * 10 + 10);

async function layerOf(): Promise<Uint8Array> {
  const hashes = [0, 1, 2, 3].map((index) => leafHash(concatBytes(Uint8Array.of(LEAF_PREFIX), chunk(index))));
  return concatBytes(...(await Promise.all(hashes)));
}

async function visit(
  kept: KeptFile,
  select?: readonly string[],
): Promise<{ store: OriginStore; there: number[] }> {
  const selection = new Selection(MANIFEST, select === undefined ? {} : { select });
  const store = new OriginStore(kept.open(), MANIFEST, selection);
  const there: number[] = [];
  await store.resume(await layerOf(), (index) => there.push(index), new AbortController().signal);
  return { store, there };
}

async function bytesOf(file: Blob): Promise<number[]> {
  return [...new Uint8Array(await file.arrayBuffer())];
}

test("what was chosen of a folder is handed over, and all of it later goes on from there", async () => {
  const kept = new KeptFile();
  const { store } = await visit(kept, ["b"]);
  for (const index of [1, 2]) await store.write(index, chunk(index));
  await store.complete();
  expect(await bytesOf(store.content())).toEqual([...CONTENT.subarray(15, 25)]);

  const { store: all, there } = await visit(kept);
  expect(there).toEqual([1, 2]);
  for (const index of [0, 3]) await all.write(index, chunk(index));
  await all.complete();
  expect(all.manifest.name).toBe("letters");
  expect(await bytesOf(all.content())).toEqual([...CONTENT]);
  expect(kept.content.length).toBe(CONTENT.length);
});

test("what is whole is not written to, for others may be reading it", async () => {
  const kept = new KeptFile();
  kept.content = CONTENT.slice();
  const file = kept.open();
  const selection = new Selection(MANIFEST, {});
  const written = (): Promise<void> => Promise.reject(new Error("written"));
  const store = new OriginStore({ ...file, write: written, truncate: written }, MANIFEST, selection);
  await store.resume(await layerOf(), () => {}, new AbortController().signal);
  await store.complete();
  expect(await bytesOf(store.content())).toEqual([...CONTENT]);
});

test.each([
  ["aborted", true],
  ["files/disk-full", false],
] as const)("a part stays for another visit unless the disk is full: %s", async (code, stays) => {
  const kept = new KeptFile();
  const { store } = await visit(kept);
  await store.write(0, chunk(0));
  await store.abandon(new PeerloomError(code, "It was stopped."));
  expect(kept.isThere).toBe(stays);
});
