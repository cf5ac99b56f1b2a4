/** Chunks for one reader: how many may wait, what is kept for others, and for how long. */
import { expect, test } from "vitest";
import type { Manifest } from "../../../peer/services/files/manifest.ts";
import { ReaderStore } from "../../../peer/services/files/reader-store.ts";
import { Selection } from "../../../peer/services/files/selection.ts";

const MEBIBYTE = 1024 * 1024;

function storeOf(chunkBytes: number, chunks: number): { store: ReaderStore; forgotten: number[] } {
  const bytes = chunkBytes * chunks;
  const entries = [{ path: "", bytes }];
  const manifest: Manifest = {
    kind: "file",
    name: "f",
    entries,
    bytes,
    chunkBytes,
    root: new Uint8Array(32),
  };
  const forgotten: number[] = [];
  const onForgot = (index: number): void => void forgotten.push(index);
  const store = new ReaderStore({ onRead: () => {}, onForgot, onCancel: () => {} });
  store.begin(manifest, new Selection(manifest, {}));
  return { store, forgotten };
}

test("what waits is bounded in bytes, and of the largest chunks two may", () => {
  const below = (chunkBytes: number): number => storeOf(chunkBytes, 100).store.window.below;
  expect([MEBIBYTE / 4, MEBIBYTE, 8 * MEBIBYTE, 16 * MEBIBYTE].map(below)).toEqual([64, 16, 2, 2]);
});

test("what was read is there for others as it came, whatever the reader does with it, until it is long past", async () => {
  const { store, forgotten } = storeOf(8 * MEBIBYTE, 4);
  const reader = store.readable.getReader();
  const into = new Uint8Array(8 * MEBIBYTE);
  for (let index = 0; index < 4; index++) {
    const isNext = reader.read();
    await expect.poll(() => store.isAwaited).toBe(true);
    await store.write(index, new Uint8Array(8 * MEBIBYTE).fill(index + 1));
    const { value } = await isNext;
    expect(value?.[0]).toBe(index + 1);
    value?.fill(0xff);
    await store.read(into, index * into.length);
    expect(into[0]).toBe(index + 1);
  }
  expect(forgotten).toEqual([0, 1]);
  await expect(store.read(into, 0)).rejects.toMatchObject({ code: "files/not-found" });
  await store.complete();
  expect((await reader.read()).done).toBe(true);
  await store.close();
  expect(forgotten).toEqual([0, 1, 2, 3]);
});
