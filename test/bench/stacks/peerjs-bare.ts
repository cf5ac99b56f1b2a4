/** The yardstick of PeerJS at the edge: an object that opens sockets, passes each message to the id it names, and does nothing else. */
import { type AloneEdge, startAloneWorker } from "../lib/alone-edge.ts";
import { serverStack, type Stack } from "../lib/stack.ts";

const WORKER = `
import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  sockets = new Map();
  fetch(request) {
    const id = new URL(request.url).searchParams.get("id");
    const [client, socket] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(socket, [id]);
    this.sockets.set(id, socket);
    socket.send('{"type":"OPEN"}');
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(_socket, message) {
    this.sockets.get(JSON.parse(message).dst)?.send(message);
  }
  webSocketClose(socket) {
    socket.close(1000);
  }
}
export default { fetch: (request, env) => env.ROOM.getByName("one").fetch(request) };`;

export function createStack(): Stack {
  let worker: AloneEdge | undefined;
  return serverStack(
    async () => {
      worker = await startAloneWorker(WORKER);
      return `${worker.url}/peerjs/`;
    },
    async () => worker?.stop(),
  );
}
