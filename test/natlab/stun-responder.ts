/** A STUN server's one answer (RFC 8489): where a Binding request came from, as XOR-MAPPED-ADDRESS. */
import { isIPv4 } from "node:net";

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;
const COOKIE = 0x2112a442;
const HEADER_BYTES = 20;

/** @returns undefined for what is no Binding request */
export function answerStun(
  request: Buffer,
  from: { readonly address: string; readonly port: number },
): Buffer | undefined {
  if (request.length < HEADER_BYTES || request.readUInt16BE(0) !== BINDING_REQUEST) return undefined;
  if (request.readUInt32BE(4) !== COOKIE) return undefined;
  const transaction = request.subarray(4, HEADER_BYTES);
  const address = isIPv4(from.address) ? ipv4Bytes(from.address) : ipv6Bytes(from.address);
  const value = Buffer.alloc(4 + address.length);
  value.writeUInt8(address.length === 4 ? 1 : 2, 1);
  value.writeUInt16BE(from.port ^ (COOKIE >>> 16), 2);
  address.forEach((byte, i) => value.writeUInt8(byte ^ transaction.readUInt8(i), 4 + i));
  const header = Buffer.alloc(8);
  header.writeUInt16BE(BINDING_SUCCESS, 0);
  header.writeUInt16BE(4 + value.length, 2);
  const attribute = Buffer.alloc(4);
  attribute.writeUInt16BE(XOR_MAPPED_ADDRESS, 0);
  attribute.writeUInt16BE(value.length, 2);
  return Buffer.concat([header.subarray(0, 4), transaction, attribute, value]);
}

function ipv4Bytes(address: string): number[] {
  return address.split(".").map(Number);
}

function ipv6Bytes(address: string): number[] {
  const [head = "", tail = ""] = (address.split("%")[0] ?? "").split("::");
  const words = (text: string): string[] => text.split(":").filter((word) => word !== "");
  const gap = Array.from({ length: 8 - words(head).length - words(tail).length }, () => "0");
  return [...words(head), ...gap, ...words(tail)].flatMap((word) => {
    const value = Number.parseInt(word, 16);
    return [value >> 8, value & 0xff];
  });
}
