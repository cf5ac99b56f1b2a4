/** PeerJS clients for the benchmark: sockets that speak PeerServer's protocol, in pairs, without WebRTC behind them. */
import { WebSocket } from "ws";

const OPEN_MS_MAX = 60_000;
/** With what surrounds it a candidate message of 350 bytes, as Chromium's are. */
const PAYLOAD = {
  type: "data",
  connectionId: "dc_4fwi5ghxf66",
  candidate: {
    candidate: "candidate:".padEnd(150, "x"),
    sdpMid: "0",
    sdpMLineIndex: 0,
    usernameFragment: "xxxx",
  },
};

export interface PeerjsClient {
  readonly id: string;
  readonly socket: WebSocket;
  onMessage: () => void;
  /** The server has closed it, or it broke. */
  onClose: (why: Error) => void;
}

/** Opens so many, some at a time. @returns all of them, opened, and the milliseconds that each took */
export async function openClients(
  url: string,
  count: number,
  atOnce: number,
): Promise<{ readonly clients: readonly PeerjsClient[]; readonly tookMs: readonly number[] }> {
  const clients: PeerjsClient[] = [];
  const tookMs: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const startMs = performance.now();
      clients.push(await openClient(url, `bench-${next++}`));
      tookMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { clients, tookMs };
}

export async function closeClients(clients: readonly PeerjsClient[]): Promise<void> {
  await Promise.all(
    clients.map(
      ({ socket }) =>
        new Promise<unknown>((resolve) => {
          if (socket.readyState === WebSocket.CLOSED) return resolve(undefined);
          socket.once("close", resolve);
          socket.terminate();
        }),
    ),
  );
}

/** One candidate to another client. */
export function sendCandidate(from: PeerjsClient, to: PeerjsClient): void {
  from.socket.send(JSON.stringify({ type: "CANDIDATE", payload: PAYLOAD, dst: to.id }));
}

function openClient(url: string, id: string): Promise<PeerjsClient> {
  const query = `key=peerjs&id=${id}&token=bench&version=1.5.5`;
  const socket = new WebSocket(`${url.replace("http", "ws")}peerjs?${query}`, { perMessageDeflate: false });
  const client: PeerjsClient = { id, socket, onMessage: () => {}, onClose: () => {} };
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${id} was not opened.`)), OPEN_MS_MAX);
    client.onMessage = () => {
      clearTimeout(timer);
      client.onMessage = () => {};
      resolve(client);
    };
    socket.on("message", () => client.onMessage());
    socket.once("error", reject);
    socket.once("close", (code, reason) =>
      client.onClose(new Error(`${id} was closed: ${code} ${reason.toString()}.`)),
    );
  });
}
