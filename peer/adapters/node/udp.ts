/** Datagrams by node:dgram. */
import { createSocket, type Socket } from "node:dgram";
import { PeerloomError } from "../../../shared/errors.ts";
import type { UdpHost, UdpSocket } from "../../runtime-udp.ts";
import { defaultRoute } from "./default-route.ts";
import { ownAddresses } from "./own-addresses.ts";
import { plainView } from "./memory.ts";

export const nodeUdp: UdpHost = {
  async open(family) {
    const socket = createSocket(family === "IPv4" ? "udp4" : "udp6");
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("error", reject);
        socket.bind(0, () => {
          socket.off("error", reject);
          resolve();
        });
      });
    } catch (cause) {
      socket.close();
      throw new PeerloomError("link/unavailable", `This machine has no ${family}.`, { cause });
    }
    return wrap(socket);
  },
  addresses: () => ownAddresses(),
  route: defaultRoute,
};

function wrap(socket: Socket): UdpSocket {
  const wrapped: UdpSocket = {
    send: (bytes, { host, port }) =>
      new Promise((resolve, reject) => {
        socket.send(bytes, port, host, (cause) => {
          if (cause === null) resolve();
          else
            reject(
              new PeerloomError("link/failed", `Nothing can be sent to ${host}: ${cause.message}.`, {
                cause,
              }),
            );
        });
      }),
    onMessage: () => {},
    close: () => socket.close(),
  };
  socket.on("message", (bytes, { address: host, port }) =>
    wrapped.onMessage(plainView(bytes), { host, port }),
  );
  // What the network says of single datagrams shows as silence.
  socket.on("error", () => {});
  return wrapped;
}
