/**
 * What a peer says of itself on the local network, and what may be believed of what others say. Nothing in a notice is
 * signed: it is a rumour of an id and addresses, good for a dial to somewhere near and nothing more.
 */
import { concatBytes, toHex, utf8 } from "../../shared/bytes.ts";
import { type NetworkName, parsePeerId, type PeerId } from "../../shared/ids.ts";
import { ADDRESSES_MAX } from "../../shared/limits.ts";
import type { Contact } from "../../shared/messages.ts";
import { octetsOf, parseAddress } from "../links/address.ts";
import type { HashProvider, LanNotice, LanReach } from "../runtime.ts";

/** Peers of one network know each other by it; to others it is a number, as long as they cannot guess the name. */
const TAG_PREFIX = "peerloom/lan/1";
const TAG_BYTES = 8;

export async function lanTag(hash: HashProvider, network: NetworkName): Promise<string> {
  const digest = await hash.sha256(concatBytes(utf8(TAG_PREFIX), utf8(network)));
  return toHex(digest.subarray(0, TAG_BYTES));
}

/**
 * A peer's own notice.
 * @returns undefined where there is no address that others may dial
 */
export function lanNotice(
  self: {
    readonly id: PeerId;
    readonly tag: string;
    readonly reach: LanReach;
    readonly addresses: readonly string[];
  },
  ttlSeconds: number,
): LanNotice | undefined {
  const { id, tag, reach, addresses } = self;
  const parsed = addresses.flatMap((text) => {
    const address = parseAddress(text);
    return address?.scheme === "tcp" && isIpAddress(address.host) ? [{ text, ...address }] : [];
  });
  const far = parsed.filter(({ host }) => !isLoopback(host));
  // Loopback is everybody's own; it is said only where nothing else could be.
  const said = reach === "lan" && far.length > 0 ? far : parsed.filter(({ host }) => isLoopback(host));
  if (said.length === 0) return undefined;
  const endpoints = said.slice(0, ADDRESSES_MAX);
  const texts = [`tag=${tag}`, `id=${id}`, ...endpoints.map(({ text }, index) => `a${index}=${text}`)];
  return {
    label: id,
    tag,
    endpoints: endpoints.map(({ host, port }) => ({ host, port })),
    texts,
    ttlSeconds,
  };
}

/**
 * A contact from what somebody said; its addresses may be none, as in a farewell.
 * @param source the IP address that said it
 * @returns undefined when it is malformed or of another network
 */
export function contactOfNotice(texts: readonly string[], tag: string, source: string): Contact | undefined {
  const values = new Map<string, string>();
  for (const text of texts) {
    const end = text.indexOf("=");
    const key = text.slice(0, Math.max(0, end));
    // Of a key said twice the first counts: RFC 6763 §6.4.
    if (end > 0 && !values.has(key)) values.set(key, text.slice(end + 1));
  }
  const id = parsePeerId(values.get("id") ?? "");
  if (id === undefined || values.get("tag") !== tag) return undefined;
  const addresses: string[] = [];
  for (let index = 0; index < ADDRESSES_MAX; index++) {
    const text = values.get(`a${index}`) ?? "";
    const address = parseAddress(text);
    if (address?.scheme === "tcp" && isCredible(address.host, source)) addresses.push(text);
  }
  return { id, addresses };
}

/** Whether a host is this machine, as `--listen` names it or a packet's source does. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || octetsOf(host)?.[0] === 127;
}

/** Somewhere near, or whoever spoke: nobody can have peers knock at a third machine elsewhere. */
function isCredible(host: string, source: string): boolean {
  if (isLoopback(host)) return isLoopback(source) && host !== "localhost";
  return host === source || isPrivate(host);
}

/** RFC 1918, RFC 3927 and RFC 4193. Link-local IPv6 is left out: it cannot be dialled without the name of an interface. */
function isPrivate(host: string): boolean {
  if (/^f[cd][0-9a-f]{2}:/.test(host)) return true;
  const [a, b = 0] = octetsOf(host) ?? [];
  if (a === 172) return b >= 16 && b < 32;
  return a === 10 || (a === 192 && b === 168) || (a === 169 && b === 254);
}

function isIpAddress(host: string): boolean {
  return host.includes(":") || octetsOf(host) !== undefined;
}
