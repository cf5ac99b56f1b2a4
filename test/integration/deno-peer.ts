/**
 * A peer on Deno that serves calls and writes a feed together with another. Argument: that writer's id. Says where it is, then what it reads.
 */
import process from "node:process";
import { Peer } from "../../peer/deno.ts";

const [, , writer = ""] = process.argv;
const say = (event: string, fields: object): void => console.log(JSON.stringify({ event, ...fields }));

const peer = await Peer.open({ edge: null, listen: "127.0.0.1:0", lan: false, webrtc: false });
peer.serve("calc/1", {
  add: (a: number, b: number) => a + b,
  async *upTo(count: number) {
    for (let i = 1; i <= count; i++) yield i;
  },
  async total(numbers: AsyncIterable<number>) {
    let sum = 0;
    for await (const number of numbers) sum += number;
    return sum;
  },
  fail: () => {
    throw Object.assign(new Error("as it was asked to"), { code: "calc/failed" });
  },
});
const feed = await peer.feeds.open("diary", { writers: [peer.id, writer] });
await feed.append("from Deno");
say("ready", { id: peer.id, listen: peer.listenAddresses, address: feed.address });
for await (const { writer: by, value } of feed) say("entry", { by, value });
