/** The Port Control Protocol (RFC 6887), of which ANNOUNCE shows that it is spoken and MAP maps a TCP port of IPv4. */
import { concatBytes, equalBytes, readUint16, readUint32, writeUint32 } from "../../../shared/bytes.ts";
import { assert, PeerloomError } from "../../../shared/errors.ts";
import { octetsOf } from "../address.ts";
import { successOf } from "./ask-gateway.ts";
import { type MappedPort, type MappingContext, NONCE_BYTES, type PortMapper } from "./mapper.ts";

/** Of PCP and NAT-PMP servers. */
export const GATEWAY_PORT = 5_351;
const VERSION = 2;
const ANNOUNCE = 0;
const MAP = 1;
const RESPONSE = 0x80;
const HEADER_BYTES = 24;
const MAP_BYTES = 36;
const TCP = 6;
/** ::ffff:0:0/96, the IPv4 addresses among the IPv6 ones (RFC 4291 §2.5.5.2). */
const V4_MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** RFC 6887 §7.4, in its order. */
const RESULTS = [
  "success",
  "unsupported version",
  "not authorised",
  "malformed request",
  "unsupported operation",
  "unsupported option",
  "malformed option",
  "the gateway has no network",
  "no ports are left",
  "unsupported protocol",
  "too many ports for this machine",
  "that outer port cannot be had",
  "another NAT is between this machine and the gateway",
  "too many remote peers",
] as const;

export interface MapRequest {
  /** This machine's own address, IPv4. */
  readonly client: string;
  readonly nonce: Uint8Array;
  readonly port: number;
  /** 0: any. */
  readonly outerPort: number;
  /** 0: the mapping is to go. */
  readonly lifetimeSeconds: number;
}

export interface PcpAnswer {
  readonly result: number;
  readonly lifetimeSeconds: number;
  readonly outerPort: number;
  /** Undefined where it is no IPv4 address. */
  readonly outerHost: string | undefined;
}

export function encodeAnnounce(client: string): Uint8Array {
  return header(ANNOUNCE, client, 0);
}

/** Whether a gateway says that it speaks PCP with this machine. */
export function isAnnounced(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && isResponse(bytes, ANNOUNCE) && bytes[3] === 0;
}

export function encodeMap({ client, nonce, port, outerPort, lifetimeSeconds }: MapRequest): Uint8Array {
  const ports = Uint8Array.of(TCP, 0, 0, 0, port >> 8, port & 0xff, outerPort >> 8, outerPort & 0xff);
  return concatBytes(header(MAP, client, lifetimeSeconds), nonce, ports, v4Mapped("0.0.0.0"));
}

/** The answer to that request; undefined for anything else. */
export function decodeMap(
  bytes: Uint8Array,
  { nonce, port }: Pick<MapRequest, "nonce" | "port">,
): PcpAnswer | undefined {
  if (bytes.length < HEADER_BYTES + MAP_BYTES || !isResponse(bytes, MAP)) return undefined;
  const body = bytes.subarray(HEADER_BYTES, HEADER_BYTES + MAP_BYTES);
  const isAsked =
    equalBytes(body.subarray(0, NONCE_BYTES), nonce) && body[12] === TCP && readUint16(body, 16) === port;
  if (!isAsked) return undefined;
  return {
    result: bytes[3] as number,
    lifetimeSeconds: readUint32(bytes, 4),
    outerPort: readUint16(body, 18),
    outerHost: fromV4Mapped(body.subarray(20)),
  };
}

export class PcpMapper implements PortMapper {
  readonly protocol = "PCP";
  readonly gateway: string;
  readonly #context: MappingContext;
  #asked: { readonly port: number; readonly outerPort: number } | undefined;

  constructor(context: MappingContext) {
    this.gateway = context.route.gateway;
    this.#context = context;
  }

  async map(port: number, lifetimeMs: number, signal: AbortSignal): Promise<MappedPort> {
    this.#asked ??= { port, outerPort: port };
    const lifetimeSeconds = Math.ceil(lifetimeMs / 1_000);
    const answer = await this.#ask({ ...this.#asked, lifetimeSeconds }, signal);
    if (answer.outerHost === undefined || answer.outerPort === 0)
      throw new PeerloomError(
        "link/failed",
        `The gateway ${this.gateway} named no IPv4 address and port (PCP).`,
      );
    this.#asked = { port, outerPort: answer.outerPort };
    return { host: answer.outerHost, port: answer.outerPort, lifetimeMs: answer.lifetimeSeconds * 1_000 };
  }

  async unmap(signal: AbortSignal): Promise<void> {
    if (this.#asked === undefined) return;
    await this.#ask({ port: this.#asked.port, outerPort: 0, lifetimeSeconds: 0 }, signal);
    this.#asked = undefined;
  }

  #ask(
    request: Pick<MapRequest, "port" | "outerPort" | "lifetimeSeconds">,
    signal: AbortSignal,
  ): Promise<PcpAnswer> {
    const { nonce, route } = this.#context;
    const bytes = encodeMap({ ...request, nonce, client: route.local });
    const question = {
      sends: [{ bytes, host: this.gateway }],
      port: GATEWAY_PORT,
      read: (answer: Uint8Array) => decodeMap(answer, { nonce, port: request.port }),
    };
    return successOf(this.#context, { protocol: this.protocol, results: RESULTS }, question, signal);
  }
}

function header(operation: number, client: string, lifetimeSeconds: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes[0] = VERSION;
  bytes[1] = operation;
  writeUint32(bytes, 4, lifetimeSeconds);
  bytes.set(v4Mapped(client), 8);
  return bytes;
}

function isResponse(bytes: Uint8Array, operation: number): boolean {
  return bytes[0] === VERSION && bytes[1] === (RESPONSE | operation);
}

function v4Mapped(address: string): Uint8Array {
  const octets = octetsOf(address);
  assert(octets !== undefined, "a route has IPv4 addresses");
  return Uint8Array.of(...V4_MAPPED, ...octets);
}

function fromV4Mapped(bytes: Uint8Array): string | undefined {
  return equalBytes(bytes.subarray(0, V4_MAPPED.length), V4_MAPPED)
    ? bytes.subarray(V4_MAPPED.length).join(".")
    : undefined;
}
