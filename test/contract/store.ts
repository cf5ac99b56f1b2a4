/** What every `Store` that outlives its run does, on whatever it keeps chunks. It runs in pages too, so it brings its own way to compare. */
import type { Manifest } from "../../peer/services/files/manifest.ts";
import { LEAF_PREFIX, leafHash } from "../../peer/services/files/merkle.ts";
import { Selection } from "../../peer/services/files/selection.ts";
import type { Store } from "../../peer/services/files/store.ts";
import { concatBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";

const CHUNK_BYTES = 1_000;
export const CONTENT: Uint8Array = Uint8Array.from({ length: 2_500 }, (_, at) => at % 251);
export const MANIFEST: Manifest = {
  kind: "file",
  name: "f",
  entries: [{ path: "", bytes: CONTENT.length }],
  bytes: CONTENT.length,
  chunkBytes: CHUNK_BYTES,
  root: new Uint8Array(32),
};
/** In the chunk of that number. */
export const offsetOf = (index: number): number => index * CHUNK_BYTES;

/** Where one content is kept, empty at first. */
export interface StorePlace {
  /** Another run's. @throws PeerloomError what keeps it from being used */
  open(selection: Selection): Promise<Store>;
  /** Of all that lies there. */
  names(): Promise<readonly string[]>;
  /** Changes a byte of what is kept, while nobody has it. */
  spoil(offset: number): Promise<void>;
}

export const STORE_CLAIMS: Readonly<Record<string, (place: StorePlace) => Promise<void>>> = {
  "a chunk is read again as soon as it is written, and when all is complete": async (place) => {
    const { store, there } = await begin(place);
    same(there, []);
    await store.write(1, chunk(1));
    same(await read(store, 1), [...chunk(1)]);
    await store.write(0, chunk(0));
    await store.write(2, chunk(2));
    same(
      [0, 1, 2].map((index) => store.holds(index)),
      [true, true, true],
    );
    await store.complete();
    for (const index of [0, 1, 2]) same(await read(store, index), [...chunk(index)]);
    same((await place.names()).length, 1);
    await store.close();
    await store.close();
  },
  "another run finds what was written, and not what was spoiled": async (place) => {
    const { store } = await begin(place);
    await store.write(2, chunk(2));
    await store.write(1, chunk(1));
    await store.abandon(STOPPED);
    await place.spoil(offsetOf(1));
    const again = await begin(place);
    same(again.there, [2]);
    await again.store.write(1, chunk(1));
    await again.store.write(0, chunk(0));
    await again.store.complete();
    same(await read(again.store, 1), [...chunk(1)]);
    await again.store.close();
  },
  "nothing is left of a run that stored nothing": async (place) => {
    const { store } = await begin(place);
    await store.abandon(STOPPED);
    same(await place.names(), []);
  },
  "one writes at a time, and another goes on where it has stopped": async (place) => {
    const { store } = await begin(place);
    await store.write(0, chunk(0));
    same(await codeOf(begin(place)), "files/locked");
    await store.write(1, chunk(1));
    await store.abandon(STOPPED);
    const { store: next, there } = await begin(place);
    same(there, [0, 1]);
    await next.abandon(STOPPED);
  },
};

const STOPPED = new PeerloomError("aborted", "It was stopped.");

async function begin(place: StorePlace): Promise<{ store: Store; there: number[] }> {
  const store = await place.open(new Selection(MANIFEST, {}));
  const there: number[] = [];
  const hashes = [0, 1, 2].map((index) => leafHash(concatBytes(Uint8Array.of(LEAF_PREFIX), chunk(index))));
  const layer = concatBytes(...(await Promise.all(hashes)));
  try {
    await store.resume(layer, (index) => there.push(index), new AbortController().signal);
  } catch (error) {
    await store.abandon(STOPPED);
    throw error;
  }
  return { store, there: there.toSorted((a, b) => a - b) };
}

/** In memory of its own, which the store takes. */
function chunk(index: number): Uint8Array {
  return CONTENT.slice(offsetOf(index), offsetOf(index + 1));
}

async function read(store: Store, index: number): Promise<number[]> {
  const into = new Uint8Array(chunk(index).length);
  await store.read(into, offsetOf(index));
  return [...into];
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return error instanceof PeerloomError ? error.code : String(error);
  }
}

function same(is: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(is), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}
