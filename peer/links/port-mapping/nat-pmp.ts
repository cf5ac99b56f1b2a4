/** NAT-PMP (RFC 6886): PCP's simpler forerunner at the same port, which many gateways speak alone. */
import { readUint16, readUint32, writeUint32 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { successOf } from "./ask-gateway.ts";
import type { MappedPort, MappingContext, PortMapper } from "./mapper.ts";
import { GATEWAY_PORT } from "./pcp.ts";

const VERSION = 0;
const EXTERNAL_ADDRESS = 0;
const MAP_TCP = 2;
const RESPONSE = 0x80;
const ADDRESS_BYTES = 12;
const MAP_BYTES = 16;

/** RFC 6886 §3.5, in its order. */
const RESULTS = [
  "success",
  "unsupported version",
  "not authorised",
  "the gateway has no network",
  "no ports are left",
  "unsupported operation",
] as const;

export interface NatPmpAnswer<T> {
  readonly result: number;
  readonly value: T;
}

export interface NatPmpMapping {
  readonly outerPort: number;
  readonly lifetimeSeconds: number;
}

export const EXTERNAL_ADDRESS_REQUEST: Uint8Array = Uint8Array.of(VERSION, EXTERNAL_ADDRESS);

/** An answer to that request, with the address; undefined for anything else. */
export function decodeExternalAddress(bytes: Uint8Array): NatPmpAnswer<string> | undefined {
  if (bytes.length < ADDRESS_BYTES || !isResponse(bytes, EXTERNAL_ADDRESS)) return undefined;
  return { result: readUint16(bytes, 2), value: bytes.subarray(8, ADDRESS_BYTES).join(".") };
}

/** @param lifetimeSeconds 0: the mapping is to go; then `outerPort` is 0 too */
export function encodeMapTcp(port: number, outerPort: number, lifetimeSeconds: number): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes.set([VERSION, MAP_TCP, 0, 0, port >> 8, port & 0xff, outerPort >> 8, outerPort & 0xff]);
  writeUint32(bytes, 8, lifetimeSeconds);
  return bytes;
}

/** The answer for that port; undefined for anything else. */
export function decodeMapTcp(bytes: Uint8Array, port: number): NatPmpAnswer<NatPmpMapping> | undefined {
  if (bytes.length < MAP_BYTES || !isResponse(bytes, MAP_TCP) || readUint16(bytes, 8) !== port)
    return undefined;
  return {
    result: readUint16(bytes, 2),
    value: { outerPort: readUint16(bytes, 10), lifetimeSeconds: readUint32(bytes, 12) },
  };
}

export class NatPmpMapper implements PortMapper {
  readonly protocol = "NAT-PMP";
  readonly gateway: string;
  readonly #context: MappingContext;
  #asked: { readonly port: number; readonly outerPort: number } | undefined;

  constructor(context: MappingContext) {
    this.gateway = context.route.gateway;
    this.#context = context;
  }

  async map(port: number, lifetimeMs: number, signal: AbortSignal): Promise<MappedPort> {
    this.#asked ??= { port, outerPort: port };
    const request = encodeMapTcp(port, this.#asked.outerPort, Math.ceil(lifetimeMs / 1_000));
    const { outerPort, lifetimeSeconds } = await this.#ask(
      request,
      (bytes) => decodeMapTcp(bytes, port),
      signal,
    );
    if (outerPort === 0)
      throw new PeerloomError("link/failed", `The gateway ${this.gateway} named no port (NAT-PMP).`);
    this.#asked = { port, outerPort };
    // The mapping's answer does not say it, and it may be another one by now.
    const host = await this.#ask(EXTERNAL_ADDRESS_REQUEST, decodeExternalAddress, signal);
    return { host, port: outerPort, lifetimeMs: lifetimeSeconds * 1_000 };
  }

  async unmap(signal: AbortSignal): Promise<void> {
    if (this.#asked === undefined) return;
    const { port } = this.#asked;
    await this.#ask(encodeMapTcp(port, 0, 0), (bytes) => decodeMapTcp(bytes, port), signal);
    this.#asked = undefined;
  }

  async #ask<T>(
    bytes: Uint8Array,
    read: (answer: Uint8Array) => NatPmpAnswer<T> | undefined,
    signal: AbortSignal,
  ): Promise<T> {
    const question = { sends: [{ bytes, host: this.gateway }], port: GATEWAY_PORT, read };
    return (await successOf(this.#context, { protocol: this.protocol, results: RESULTS }, question, signal))
      .value;
  }
}

function isResponse(bytes: Uint8Array, operation: number): boolean {
  return bytes[0] === VERSION && bytes[1] === (RESPONSE | operation);
}
