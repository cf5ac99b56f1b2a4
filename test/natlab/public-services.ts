/**
 * What stands on the laboratory's public segment, in one process: the edge in workerd, and STUN responders at two addresses, so that a
 * mapping that depends on the destination shows. Started inside a namespace; says so in a line when it is ready.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import process from "node:process";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { answerStun } from "./stun-responder.ts";

const [port = "443", stun = "", turn = "", turnSecret = ""] = process.argv.slice(2);
const hosts = stun.split(",");

for (const host of hosts) {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, from) => {
    const answer = answerStun(message, from);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  socket.bind(3478, host);
  await once(socket, "listening");
}
const url = (host: string): string => `stun:${host.includes(":") ? `[${host}]` : host}:3478`;
const edge = await startEmbeddedEdge({
  host: "*",
  port: Number(port),
  vars: {
    STUN_URLS: hosts.map(url).join(" "),
    ...(turn === "" ? {} : { TURN_URLS: turn, TURN_SECRET: turnSecret }),
  },
});
console.log("ready");
await once(process, "SIGTERM");
await edge.stop();
process.exit(0);
