import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dataFolderPath, openDataFolder } from "../../../peer/cli/data-folder.ts";
import { birthOf } from "../../../peer/adapters/node/process-lock.ts";
import { folderOwner, lockFolder } from "../../../peer/cli/folder-lock.ts";
import { temporaryFolder } from "./fakes.ts";

/** The pid of a process that has ended and was waited for. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await once(child, "exit");
  return child.pid ?? 0;
}

test("the default folder follows XDG_DATA_HOME, --data is relative to where one stands", () => {
  const host = { environment: {}, homeFolder: "/home/ana", workingFolder: "/cwd" };
  expect(dataFolderPath(undefined, host)).toBe("/home/ana/.peerloom");
  expect(dataFolderPath("d", host)).toBe("/cwd/d");
  expect(dataFolderPath(undefined, { ...host, environment: { XDG_DATA_HOME: "/xdg" } })).toBe(
    "/xdg/peerloom",
  );
  expect(dataFolderPath(undefined, { ...host, environment: { XDG_DATA_HOME: "relative" } })).toBe(
    "/home/ana/.peerloom",
  );
});

test("a second owner is told who holds the folder; a guest gets a place of its own", async () => {
  const path = join(await temporaryFolder(), "new", "data");
  const owner = await openDataFolder(path, "up", "owner");
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  await expect(openDataFolder(path, "share", "owner")).rejects.toMatchObject({
    code: "data/locked",
    message: expect.stringContaining(`"peerloom up" (process ${process.pid})`) as string,
  });

  const guest = await openDataFolder(path, "get", "any");
  expect(guest).toMatchObject({ role: "guest", path });
  expect(guest.statePath.startsWith(join(path, "guests"))).toBe(true);
  expect((await stat(guest.statePath)).mode & 0o777).toBe(0o700);
  await guest.close();
  await guest.close();
  expect(await readdir(join(path, "guests"))).toEqual([]);

  await owner.close();
  await owner.close();
  expect(await folderOwner(path)).toBeUndefined();
  const next = await openDataFolder(path, "get", "any");
  expect(next).toMatchObject({ role: "owner", statePath: path });
  await next.close();
});

test.each([
  [
    "of a process that is gone",
    async () => JSON.stringify({ pid: await deadPid(), birth: "1", command: "up", nonce: "n" }),
  ],
  [
    "whose pid belongs to a later process",
    async () => JSON.stringify({ pid: process.pid, birth: "1", command: "up", nonce: "n" }),
  ],
  ["that cannot be read", () => Promise.resolve("{")],
])("a lock %s is taken over", async (name, makeLock) => {
  if (name.includes("later") && (await birthOf(process.pid)) === "") return; // this system does not tell births
  const folder = await temporaryFolder();
  await writeFile(join(folder, "lock"), await makeLock());
  const lock = await lockFolder(folder, "share");
  expect(await folderOwner(folder)).toMatchObject({ pid: process.pid, command: "share" });
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
});

test("of many that take over a stale lock at once, one succeeds", async () => {
  const folder = await temporaryFolder();
  const stale = JSON.stringify({ pid: await deadPid(), birth: "1", command: "up", nonce: "n" });
  await writeFile(join(folder, "lock"), stale);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder, "up")));
  const held = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  expect(held).toHaveLength(1);
  held[0]?.releaseNow();
  expect(await readdir(folder)).toEqual([]);
});

test("what a killed guest has left is taken away by the next", async () => {
  const path = await temporaryFolder();
  await mkdir(join(path, "guests", `${await deadPid()}-1-x`), { recursive: true });
  const owner = await openDataFolder(path, "up", "owner");
  expect(await readdir(join(path, "guests"))).toEqual([]);
  await owner.close();
});

test("a folder that cannot be made is a clear error", async () => {
  const file = join(await temporaryFolder(), "file");
  await writeFile(file, "");
  await expect(openDataFolder(join(file, "data"), "up", "owner")).rejects.toMatchObject({
    code: "data/unwritable",
  });
});
