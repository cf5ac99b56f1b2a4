/** PeerServer itself, as a library and with its defaults: what a PeerJS application runs today. */
import { PeerServer } from "peer";
import { serverStack, type Stack } from "../lib/stack.ts";

export function createStack(): Stack {
  return serverStack(
    () =>
      new Promise((resolve) => {
        PeerServer({ host: "127.0.0.1", port: 0 }, (server) => {
          const address = server.address();
          resolve(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`);
        });
      }),
  );
}
