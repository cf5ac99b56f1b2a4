/** A part file on a real disk: what stands at its target, others that fetch to the same place, and what it says of that. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeFiles } from "../../../peer/adapters/node/files.ts";
import { takeLock } from "../../../peer/adapters/node/process-lock.ts";
import type { Manifest } from "../../../peer/services/files/manifest.ts";
import { LEAF_PREFIX, leafHash } from "../../../peer/services/files/merkle.ts";
import { PartStore } from "../../../peer/services/files/part-store.ts";
import { Selection } from "../../../peer/services/files/selection.ts";
import { PeerloomError } from "../../../shared/errors.ts";

const CONTENT = new TextEncoder().encode("what was fetched");
const SIGNAL = new AbortController().signal;

let folder: string;
let target: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-part-"));
  target = join(folder, "Documents");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Fetched {
  readonly kind?: "file" | "folder";
  readonly overwrite?: boolean;
}

function storeOf({ kind = "file", overwrite = false }: Fetched): PartStore {
  const manifest: Manifest = {
    kind,
    name: "Documents",
    entries: [{ path: kind === "file" ? "" : "in/new", bytes: CONTENT.length }],
    bytes: CONTENT.length,
    chunkBytes: 262_144,
    root: new Uint8Array(32),
  };
  const selection = new Selection(manifest, {});
  return new PartStore({
    files: nodeFiles,
    manifest,
    selection,
    target,
    hashText: "ab".repeat(32),
    overwrite,
  });
}

/** @returns the chunks that were there */
async function resume(store: PartStore): Promise<number[]> {
  const there: number[] = [];
  const layer = await leafHash(Uint8Array.of(LEAF_PREFIX, ...CONTENT));
  await store.resume(layer, (index) => there.push(index), SIGNAL);
  return there;
}

async function fetched(what: Fetched, meanwhile?: () => Promise<unknown>): Promise<PartStore> {
  const store = storeOf(what);
  try {
    await resume(store);
    await store.write(0, CONTENT.slice());
    await meanwhile?.();
    await store.complete();
  } catch (error) {
    await store.abandon();
    throw error;
  }
  return store;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof PeerloomError ? error.code : String(error);
}

const at = (...path: string[]): Promise<string> => readFile(join(folder, ...path), "utf8");

describe("what came to the target meanwhile", () => {
  test("a file stays, the part too, and the next run has nothing to fetch", async () => {
    expect(await codeOf(fetched({}, () => writeFile(target, "mine")))).toBe("files/exists");
    expect(await at("Documents")).toBe("mine");
    await rm(target);
    const again = storeOf({});
    expect(await resume(again)).toEqual([0]);
    await again.complete();
    expect(await at("Documents")).toBe("what was fetched");
    expect(await readdir(folder)).toEqual(["Documents"]);
  });

  test("a link that leads nowhere stays", async () => {
    const link = (): Promise<void> => symlink(join(folder, "nowhere"), target);
    expect(await codeOf(fetched({}, link))).toBe("files/exists");
    expect((await readdir(folder)).filter((name) => name === "nowhere")).toEqual([]);
  });

  for (const kind of ["file", "folder"] as const) {
    for (const overwrite of [false, true]) {
      test(`of the other kind stays: a ${kind} is fetched, overwriting is ${overwrite ? "on" : "off"}`, async () => {
        const meanwhile = async (): Promise<void> => {
          if (kind === "folder") return writeFile(target, "mine");
          await mkdir(target);
          await writeFile(join(target, "letter"), "mine");
        };
        expect(await codeOf(fetched({ kind, overwrite }, meanwhile))).toBe("files/exists");
        expect(await (kind === "folder" ? at("Documents") : at("Documents", "letter"))).toBe("mine");
        // Nor is anything fetched for it another time.
        const again = storeOf({ kind, overwrite });
        expect(await codeOf(resume(again))).toBe("files/exists");
        await again.abandon();
        await rm(target, { recursive: true });
        const last = storeOf({ kind, overwrite });
        expect(await resume(last)).toEqual([0]);
        await last.abandon();
      });
    }
  }

  test("a folder with something in it stays", async () => {
    const meanwhile = async (): Promise<void> => {
      await mkdir(target);
      await writeFile(join(target, "letter"), "mine");
    };
    expect(await codeOf(fetched({ kind: "folder" }, meanwhile))).toBe("files/exists");
    expect(await readdir(target)).toEqual(["letter"]);
  });
});

test("what was changed since it was saved is not read as what was fetched", async () => {
  const store = await fetched({});
  const into = new Uint8Array(CONTENT.length);
  await store.read(into, 0);
  expect(into).toEqual(CONTENT);
  await writeFile(target, CONTENT.slice().fill(1));
  await utimes(target, 1_700_000_000, 1_700_000_000);
  expect(await codeOf(store.read(into, 0))).toBe("files/changed");
  await store.close();
});

describe("replacing", () => {
  test("a file takes a file's place, and a folder a folder's", async () => {
    await writeFile(target, "mine");
    await fetched({ overwrite: true });
    expect(await at("Documents")).toBe("what was fetched");
    await rm(target);
    await mkdir(target);
    await writeFile(join(target, "letter"), "mine");
    await fetched({ kind: "folder", overwrite: true });
    expect(await readdir(target)).toEqual(["in"]);
    expect(await at("Documents", "in", "new")).toBe("what was fetched");
    expect(await readdir(folder)).toEqual(["Documents"]);
  });

  test("a run cut off between the two goes on, and what it had put aside goes at the end", async () => {
    const store = storeOf({ kind: "folder", overwrite: true });
    await resume(store);
    await store.write(0, CONTENT.slice());
    await store.abandon();
    const [part = ""] = (await readdir(folder)).filter((name) => name.endsWith(".part"));
    await mkdir(join(folder, `${part}.old`));
    await writeFile(join(folder, `${part}.old`, "letter"), "mine");
    const again = storeOf({ kind: "folder", overwrite: true });
    expect(await resume(again)).toEqual([0]);
    expect(await at(`${part}.old`, "letter")).toBe("mine");
    await again.complete();
    expect(await readdir(folder)).toEqual(["Documents"]);
  });
});

describe("two that fetch to one place", () => {
  test("the second is told so and harms nothing; after the first it finds the place taken", async () => {
    const first = storeOf({});
    await resume(first);
    const second = storeOf({});
    expect(await codeOf(resume(second))).toBe("files/locked");
    await second.abandon();
    await first.write(0, CONTENT.slice());
    await first.complete();
    expect(await at("Documents")).toBe("what was fetched");
    expect(await codeOf(resume(storeOf({})))).toBe("files/exists");
  });

  test("what a process held that is gone is taken over", async () => {
    const store = storeOf({});
    await resume(store);
    await store.write(0, CONTENT.slice());
    await store.abandon();
    const [part = ""] = (await readdir(folder)).filter((name) => name.endsWith(".part"));
    // No system counts so far.
    await writeFile(
      join(folder, part.replace(/part$/, "lock")),
      JSON.stringify({ pid: 2 ** 31 - 2, birth: "1" }),
    );
    const again = storeOf({});
    expect(await resume(again)).toEqual([0]);
    await again.complete();
    expect(await readdir(folder)).toEqual(["Documents"]);
  });

  test("a name that leaves room for a part's journal leaves room for its lock", async () => {
    target = join(folder, "n".repeat(255 - ".0123456789abcdef.part.journal".length));
    await fetched({});
    expect(await readdir(folder)).toEqual([basename(target)]);
  });

  test("a lock is one taker's until it is given back", async () => {
    const path = join(folder, "lock");
    const take = () => takeLock(path, "get", (holder) => new Error(`held by ${holder?.command}`));
    const lock = await take();
    await expect(take()).rejects.toThrow("held by get");
    await lock.release();
    await (await take()).release();
    expect(await readdir(folder)).toEqual([]);
  });
});
