/** One listening port for links of both kinds: TCP from Node and Deno, WebSocket from browsers. */
import { PeerloomError } from "../../shared/errors.ts";
import type { Listener, Runtime } from "../runtime.ts";
import type { Link } from "./link.ts";
import { tcpLink } from "./tcp.ts";
import { websocketLink } from "./websocket.ts";

/** @throws PeerloomError `link/unavailable` where the host cannot listen, `link/failed` when the port is taken */
export async function listen(
  runtime: Runtime,
  where: { readonly host: string; readonly port: number },
  onLink: (link: Link) => void,
): Promise<Listener> {
  if (runtime.tcp === undefined) throw new PeerloomError("link/unavailable", "This host cannot listen.");
  return runtime.tcp.listen(where, {
    tcp: (socket, firstBytes) => onLink(tcpLink(socket, firstBytes)),
    websocket: (socket) => onLink(websocketLink(socket)),
  });
}
