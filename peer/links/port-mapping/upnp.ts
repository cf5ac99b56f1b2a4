/**
 * UPnP Internet Gateway Devices, versions 1 and 2: found by SSDP (UPnP Device Architecture 1.1 §1.3), described by an XML document, asked by
 * SOAP. Only the default gateway is believed, and only addresses of its own are fetched: anybody on the network may answer a search,
 * and would have this machine send requests where it likes.
 */
import { utf8, utf8Decode } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { octetsOf } from "../address.ts";
import { boundedText } from "../bounded-text.ts";
import { askGateway } from "./ask-gateway.ts";
import type { MappedPort, MappingContext, PortMapper } from "./mapper.ts";

const SSDP_PORT = 1_900;
const SSDP_GROUP = "239.255.255.250";
/** Devices of version 2 answer to version 1 too (UPnP Device Architecture 1.1 §1.3.2). */
const DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";
/** Descriptions have 3 to 20 KiB. */
const DOCUMENT_BYTES_MAX: number = 128 * 1024;
const SERVICES_MAX = 64;
const HTTP_TIMEOUT_MS = 4_000;
/** An outer port that somebody has already is asked for no more than this often; each time it is another one. */
const PORTS_TRIED_MAX = 4;
/** RFC 6335's dynamic ports. */
const DYNAMIC_PORTS = { first: 49_152, count: 16_384 } as const;

/** UPnP Device Architecture 1.1 §3.2.2, WANIPConnection:2 §2.4.17. */
const FAULT = { conflict: 718, permanentOnly: 725 } as const;

/** What a gateway's description names: a connection to the internet that can be asked to map. */
export interface IgdService {
  readonly type: string;
  readonly controlUrl: URL;
}

/** The search, as the group and the gateway itself are sent it. */
export function encodeSearch(): Uint8Array {
  const lines = [
    "M-SEARCH * HTTP/1.1",
    `HOST: ${SSDP_GROUP}:${SSDP_PORT}`,
    'MAN: "ssdp:discover"',
    "MX: 1",
    `ST: ${DEVICE}`,
  ];
  return utf8(`${lines.join("\r\n")}\r\n\r\n`);
}

/** Where the gateway's answer says that its description is; undefined when it is no answer, or points elsewhere. */
export function decodeSearchAnswer(bytes: Uint8Array, gateway: string): URL | undefined {
  let text: string;
  try {
    text = utf8Decode(bytes);
  } catch {
    return undefined;
  }
  if (!/^HTTP\/1\.[01] 200\b/.test(text) || !/^ST:.*InternetGatewayDevice:\d/im.test(text)) return undefined;
  return ownUrl(/^LOCATION:[ \t]*(\S{1,500})/im.exec(text)?.[1] ?? "", gateway);
}

/** The connections that a description names, those that have been found to work first: IP before PPP. */
export function servicesOf(description: string, location: URL, gateway: string): IgdService[] {
  const found = description
    .split(/<service>/i, SERVICES_MAX + 1)
    .slice(1)
    .flatMap((piece) => {
      const [service = ""] = piece.split(/<\/service>/i, 1);
      const type = valueOf(service, "serviceType") ?? "";
      const controlUrl = ownUrl(valueOf(service, "controlURL") ?? "", gateway, location);
      const isConnection = /^urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12]$/.test(type);
      return isConnection && controlUrl !== undefined ? [{ type, controlUrl }] : [];
    });
  return found.sort((a, b) => Number(a.type.includes("PPP")) - Number(b.type.includes("PPP")));
}

/** The text of the first element of that name, whatever its namespace; undefined when there is none. */
export function valueOf(xml: string, name: string): string | undefined {
  const text = new RegExp(`<(?:\\w+:)?${name}(?:\\s[^<>]*)?>([^<]*)<`, "i").exec(xml)?.[1];
  return text?.trim().replaceAll("&amp;", "&");
}

/** @returns undefined where the gateway is no such device. @throws PeerloomError `link/failed`, the signal's reason */
export async function findIgd(context: MappingContext, signal: AbortSignal): Promise<PortMapper | undefined> {
  const { gateway } = context.route;
  const bytes = encodeSearch();
  const question = {
    sends: [SSDP_GROUP, gateway].map((host) => ({ bytes, host })),
    port: SSDP_PORT,
    read: (answer: Uint8Array) => decodeSearchAnswer(answer, gateway),
  };
  const location = await askGateway(context, question, signal);
  if (location === undefined) return undefined;
  const { text } = await request(context, location, {}, signal);
  for (const service of servicesOf(text, location, gateway)) {
    const mapper = new IgdMapper(context, service);
    // A router describes connections that it does not use; those have no address.
    if (await mapper.externalHost(signal).then(octetsOf, () => undefined)) return mapper;
  }
  return undefined;
}

class IgdMapper implements PortMapper {
  readonly protocol = "UPnP-IGD";
  readonly gateway: string;
  readonly #context: MappingContext;
  readonly #service: IgdService;
  #outerPort: number | undefined;
  /** Some keep mappings until they are removed, and refuse any other. */
  #isPermanent = false;

  constructor(context: MappingContext, service: IgdService) {
    this.gateway = context.route.gateway;
    this.#context = context;
    this.#service = service;
  }

  async externalHost(signal: AbortSignal): Promise<string> {
    const { text, fault } = await this.#run("GetExternalIPAddress", [], signal);
    if (fault !== undefined) throw this.#refusal("GetExternalIPAddress", fault);
    return valueOf(text, "NewExternalIPAddress") ?? "";
  }

  async map(port: number, lifetimeMs: number, signal: AbortSignal): Promise<MappedPort> {
    let wanted = this.#outerPort ?? port;
    for (let tries = 1; ; tries++) {
      const fault = await this.#add(port, wanted, lifetimeMs, signal);
      if (fault === undefined) break;
      if (fault === FAULT.permanentOnly && !this.#isPermanent) this.#isPermanent = true;
      else if (fault === FAULT.conflict && tries < PORTS_TRIED_MAX) wanted = this.#anotherPort();
      else throw this.#refusal("AddPortMapping", fault);
    }
    const host = await this.externalHost(signal);
    if (octetsOf(host) === undefined)
      throw new PeerloomError("link/failed", `The gateway ${this.gateway} named no IPv4 address (UPnP-IGD).`);
    return { host, port: wanted, lifetimeMs };
  }

  async unmap(signal: AbortSignal): Promise<void> {
    if (this.#outerPort === undefined) return;
    const { fault } = await this.#run("DeletePortMapping", outerSide(this.#outerPort), signal);
    this.#outerPort = undefined;
    if (fault !== undefined) throw this.#refusal("DeletePortMapping", fault);
  }

  /** @returns why the gateway refuses, if it does */
  async #add(
    port: number,
    outerPort: number,
    lifetimeMs: number,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const before = this.#outerPort;
    // Before the answer: what was done and not heard of is removed too.
    this.#outerPort = outerPort;
    const { fault } = await this.#run(
      "AddPortMapping",
      [
        ...outerSide(outerPort),
        ["NewInternalPort", String(port)],
        ["NewInternalClient", this.#context.route.local],
        ["NewEnabled", "1"],
        ["NewPortMappingDescription", "peerloom"],
        ["NewLeaseDuration", String(this.#isPermanent ? 0 : Math.ceil(lifetimeMs / 1_000))],
      ],
      signal,
    );
    // What was refused is not ours to remove.
    if (fault !== undefined) this.#outerPort = before;
    return fault;
  }

  #anotherPort(): number {
    const { first, count } = DYNAMIC_PORTS;
    return first + Math.floor(this.#context.random.unit() * count);
  }

  /** The answer's document; `fault` says why the gateway refuses, if it does: 0 where it gives no reason. */
  async #run(
    action: string,
    words: readonly (readonly [string, string])[],
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly fault: number | undefined }> {
    const { type, controlUrl } = this.#service;
    const values = words.map(([name, value]) => `<${name}>${value}</${name}>`).join("");
    const body =
      '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
      's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
      `<u:${action} xmlns:u="${type}">${values}</u:${action}></s:Body></s:Envelope>\r\n`;
    const headers = { "Content-Type": 'text/xml; charset="utf-8"', SOAPAction: `"${type}#${action}"` };
    const { ok, text } = await request(this.#context, controlUrl, { method: "POST", headers, body }, signal);
    return { text, fault: ok ? undefined : Number(valueOf(text, "errorCode")) || 0 };
  }

  #refusal(action: string, fault: number): PeerloomError {
    return new PeerloomError(
      "link/failed",
      `The gateway ${this.gateway} refuses ${action} (UPnP-IGD): error ${fault}.`,
    );
  }
}

function outerSide(port: number): [string, string][] {
  return [
    ["NewRemoteHost", ""],
    ["NewExternalPort", String(port)],
    ["NewProtocol", "TCP"],
  ];
}

/** A URL of plain HTTP at the gateway itself, or undefined. */
function ownUrl(text: string, gateway: string, base?: URL): URL | undefined {
  const url = text === "" ? null : URL.parse(text, base);
  return url?.protocol === "http:" && url.hostname === gateway ? url : undefined;
}

async function request(
  { clock, route }: MappingContext,
  url: URL,
  init: RequestInit,
  signal: AbortSignal,
): Promise<{ readonly ok: boolean; readonly text: string }> {
  const late = new AbortController();
  const timer = clock.setTimer(HTTP_TIMEOUT_MS, () => late.abort());
  try {
    const within = AbortSignal.any([signal, late.signal]);
    const response = await fetch(url, { ...init, signal: within, redirect: "error" });
    return { ok: response.ok, text: await boundedText(response, DOCUMENT_BYTES_MAX, "The gateway") };
  } catch (cause) {
    signal.throwIfAborted();
    if (late.signal.aborted)
      throw new PeerloomError("link/timeout", `The gateway ${route.gateway} does not answer (UPnP-IGD).`);
    throw new PeerloomError("link/failed", `The gateway ${route.gateway} talks nonsense (UPnP-IGD).`, {
      cause,
    });
  } finally {
    timer.cancel();
  }
}
