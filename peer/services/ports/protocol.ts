/**
 * `ports/1`: one stream a connection. The forwarding side names what it wants, the exposing one answers with one byte or
 * resets the stream with a code; from there on the bytes of the connection follow, each half with its own end.
 */
import { utf8, utf8Decode } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

export const PORTS_PROTOCOL = "ports/1";
export const ACCEPTED = 1;
/** `ask`: whether a connection would be taken; none is made. */
export const REQUEST = { ask: 0, connect: 1 } as const;
const TARGET_BYTES_MAX = 64;
const HEAD_BYTES = 2;

export interface PortRequest {
  readonly kind: keyof typeof REQUEST;
  /** A port in decimal digits, or the name of an exposure. */
  readonly target: string;
}

/** What may follow an id: a port from 1 to 65,535, or a name that cannot be taken for one. */
export function isTarget(text: string): boolean {
  return isPort(text) || isName(text);
}

export function isName(text: string): boolean {
  return /^[a-z][a-z0-9._-]{0,63}$/.test(text);
}

function isPort(text: string): boolean {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;
}

export function encodePortRequest({ kind, target }: PortRequest): Uint8Array {
  const name = utf8(target);
  const bytes = new Uint8Array(HEAD_BYTES + name.length);
  bytes[0] = REQUEST[kind];
  bytes[1] = name.length;
  bytes.set(name, HEAD_BYTES);
  return bytes;
}

/** @throws PeerloomError `wire/malformed`, or why the stream failed */
export async function readPortRequest(readable: ReadableStream<Uint8Array>): Promise<PortRequest> {
  const head = await readExactly(readable, HEAD_BYTES);
  const [kind, length = 0] = head;
  if ((kind !== REQUEST.ask && kind !== REQUEST.connect) || length === 0 || length > TARGET_BYTES_MAX)
    throw malformed();
  const bytes = await readExactly(readable, length);
  let target: string;
  try {
    target = utf8Decode(bytes);
  } catch {
    throw malformed();
  }
  if (!isTarget(target)) throw malformed();
  return { kind: kind === REQUEST.ask ? "ask" : "connect", target };
}

/** So many bytes of a byte stream and none more. @throws PeerloomError `wire/malformed` when it ends before */
export async function readExactly(readable: ReadableStream<Uint8Array>, count: number): Promise<Uint8Array> {
  const reader = readable.getReader({ mode: "byob" });
  try {
    let bytes = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const { value, done } = await reader.read(bytes.subarray(filled));
      if (done) throw malformed();
      filled += value.length;
      bytes = new Uint8Array(value.buffer);
    }
    return bytes;
  } finally {
    reader.releaseLock();
  }
}

function malformed(): PeerloomError {
  return new PeerloomError("wire/malformed", "The other side broke the protocol of forwarded ports.");
}
