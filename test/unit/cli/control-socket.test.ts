import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  askControl,
  controlPath,
  QUESTION_BYTES_MAX,
  serveControl,
} from "../../../peer/cli/control-socket.ts";
import { temporaryFolder } from "./fakes.ts";

/** Everything the owner says to a client that writes these bytes. */
async function say(folder: string, text: string): Promise<string> {
  const socket = createConnection(controlPath(folder));
  let heard = "";
  socket.setEncoding("utf8").on("data", (chunk) => (heard += String(chunk)));
  socket.write(text);
  await once(socket, "close");
  return heard;
}

test("the owner is asked and answers; afterwards nothing is left", async () => {
  const folder = await temporaryFolder();
  const server = await serveControl(folder, (ask) => ({ asked: ask }));
  expect((await stat(controlPath(folder))).mode & 0o777).toBe(0o600);
  expect(await askControl(folder, "status")).toEqual({ asked: "status" });
  await server.close();
  await server.close();
  expect(existsSync(controlPath(folder))).toBe(false);
});

test("without an owner the error says what to do", async () => {
  await expect(askControl(await temporaryFolder(), "status")).rejects.toMatchObject({
    code: "data/not-running",
  });
});

test("malformed and oversized questions are refused, the next one is answered", async () => {
  const folder = await temporaryFolder();
  const server = await serveControl(folder, () => 1);
  for (const bad of ["\n", "[]\n", '{"ask":1}\n', "x".repeat(QUESTION_BYTES_MAX + 1)]) {
    expect(await say(folder, bad)).toBe('{"error":"malformed"}\n');
  }
  expect(await askControl(folder, "status")).toBe(1);
  await server.close();
});

test("a socket that a dead owner has left is replaced", async () => {
  const folder = await temporaryFolder();
  await mkdir(controlPath(folder)).catch(() => undefined);
  await expect(serveControl(folder, () => 1)).rejects.toMatchObject({ code: "data/unwritable" });
  const other = await temporaryFolder();
  const first = await serveControl(other, () => 1);
  const second = await serveControl(other, () => 2); // the lock, held by the caller, is what keeps two apart
  expect(await askControl(other, "status")).toBe(2);
  await first.close();
  await second.close();
});

test("a folder whose path is too long for a socket has it elsewhere", async () => {
  const folder = join(await temporaryFolder(), "long".repeat(30));
  await mkdir(folder);
  expect(controlPath(folder).startsWith(folder)).toBe(false);
  const server = await serveControl(folder, () => "yes");
  expect(await askControl(folder, "status")).toBe("yes");
  await server.close();
  expect(existsSync(controlPath(folder))).toBe(false);
});
