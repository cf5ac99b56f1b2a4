/** As much of a TURN client (RFC 8656) as asks for a port: Allocate, the challenge, Allocate with the credentials. */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const ALLOCATE = 0x0003;
const SUCCESS = 0x0100;
const ATTRIBUTE = {
  username: 0x0006,
  integrity: 0x0008,
  error: 0x0009,
  realm: 0x0014,
  nonce: 0x0015,
  transport: 0x0019,
} as const;
const COOKIE = 0x2112a442;
const HEADER_BYTES = 20;
const INTEGRITY_BYTES = 24;
const UDP_TRANSPORT = Buffer.from([17, 0, 0, 0]);
const ANSWER_MS_MAX = 5_000;

export interface TurnCredentials {
  readonly username: string;
  readonly credential: string;
}

/** What a server made of it: "allocated", or the code of its refusal. It is given back when the socket is closed and its life is over. */
export interface Allocation {
  readonly answer: "allocated" | number;
  close(): void;
}

export async function allocate(
  server: { readonly host: string; readonly port: number },
  { username, credential }: TurnCredentials,
): Promise<Allocation> {
  const socket = createSocket("udp4");
  const ask = (attributes: readonly Buffer[], key?: Buffer): Promise<Answer> =>
    exchange(socket, server, attributes, key);
  const transport = attribute(ATTRIBUTE.transport, UDP_TRANSPORT);
  const challenge = await ask([transport]);
  const [realm, nonce] = [ATTRIBUTE.realm, ATTRIBUTE.nonce].map((type) => challenge.attributes.get(type));
  if (realm === undefined || nonce === undefined) throw new Error(`no challenge, but ${challenge.code}`);
  const key = createHash("md5").update(`${username}:${realm.toString()}:${credential}`).digest();
  const answer = await ask(
    [
      transport,
      attribute(ATTRIBUTE.username, Buffer.from(username)),
      attribute(ATTRIBUTE.realm, realm),
      attribute(ATTRIBUTE.nonce, nonce),
    ],
    key,
  );
  return { answer: answer.code ?? "allocated", close: () => socket.close() };
}

interface Answer {
  /** Undefined: success. */
  readonly code: number | undefined;
  readonly attributes: ReadonlyMap<number, Buffer>;
}

async function exchange(
  socket: Socket,
  { host, port }: { readonly host: string; readonly port: number },
  attributes: readonly Buffer[],
  key: Buffer | undefined,
): Promise<Answer> {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(ALLOCATE, 0);
  header.writeUInt16BE(body.length + (key === undefined ? 0 : INTEGRITY_BYTES), 2);
  header.writeUInt32BE(COOKIE, 4);
  randomBytes(12).copy(header, 8);
  const message = Buffer.concat([header, body]);
  const signed =
    key === undefined
      ? message
      : Buffer.concat([
          message,
          attribute(ATTRIBUTE.integrity, createHmac("sha1", key).update(message).digest()),
        ]);
  socket.send(signed, port, host);
  const [answer] = (await once(socket, "message", { signal: AbortSignal.timeout(ANSWER_MS_MAX) })) as [
    Buffer,
  ];
  return read(answer);
}

function read(message: Buffer): Answer {
  const attributes = new Map<number, Buffer>();
  for (let at = HEADER_BYTES; at + 4 <= message.length;) {
    const length = message.readUInt16BE(at + 2);
    attributes.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + length));
    at += 4 + length + padding(length);
  }
  const error = attributes.get(ATTRIBUTE.error);
  const code = error === undefined ? undefined : error.readUInt8(2) * 100 + error.readUInt8(3);
  if (code === undefined && message.readUInt16BE(0) !== (ALLOCATE | SUCCESS))
    throw new Error(`not an answer: ${message.toString("hex")}`);
  return { code, attributes };
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(padding(value.length))]);
}

function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}
