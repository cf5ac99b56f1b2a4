/**
 * How `status` asks the peer that owns a data folder: a Unix socket in that folder (a named pipe on Windows), one JSON
 * line each way, then the connection ends. Only the same user can reach it, and neither side believes the other:
 * lines are bounded, and nobody waits without a deadline.
 */
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";

export interface ControlServer {
  /** Resolves when the socket is gone. Harmless twice. */
  close(): Promise<void>;
  /** The same from a process's `exit` handler. */
  closeNow(): void;
}

/** The longest question, bytes; a longer one is not answered. */
export const QUESTION_BYTES_MAX = 1024;
/** The longest answer a client takes, bytes: about 4000 peers. */
export const ANSWER_BYTES_MAX: number = 1024 * 1024;
/** Connections at a time; further ones are closed. */
export const CLIENTS_MAX = 8;
/** A question must be complete, and an answer must have come, within this. */
export const ANSWER_TIMEOUT_MS = 3000;
/** `sun_path` holds 104 bytes on macOS, 108 on Linux, with the final zero. */
const SOCKET_PATH_BYTES_MAX = 100;

/**
 * Answers questions about the owner of a folder. Call it only with the folder's lock held: it replaces what a dead
 * owner has left.
 * @throws PeerloomError `data/unwritable`
 */
export async function serveControl(folder: string, answer: (ask: string) => unknown): Promise<ControlServer> {
  const path = controlPath(folder);
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    if (clients.size >= CLIENTS_MAX) {
      socket.destroy();
      return;
    }
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    answerOnce(socket, answer);
  });
  try {
    await prepare(path);
    await listen(server, path);
    if (!isPipe(path)) await chmod(path, 0o600);
  } catch (cause) {
    server.close();
    throw new PeerloomError(
      "data/unwritable",
      `Cannot open the control socket ${path}. Choose another folder with --data DIR.`,
      { cause },
    );
  }
  server.unref();
  let closing: Promise<void> | undefined;
  return {
    close: () => {
      closing ??= new Promise<void>((resolve) => {
        for (const socket of clients) socket.destroy();
        server.close(() => resolve());
      }).then(() => (isPipe(path) ? undefined : rm(path, { force: true })));
      return closing;
    },
    closeNow: () => {
      if (closing === undefined && !isPipe(path)) rmSync(path, { force: true });
    },
  };
}

/**
 * Asks the owner of a folder one thing.
 * @throws PeerloomError `data/not-running` when nobody answers there
 */
export async function askControl(folder: string, ask: string): Promise<unknown> {
  const path = controlPath(folder);
  try {
    if (!isPipe(path)) await checkOwner(dirname(path));
    return await exchange(path, `${JSON.stringify({ ask })}\n`);
  } catch (error) {
    throw toPeerloomError(
      error,
      "data/not-running",
      `No peer runs on the data folder ${folder}. Start one with "peerloom up", or name its folder with --data DIR.`,
    );
  }
}

/** Where the socket of a folder is; both sides reckon it from the folder's path alone. */
export function controlPath(folder: string): string {
  const digest = createHash("sha256").update(folder).digest("hex").slice(0, 24);
  if (process.platform === "win32") return `\\\\.\\pipe\\peerloom-${digest}`;
  const inside = join(folder, "control.sock");
  if (Buffer.byteLength(inside) <= SOCKET_PATH_BYTES_MAX) return inside;
  return join(tmpdir(), `peerloom-${process.getuid?.() ?? "user"}`, `${digest}.sock`);
}

function answerOnce(socket: Socket, answer: (ask: string) => unknown): void {
  let question = "";
  socket.setEncoding("utf8");
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    question += String(chunk);
    const end = question.indexOf("\n");
    if (end < 0 && question.length <= QUESTION_BYTES_MAX) return;
    socket.removeAllListeners("data");
    const ask = end < 0 || end > QUESTION_BYTES_MAX ? undefined : readAsk(question.slice(0, end));
    socket.end(
      `${JSON.stringify(ask === undefined ? { error: "malformed" } : { answer: answer(ask) ?? null })}\n`,
    );
  });
}

function readAsk(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "ask" in value && typeof value.ask === "string"
      ? value.ask
      : undefined;
  } catch {
    return undefined;
  }
}

function exchange(path: string, question: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let line = "";
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Error(reason));
    };
    const deadline = setTimeout(() => fail("no answer in time"), ANSWER_TIMEOUT_MS);
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(question));
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      line += String(chunk);
      if (line.length > ANSWER_BYTES_MAX) fail("the answer is too long");
    });
    socket.on("close", () => {
      clearTimeout(deadline);
      try {
        const value: unknown = JSON.parse(line);
        if (typeof value === "object" && value !== null && "answer" in value) resolve(value.answer);
        else reject(new Error("the question was refused"));
      } catch (cause) {
        reject(new Error("the answer is not JSON", { cause }));
      }
    });
  });
}

/** Removes a dead owner's socket; makes the folder under the system's temporary one where the path is too long. */
async function prepare(path: string): Promise<void> {
  if (isPipe(path)) return;
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await checkOwner(folder);
  await rm(path, { force: true });
}

/** In a temporary folder that everybody may write to, somebody else could have made ours first. */
async function checkOwner(folder: string): Promise<void> {
  const found = await lstat(folder);
  const user = process.getuid?.();
  if (user !== undefined && (!found.isDirectory() || found.uid !== user) && folder.startsWith(tmpdir())) {
    throw new Error(`${folder} does not belong to this user`);
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function isPipe(path: string): boolean {
  return path.startsWith("\\\\");
}
