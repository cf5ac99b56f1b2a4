/**
 * Addresses as text: `tcp://HOST:PORT`, `ws://HOST:PORT/path`, `wss://…`, IPv6 in brackets; and `HOST:PORT` to listen on.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { ADDRESS_BYTES_MAX } from "../../shared/limits.ts";

export type Address =
  | { readonly scheme: "tcp"; readonly host: string; readonly port: number }
  | { readonly scheme: "ws" | "wss"; readonly url: string };

/** The address, or undefined when a stranger's text is none. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > ADDRESS_BYTES_MAX) return undefined;
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return undefined;
  switch (url.protocol) {
    case "tcp:": {
      const port = Number(url.port);
      if (url.hostname === "" || port === 0 || (url.pathname !== "" && url.pathname !== "/"))
        return undefined;
      return { scheme: "tcp", host: unbracket(url.hostname), port };
    }
    case "ws:":
      return { scheme: "ws", url: url.href };
    case "wss:":
      return { scheme: "wss", url: url.href };
    default:
      return undefined;
  }
}

export function formatTcpAddress(host: string, port: number): string {
  return `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every interface). Port 0 lets the system choose.
 * @throws PeerloomError `usage/invalid`
 */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new PeerloomError(
      "usage/invalid",
      `"${text.slice(0, 80)}" is no place to listen: give HOST:PORT, as 0.0.0.0:4000.`,
    );
  }
  return { host: match[1] ?? (match[2] || "0.0.0.0"), port };
}

/** Of an IPv4 address in the plain notation alone: `0177.1` and the like mean different hosts to different readers. */
export function octetsOf(host: string): number[] | undefined {
  if (!/^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/.test(host)) return undefined;
  const octets = host.split(".").map(Number);
  return octets.every((octet) => octet <= 255) ? octets : undefined;
}

function unbracket(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
