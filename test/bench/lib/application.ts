/**
 * The application that every stack carries. The dialler's first 9 bytes choose: `E` echoes what follows, `S` counts so
 * many bytes and then answers one. Nothing is hashed or kept, so that the transport is what is measured.
 */
import type { Conn } from "./stack.ts";

const HEADER_BYTES = 9;
const ECHO = 0x45;
const SINK = 0x53;
/** More than anybody sends. */
const WITHOUT_END = 2 ** 50;

let sunk = 0;

/** What this process has taken and counted, bytes. */
export function sunkBytes(): number {
  return sunk;
}

/** Serves one accepted connection. */
export function serve(conn: Conn): void {
  let head: Uint8Array = new Uint8Array(0);
  let mode: number | undefined;
  let left = 0;
  conn.onData = (chunk) => {
    let bytes = chunk;
    if (mode === undefined) {
      head = Buffer.concat([head, bytes]);
      if (head.length < HEADER_BYTES) return;
      mode = head[0];
      left = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(1));
      bytes = head.subarray(HEADER_BYTES);
      if (bytes.length === 0) return;
    }
    if (mode === ECHO) {
      // Copied: some stacks use the memory of a received chunk again.
      conn.write(bytes.slice());
      return;
    }
    left -= bytes.length;
    sunk += bytes.length;
    if (left === 0) conn.write(Uint8Array.of(1));
    if (left < 0) throw new Error(`The sink got ${-left} bytes too many.`);
  };
}

/** Sends in pieces. @returns seconds from the first write to the receiver's answer that it has them all */
export async function sendBulk(conn: Conn, totalBytes: number, chunkBytes: number): Promise<number> {
  const block = new Uint8Array(chunkBytes).fill(0xa5);
  const answered = receive(conn, 1);
  const startMs = performance.now();
  conn.write(header(SINK, totalBytes));
  for (let sent = 0; sent < totalBytes;) {
    const length = Math.min(chunkBytes, totalBytes - sent);
    const more = conn.write(length === chunkBytes ? block : block.subarray(0, length));
    sent += length;
    if (!more) await conn.drained();
  }
  await answered;
  return (performance.now() - startMs) / 1000;
}

/** Sends for ever; the receiver counts. Never resolves, and its process ends with it. */
export async function pour(conn: Conn, chunkBytes: number): Promise<void> {
  const block = new Uint8Array(chunkBytes).fill(0xa5);
  conn.write(header(SINK, WITHOUT_END));
  for (;;) {
    if (!conn.write(block)) await conn.drained();
  }
}

/** One message under way at a time. @returns round trips in microseconds */
export async function ping(conn: Conn, count: number, bytes: number): Promise<number[]> {
  const message = new Uint8Array(bytes).fill(0x5a);
  conn.write(header(ECHO, 0));
  const microseconds: number[] = [];
  for (let index = -WARM_UP; index < count; index += 1) {
    const echoed = receive(conn, bytes);
    const startMs = performance.now();
    conn.write(message);
    await echoed;
    if (index >= 0) microseconds.push((performance.now() - startMs) * 1000);
  }
  return microseconds;
}

const WARM_UP = 200;

/** Asks for one byte back: the end of "dial to first byte". */
export async function firstEcho(conn: Conn): Promise<void> {
  const echoed = receive(conn, 1);
  conn.write(Buffer.concat([header(ECHO, 0), Uint8Array.of(7)]));
  await echoed;
}

function receive(conn: Conn, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    conn.onData = (bytes) => {
      left -= bytes.length;
      if (left <= 0) resolve();
    };
  });
}

function header(mode: number, count: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes[0] = mode;
  new DataView(bytes.buffer).setBigUint64(1, BigInt(count));
  return bytes;
}
