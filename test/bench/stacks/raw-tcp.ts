/** node:net on loopback without any security: the ceiling of everything that runs over TCP. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { OWN_HOST } from "../lib/own-host.ts";
import type { Conn, Stack } from "../lib/stack.ts";

export function createStack(): Stack {
  return {
    async listen(accept) {
      const server = createServer({ noDelay: true }, (socket) => accept(socketConn(socket)));
      await new Promise<void>((resolve) => server.listen(0, OWN_HOST, resolve));
      return `${OWN_HOST} ${(server.address() as AddressInfo).port}`;
    },
    async dial(address) {
      const [host = "", port] = address.split(" ");
      const socket = connect({ port: Number(port), host, noDelay: true });
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
      });
      return socketConn(socket);
    },
  };
}

function socketConn(socket: Socket): Conn {
  const conn: Conn = {
    onData: () => {},
    write: (bytes) => socket.write(bytes),
    drained: () => new Promise((resolve) => socket.once("drain", resolve)),
    close: () => void socket.destroy(),
  };
  socket.on("data", (bytes: Buffer) => conn.onData(bytes));
  socket.on("error", () => {}); // The other side of a finished round is gone.
  return conn;
}
