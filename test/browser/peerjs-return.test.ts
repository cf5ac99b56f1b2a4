/** The stock `peerjs` client in two Chromiums, whose server is thrown out of memory under it, or restarted: nobody is lost for good. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DataConnection, Peer as PeerjsPeer } from "peerjs";
import type { Page, WebSocket } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { browserTest, chromiumTest } from "./stage.ts";
import { connect, echo, PeerjsStage, startPeer } from "./peerjs-page.ts";

const SHARDS = 3;
const HEARTBEAT = '{"type":"HEARTBEAT"}';
/** What waits for an absent peer waits out a slow restart, and a slow machine. */
const VARS = { PEERJS_SHARDS: String(SHARDS), PEERJS_EXPIRE_SECONDS: "300", PEERJS_DISCOVERY: "peerjs" };

const stage = PeerjsStage.set({ vars: VARS });

/** All objects of the key, with the sockets of every peer. @returns who was there */
async function evictRooms({ url, evict }: EmbeddedEdge): Promise<unknown> {
  // Asks each of them: one that sleeps already cannot be evicted.
  const listed: unknown = await (await fetch(`${url}/peerjs/peerjs/peers`)).json();
  for (let shard = 0; shard < SHARDS; shard++) await evict("PeerjsRoom", `peerjs/${shard}`);
  return listed;
}

/** What sleeps cannot be evicted; workerd puts an object to sleep that had nothing to do for ten seconds. */
async function expectAsleep({ evict }: EmbeddedEdge): Promise<void> {
  for (let shard = 0; shard < SHARDS; shard++)
    await expect(evict("PeerjsRoom", `peerjs/${shard}`)).rejects.toThrow("not currently running");
}

/** Calls somebody who is not there, and waits until the edge keeps an offer and a candidate for him. */
async function callAbsent(page: Page, id: string, { url }: EmbeddedEdge): Promise<void> {
  const queued = async (): Promise<number> => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    return Number(/^peerloom_peerjs_queued_total (\d+)$/m.exec(metrics)?.[1] ?? 0);
  };
  const before = await queued();
  await page.evaluate((name) => {
    const connection = peer.connect(name, { serialization: "json", reliable: true });
    Object.assign(globalThis, { connection, opened: wait(connection, "open") });
  }, id);
  await expect.poll(queued, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 2);
}

/** The next answer to a heartbeat that the client sends from now on. */
function heartbeatAnswered(socket: WebSocket): Promise<unknown> {
  const sent = socket.waitForEvent("framesent", { predicate: ({ payload }) => payload === HEARTBEAT });
  return sent.then(() =>
    socket.waitForEvent("framereceived", { predicate: ({ payload }) => payload === HEARTBEAT }),
  );
}

// It watches the frames of the page's WebSocket.
chromiumTest(
  "objects sleep, and are evicted: what waits is delivered, heartbeats wake nobody, calls go both ways",
  async () => {
    const [left, right] = [await stage.open(0), await stage.open(1)];
    const dialled = left.waitForEvent("websocket");
    const caller = await left.evaluate(startPeer, stage.freshName());
    const socket = await dialled;
    const late = stage.freshName();
    await callAbsent(left, late, stage.edge);

    // One each five seconds.
    for (let n = 0; n < 4; n++) await heartbeatAnswered(socket);
    await expectAsleep(stage.edge);
    expect(await right.evaluate(startPeer, late)).toBe(late);
    await left.evaluate(async () => void (await opened));
    expect(await left.evaluate(echo, "waited")).toBe("waited");

    const later = stage.freshName();
    await callAbsent(left, later, stage.edge);
    expect(await evictRooms(stage.edge)).toHaveLength(2);
    await heartbeatAnswered(socket);
    const third = await stage.open(1);
    expect(await third.evaluate(startPeer, later)).toBe(later);
    await left.evaluate(async () => void (await opened));

    expect(await evictRooms(stage.edge)).toHaveLength(3);
    await right.evaluate(connect, { id: caller, serialization: "binary" });
    expect(await right.evaluate(echo, { called: "back" })).toEqual({ called: "back" });
    await heartbeatAnswered(socket);
    expect(socket.isClosed()).toBe(false);
  },
);

browserTest(
  "the edge is restarted: peers reconnect under their ids, connections have gone on, what waits is delivered",
  async () => {
    const stateDir = await mkdtemp(join(tmpdir(), "peerloom-peerjs-"));
    onTestFinished(() => rm(stateDir, { recursive: true, force: true, maxRetries: 5 }));
    const before = await startEmbeddedEdge({ vars: VARS, stateDir });
    onTestFinished(() => before.stop());
    const [left, right] = await stage.connected("json", before);
    const third = await stage.open(1, before);
    const pages = [left, right];
    const ids = await Promise.all(pages.map((page) => page.evaluate(() => peer.id)));
    // "network", and the application lives on.
    for (const page of pages) await page.evaluate(() => void peer.on("error", () => {}));
    const late = stage.freshName();
    await left.evaluate(() => Object.assign(globalThis, { former: connection }));
    await callAbsent(left, late, before);

    await before.stop();
    for (const page of pages) await page.evaluate(async () => void (await gone));
    const echoFormer = (): Promise<unknown> =>
      left.evaluate(() => {
        const back = new Promise((resolve) => former.once("data", resolve));
        void former.send("still here");
        return back;
      });
    expect(await echoFormer()).toBe("still here");

    const after = await startEmbeddedEdge({ vars: VARS, stateDir, port: Number(new URL(before.url).port) });
    onTestFinished(() => after.stop());
    const reconnect = async (): Promise<unknown> => {
      const back = wait(peer, "open");
      peer.reconnect();
      return back;
    };
    for (const [index, page] of pages.entries()) expect(await page.evaluate(reconnect)).toBe(ids[index]);
    expect(await echoFormer()).toBe("still here");
    expect(await third.evaluate(startPeer, late)).toBe(late);
    await left.evaluate(async () => void (await opened));
    expect(await left.evaluate(echo, "waited")).toBe("waited");
    // A new call finds its peer.
    await right.evaluate(connect, { id: String(ids[0]), serialization: "json" });
    expect(await right.evaluate(echo, "new")).toBe("new");
  },
);

/** What the pages hold. */
declare const wait: (target: unknown, event: string, other?: string) => Promise<unknown>;
declare const peer: PeerjsPeer;
declare const connection: DataConnection;
declare const former: DataConnection;
declare const gone: Promise<unknown>;
declare const opened: Promise<unknown>;
