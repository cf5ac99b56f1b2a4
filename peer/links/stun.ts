/**
 * STUN (RFC 8489), the one question of it that is needed: where does the internet see this socket? Asked of several servers from one
 * socket, the answers tell how a NAT maps (RFC 4787 §4.1, the test of RFC 5780 §4.3).
 */
import { concatBytes, equalBytes } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { Clock, Random } from "../runtime.ts";
import type { AddressFamily, UdpSocket } from "../runtime-udp.ts";

export interface StunServer {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where the server saw the request come from. */
export interface MappedAddress {
  readonly family: AddressFamily;
  readonly address: string;
  readonly port: number;
}

export interface StunAnswer {
  readonly mapped: MappedAddress;
  readonly rttMs: number;
}

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const MAPPED_ADDRESS = 0x0001;
const XOR_MAPPED_ADDRESS = 0x0020;
const MAGIC_COOKIE = Uint8Array.of(0x21, 0x12, 0xa4, 0x42);
const HEADER_BYTES = 20;
const TRANSACTION_BYTES = 12;
const PORT_DEFAULT = 3_478;
/** RFC 8489 begins at 500 ms and takes 39 s in all; who waits for a diagnosis gets three tries in this time. */
const RESEND_MS = [400, 800, 1_300] as const;

/** The server of a `stun:` URL (RFC 7064), or undefined when it is none. */
export function parseStunUrl(url: string): StunServer | undefined {
  const match = /^stun:(?:\[([0-9a-fA-F:.]+)\]|([^:?[\]/]{1,253}))(?::(\d{1,5}))?$/.exec(url);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? PORT_DEFAULT);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** The `stun:` URL of a server (RFC 7064). */
export function formatStunUrl({ host, port }: StunServer): string {
  return `stun:${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Asks a server over a socket that nobody else listens on. Undefined when no answer came. @throws PeerloomError `link/failed` */
export async function askStun(
  socket: UdpSocket,
  server: StunServer,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<StunAnswer | undefined> {
  const transaction = random.bytes(TRANSACTION_BYTES);
  const request = encodeBindingRequest(transaction);
  const startMs = clock.monotonicMs();
  const answered = Promise.withResolvers<StunAnswer>();
  socket.onMessage = (bytes) => {
    const mapped = decodeBindingSuccess(bytes, transaction);
    if (mapped !== undefined) answered.resolve({ mapped, rttMs: clock.monotonicMs() - startMs });
  };
  for (const waitMs of RESEND_MS) {
    await socket.send(request, server);
    const answer = await Promise.race([answered.promise, clock.sleep(waitMs)]);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

export function encodeBindingRequest(transaction: Uint8Array): Uint8Array {
  return concatBytes(
    Uint8Array.of(BINDING_REQUEST >> 8, BINDING_REQUEST & 0xff, 0, 0),
    MAGIC_COOKIE,
    transaction,
  );
}

/** What a Binding success response to that transaction says; undefined for anything else. */
export function decodeBindingSuccess(bytes: Uint8Array, transaction: Uint8Array): MappedAddress | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isAnswer =
    view.getUint16(0) === BINDING_SUCCESS &&
    equalBytes(bytes.subarray(4, 8), MAGIC_COOKIE) &&
    equalBytes(bytes.subarray(8, HEADER_BYTES), transaction);
  if (!isAnswer) return undefined;
  let plain: MappedAddress | undefined;
  for (let offset = HEADER_BYTES; offset + 4 <= bytes.length;) {
    const [kind, length] = [view.getUint16(offset), view.getUint16(offset + 2)];
    const value = bytes.subarray(offset + 4, offset + 4 + length);
    if (value.length < length) return plain;
    if (kind === XOR_MAPPED_ADDRESS) return decodeAddress(value, concatBytes(MAGIC_COOKIE, transaction));
    if (kind === MAPPED_ADDRESS) plain = decodeAddress(value, new Uint8Array(16));
    offset += 4 + Math.ceil(length / 4) * 4;
  }
  return plain;
}

/** `mask` is XORed over port and address: the cookie and transaction, or zeros. */
function decodeAddress(value: Uint8Array, mask: Uint8Array): MappedAddress | undefined {
  const length = value[1] === 1 ? 4 : value[1] === 2 ? 16 : 0;
  if (length === 0 || value.length !== 4 + length) return undefined;
  const plain = value.subarray(4).map((byte, i) => byte ^ (mask[i] ?? 0));
  const port = (((value[2] ?? 0) ^ (mask[0] ?? 0)) << 8) | ((value[3] ?? 0) ^ (mask[1] ?? 0));
  return length === 4
    ? { family: "IPv4", address: plain.join("."), port }
    : { family: "IPv6", address: formatIpv6(plain), port };
}

/** RFC 5952, by the URL parser, which every host has. */
function formatIpv6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  const url = URL.parse(`http://[${words.join(":")}]`);
  if (url === null) throw new PeerloomError("internal/assertion", "Sixteen bytes are an IPv6 address.");
  return url.hostname.slice(1, -1);
}
