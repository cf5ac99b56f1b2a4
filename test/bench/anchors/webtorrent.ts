/**
 * WebTorrent over TCP, a tracker on loopback in the first member's process. Not type-checked with the rest: its packages are
 * installed on demand.
 */
import { once } from "node:events";
import { Server } from "bittorrent-tracker";
import WebTorrent from "webtorrent";
import { answerCalls } from "../lib/remote.ts";
import { ownUsage } from "../lib/usage.ts";

let client;
let announce: string[] = [];

answerCalls(
  {
    async open({ meeting }) {
      client = new WebTorrent({ dht: false, lsd: false, natUpnp: false, natPmp: false, utp: false, maxConns: 55 });
      const url = meeting === "" ? await startTracker() : meeting;
      announce = [url];
      return url;
    },
    share: ({ path }) =>
      new Promise((resolve) => {
        client.seed(path, { announce, name: "payload.bin" }, (torrent) => {
          const ready = () => resolve(Buffer.from(torrent.torrentFile).toString("base64"));
          torrent.once("noPeers", ready);
          torrent.once("trackerAnnounce", ready);
        });
      }),
    get: ({ ticket, path }) =>
      new Promise((resolve) => {
        const startMs = performance.now();
        const torrent = client.add(Buffer.from(ticket, "base64"), { path });
        torrent.once("done", () => {
          resolve({ seconds: (performance.now() - startMs) / 1000, sources: 0, discarded: 0 });
        });
      }),
    usage: async () => ownUsage(false),
  },
  async () => {},
);

async function startTracker(): Promise<string> {
  const tracker = new Server({ udp: false, ws: false, stats: false, interval: 2_000 });
  tracker.listen(0, "127.0.0.1");
  await once(tracker, "listening");
  return `http://127.0.0.1:${tracker.http.address().port}/announce`;
}
