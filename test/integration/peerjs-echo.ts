/** A program with a door, for Node and Deno: echoes what it is sent; `stop` ends it. Arguments: edge, id. */
import process from "node:process";
import { PeerJsDoor } from "../../peer/peerjs-node.ts";

const [, , edge = "", id = ""] = process.argv;
const door = await PeerJsDoor.open({ edge, id, iceServers: [] });
console.log("open");
for await (const connection of door.connections()) {
  for await (const value of connection) {
    if (value === "stop") break;
    await connection.send(value);
  }
  await connection.close();
  break;
}
await door.close();
// Deno's WebRTC keeps the process after the last connection is closed.
process.exit(0);
