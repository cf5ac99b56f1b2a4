/** Folders between two peers: many small files, empty ones, names from other scripts; and names that must not be written. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Peer, type Share } from "../../peer/node.ts";

let folder: string;
let giver: Peer;
let getter: Peer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "peerloom-folders-"));
  giver = await Peer.open({ edge: null, listen: "127.0.0.1:0" });
  getter = await Peer.open({ edge: null });
});

afterAll(async () => {
  await getter?.close();
  await giver?.close();
  await rm(folder, { recursive: true, force: true });
});

async function hashTree(path: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    hashes[file.slice(path.length)] = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  }
  return hashes;
}

test("2,000 files, some empty, some nested, arrive as they were; a link that leads out does not", async () => {
  const source = join(folder, "source");
  for (let i = 0; i < 2_000; i++) {
    const below = join(source, `d${i % 40}`, i % 3 === 0 ? "näher/日本" : "");
    if (i < 120) await mkdir(below, { recursive: true });
    const bytes = i % 50 === 0 ? 0 : (i * 7919) % 9_000;
    await mkdir(below, { recursive: true });
    await writeFile(join(below, `f${i}.bin`), Buffer.alloc(bytes, i));
  }
  const before = await hashTree(source);
  await symlink("/etc/hostname", join(source, "out"));
  const share = await giver.files.share(source);
  const target = join(folder, "target");
  const result = await getter.files.get(share.ticket).saveTo(target);
  expect(result.by).toEqual({ direct: share.bytes, relay: 0 });
  expect(await hashTree(target)).toEqual(before);
  expect((await readdir(folder)).toSorted()).toEqual(["source", "target"]);
});

test("a file that changed since it was shared is refused by name, and nothing stands under the target's", async () => {
  const source = join(folder, "changing.bin");
  await writeFile(source, Buffer.alloc(3_000_000, 1));
  const share = await giver.files.share(source);
  await writeFile(source, Buffer.alloc(3_000_000, 2));
  const target = join(folder, "copy.bin");
  await expect(getter.files.get(share.ticket).saveTo(target)).rejects.toMatchObject({
    code: "files/changed",
  });
  expect(await readdir(folder)).not.toContain("copy.bin");
});

test("memory and order: the same bytes as a Blob and as a stream", async () => {
  const source = join(folder, "both.bin");
  const bytes = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * 31) % 251));
  await writeFile(source, bytes);
  const { ticket } = await giver.files.share(source);
  const blob = await getter.files.get(ticket).blob();
  expect(Buffer.from(await blob.arrayBuffer()).equals(bytes)).toBe(true);
  const streamed = await new Response(getter.files.get(ticket).readable).arrayBuffer();
  expect(Buffer.from(streamed).equals(bytes)).toBe(true);
});

test("what stands at a target is lost only when it was meant: not to a name from a ticket, not to a second get", async () => {
  const home = join(folder, "home");
  const [letter, source] = [join(home, "Documents", "letter"), join(folder, "stranger", "Documents")];
  await mkdir(join(home, "Documents"), { recursive: true });
  await writeFile(letter, "mine");
  const get = ({ ticket }: Share, path: string, overwrite = true) =>
    getter.files.get(ticket).saveTo(path, { overwrite });
  await mkdir(join(folder, "stranger"));
  await writeFile(source, Buffer.alloc(600_000, 3));
  const file = await giver.files.share(source);
  await expect(get(file, home)).rejects.toMatchObject({ code: "files/exists" });
  await expect(get(file, join(home, "Documents"))).rejects.toMatchObject({ code: "files/exists" });
  await rm(source);
  await mkdir(source);
  await writeFile(join(source, "new"), Buffer.alloc(600_000, 4));
  const tree = await giver.files.share(source);
  await expect(get(tree, home)).rejects.toMatchObject({ code: "files/exists" });
  expect(await readFile(letter, "utf8")).toBe("mine");
  await get(tree, join(home, "Documents"));
  expect(await readdir(home, { recursive: true })).toEqual(["Documents", join("Documents", "new")]);

  const twice = [get(tree, join(folder, "twice"), false), get(tree, join(folder, "twice"), false)];
  const [first, second] = await Promise.allSettled(twice);
  expect(new Set([first?.status, second?.status])).toEqual(new Set(["fulfilled", "rejected"]));
  expect(await hashTree(join(folder, "twice"))).toEqual(await hashTree(source));
  const nowhere = get(tree, join(folder, "no", "such", "x"), false);
  await expect(nowhere).rejects.toMatchObject({
    code: "files/not-found",
    message: expect.stringContaining(`The folder ${join(folder, "no", "such")} is not there`) as string,
  });
});
