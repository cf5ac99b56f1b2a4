/** A disk that fills up while something is fetched onto it: a small one of its own, made of memory, which only root can mount. */
import { execFile } from "node:child_process";
import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import type { Download } from "../../peer/node.ts";
import { Command, randomFile, sha256File, temporaryFolder } from "./command.ts";
import { openPeer } from "./peers.ts";

const run = promisify(execFile);

const FILE_MEGABYTES = 12;
const DISK_MEBIBYTES = 14;
/** The disk fills up meanwhile. */
const SLOW_BYTES_PER_SECOND = 6_000_000;

const mountRefusal = await whyNoMount();
if (mountRefusal !== undefined) console.warn(`Skipped: no disk of its own can be mounted (${mountRefusal}).`);
const diskTest = test.skipIf(mountRefusal !== undefined);

async function mountDisk(folder: string): Promise<void> {
  await run("mount", ["-t", "tmpfs", "-o", `size=${DISK_MEBIBYTES}m`, "peerloom-test", folder]);
}

/** Undefined where it works. */
async function whyNoMount(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "that needs Linux and root";
  const folder = await mkdtemp(join(tmpdir(), "peerloom-mount-"));
  try {
    await mountDisk(folder);
    await run("umount", [folder]);
    return undefined;
  } catch (error) {
    return String(error).split("\n")[0];
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Scene {
  /** The small disk. */
  readonly disk: string;
  readonly ticket: string;
  readonly hash: string;
  /** Who shares it; answers echo/1. */
  readonly giverId: string;
  /** Takes all the room there is. @returns gives it back */
  fill(): Promise<() => Promise<void>>;
}

async function setScene(): Promise<Scene> {
  const folder = await temporaryFolder();
  const disk = await temporaryFolder();
  await mountDisk(disk);
  // Lazily: a test that failed may have left something open there.
  onTestFinished(() => run("umount", ["-l", disk]).then(() => undefined));
  const hash = await randomFile(join(folder, "original"), FILE_MEGABYTES);
  const giver = await openPeer({ edge: null, listen: "127.0.0.1:0" });
  giver.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
  const { ticket } = await giver.files.share(join(folder, "original"));
  return {
    disk,
    ticket,
    hash,
    giverId: giver.id,
    async fill() {
      const path = join(disk, "filler");
      const filler = await open(path, "w");
      const block = Buffer.alloc(65_536);
      const isRoom = async (): Promise<boolean> =>
        filler.write(block).then(
          ({ bytesWritten }) => bytesWritten === block.length,
          () => false,
        );
      while (await isRoom());
      await filler.close();
      return () => rm(path);
    },
  };
}

const PART = /^copy\.[0-9a-f]{16}\.part$/;
const JOURNAL = /^copy\.[0-9a-f]{16}\.part\.journal$/;

diskTest("get says that the disk is full, keeps what it has, and goes on from there", async () => {
  const { disk, ticket, hash, fill } = await setScene();
  const copy = join(disk, "copy");
  const words = ["get", ticket, "-o", copy, "--data", await temporaryFolder()];
  const first = new Command([...words, "--down-limit", String(SLOW_BYTES_PER_SECOND)]);
  await first.wait("progress", ({ bytes }) => Number(bytes) > 2_000_000);
  const makeRoom = await fill();
  expect(await first.wait("error")).toMatchObject({ code: "files/disk-full" });
  expect(await first.exit).not.toBe(0);
  const kept = (await readdir(disk)).toSorted();
  expect(kept).toEqual([expect.stringMatching(PART), expect.stringMatching(JOURNAL), "filler"]);

  const second = new Command(words);
  expect(await second.wait("error")).toMatchObject({ code: "files/disk-full" });
  expect(await second.exit).not.toBe(0);
  expect((await readdir(disk)).toSorted()).toEqual(kept);

  await makeRoom();
  const third = new Command(words);
  const { by } = await third.wait("done");
  expect((by as { readonly direct: number }).direct).toBeLessThan(FILE_MEGABYTES * 1e6 - 1_500_000);
  expect(await third.exit).toBe(0);
  expect(await sha256File(copy)).toBe(hash);
  expect(await readdir(disk)).toEqual(["copy"]);
});

diskTest(
  "the session and its other streams live on, and the same program gets it once there is room",
  async () => {
    const { disk, ticket, hash, giverId, fill } = await setScene();
    const getter = await openPeer({ edge: null, downloadLimit: SLOW_BYTES_PER_SECOND });
    const copy = join(disk, "copy");
    const download = getter.files.get(ticket);
    const saving = download.saveTo(copy);
    saving.catch(() => {}); // It is looked at below.
    await stored(download, 2_000_000);
    const session = await getter.connect(giverId);
    const { writable, readable } = await session.open("echo/1");
    const writer = writable.getWriter();
    const reader = readable.getReader();
    const echo = async (byte: number): Promise<number | undefined> => {
      await writer.write(Uint8Array.of(byte));
      return (await reader.read()).value?.[0];
    };
    expect(await echo(1)).toBe(1);
    const makeRoom = await fill();
    await expect(saving).rejects.toMatchObject({ code: "files/disk-full" });
    expect(await echo(2)).toBe(2);
    expect(getter.sessions()).toEqual([session]);

    await makeRoom();
    getter.files.limit({ download: undefined });
    const result = await getter.files.get(ticket).saveTo(copy);
    expect(result.by.direct).toBeLessThan(FILE_MEGABYTES * 1e6 - 1_500_000);
    expect(await sha256File(copy)).toBe(hash);
    expect(await echo(3)).toBe(3);
  },
);

/** Resolves once so much is on the disk. */
function stored(download: Download, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    download.addEventListener("progress", (event) => {
      if ((event as CustomEvent<{ readonly bytes: number }>).detail.bytes > bytes) resolve();
    });
  });
}
