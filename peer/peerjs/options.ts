/** What a door can be told when it is opened, and the check of it. */
import { PeerloomError } from "../../shared/errors.ts";
import { toHex } from "../../shared/bytes.ts";
import type { IceServer, Random } from "../runtime.ts";
import { CONNECTIONS_DEFAULT, VALUE_BYTES_DEFAULT } from "./limits.ts";
import { isPeerJsId } from "./server-messages.ts";

/** Where the edge speaks PeerServer's protocol. */
const EDGE_PATH = "/peerjs";

export interface PeerJsDoorOptions {
  /** PeerJS id: words of `A-Z a-z 0-9` with one space, `-` or `_` between two. @default a random UUID */
  readonly id?: string;
  /** Origin of a peerloom edge: its server at `/peerjs`, and its ICE servers. @default the edge that served the script, in a page */
  readonly edge?: string;
  /** Instead of an edge: any PeerServer, with the stock client's options. */
  readonly host?: string;
  /** @default 443 where `secure`, else 80 */
  readonly port?: number;
  /** @default "/" */
  readonly path?: string;
  /** @default "peerjs" */
  readonly key?: string;
  /** TLS. @default true, but for `localhost` and `127.0.0.1` */
  readonly secure?: boolean;
  /** Who comes back with the same id and token takes the id over at once. @default random */
  readonly token?: string;
  /** @default those of the edge; with `host` none */
  readonly iceServers?: readonly IceServer[];
  /** The longest value, packed, either way. Four times as much may wait to be read, of all connections. @default 64 MiB */
  readonly valueBytesMax?: number;
  /** Connections at once; past that offers are not answered. @default 256 */
  readonly connectionsMax?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

export interface CheckedDoorOptions {
  readonly id: string;
  readonly token: string;
  /** Of the WebSocket, with everything in it. */
  readonly url: string;
  /** For people. */
  readonly server: string;
  /** Whose ICE servers are used. */
  readonly edge: string | undefined;
  readonly iceServers: readonly IceServer[] | undefined;
  readonly valueBytesMax: number;
  readonly connectionsMax: number;
}

/** @throws PeerloomError `usage/invalid`, `peerjs/id-invalid` */
export function checkDoorOptions(options: PeerJsDoorOptions, random: Random): CheckedDoorOptions {
  const { id = uuid(random), token = toHex(random.bytes(12)), key = "peerjs", iceServers } = options;
  const { valueBytesMax = VALUE_BYTES_DEFAULT, connectionsMax = CONNECTIONS_DEFAULT } = options;
  if (!isPeerJsId(id)) {
    throw new PeerloomError(
      "peerjs/id-invalid",
      `"${id.slice(0, 80)}" is no PeerJS id: letters and digits of ASCII, with one space, - or _ between two.`,
    );
  }
  if (!isCount(valueBytesMax, 2 ** 30)) throw invalid("valueBytesMax is a whole number from 1 to 2^30.");
  if (!isCount(connectionsMax, 65_536)) throw invalid("connectionsMax is a whole number from 1 to 65,536.");
  const base = serverUrl(options);
  const url = new URL("peerjs", base);
  url.protocol = base.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ key, id, token, version: "1.5.5" }).toString();
  return {
    id,
    token,
    url: url.href,
    server: base.host,
    edge: options.host === undefined ? base.origin : undefined,
    iceServers: iceServers ?? (options.host === undefined ? undefined : []),
    valueBytesMax,
    connectionsMax,
  };
}

/** Ends in a slash, as the stock client's does. */
function serverUrl({ edge, host, port, path = "/", secure }: PeerJsDoorOptions): URL {
  if (host === undefined) {
    const url = edge === undefined ? null : URL.parse(edge);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw invalid("Name a server: edge, as https://edge.example, or host of any PeerServer.");
    return new URL(`${EDGE_PATH}/`, url.origin);
  }
  const isLocal = host === "localhost" || host === "127.0.0.1" || host === "[::1]";
  const scheme = (secure ?? !isLocal) ? "https" : "http";
  const url = URL.parse(`${scheme}://${host}${port === undefined ? "" : `:${port}`}`);
  if (url === null || url.pathname !== "/" || url.search !== "" || url.username !== "")
    throw invalid(`"${host.slice(0, 80)}" is no host: give its name alone, without https://.`);
  return new URL(`/${path.replaceAll(/^\/+|\/+$/g, "")}/`.replace("//", "/"), url);
}

function uuid(random: Random): string {
  const bytes = random.bytes(16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40; // version 4 of RFC 9562
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function isCount(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= max;
}

function invalid(message: string): PeerloomError {
  return new PeerloomError("usage/invalid", message);
}
