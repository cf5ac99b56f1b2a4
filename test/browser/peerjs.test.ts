/**
 * The stock `peerjs` client, as its package ships it, in two browser contexts of Chromium against the embedded edge: nothing of an
 * application changes but `host`, `port` and `path`.
 */
import type { DataConnection, Peer as PeerjsPeer } from "peerjs";
import type { Page } from "playwright-core";
import { afterEach, expect } from "vitest";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import type { Chromium } from "./chromium.ts";
import { browserTest, Stage } from "./stage.ts";
import { openPeerjsPage } from "./peerjs-page.ts";

const BULK_BYTES = 10_000_000;

let browsers: readonly Chromium[] = [];
const pages: Page[] = [];
let names = 0;

const stage = Stage.set(
  async () => {
    browsers = [stage.browser, await stage.startBrowser()];
  },
  { vars: { PEERJS_SHARDS: "3" } },
);

afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
});

function freshName(): string {
  names += 1;
  return `page-${names}`;
}

/** A page of one of the two browsers whose application has asked for a peer. */
async function openPage(browser: 0 | 1, { url } = stage.edge): Promise<Page> {
  const page = await openPeerjsPage(browsers[browser] as Chromium, url);
  pages.push(page);
  return page;
}

/** Two pages of two browsers, each with an open peer, the first connected to the second. */
async function connected(serialization: string, at = stage.edge): Promise<[Page, Page]> {
  const [left, right] = [await openPage(0, at), await openPage(1, at)];
  const name = freshName();
  await right.evaluate(async (id) => {
    const peer = new Peer(id, options);
    await wait(peer, "open");
    // Echoes what it gets, and keeps what it was told of the connection.
    peer.on("connection", (connection) => {
      connection.on("data", (data) => void connection.send(data));
      Object.assign(globalThis, { connection });
    });
    Object.assign(globalThis, { peer });
  }, name);
  await left.evaluate(
    async ({ id, how }) => {
      const peer = new Peer(options);
      await wait(peer, "open");
      const connection = peer.connect(id, { ...how, metadata: { from: "left" }, label: "a label" });
      await wait(connection, "open");
      Object.assign(globalThis, { peer, connection });
    },
    { id: name, how: { serialization, reliable: true } },
  );
  return [left, right];
}

const VALUES = ["grüße 🙂", -12.5, true, { a: [1, 2, { b: null }], c: "x".repeat(4_000), d: 2 ** 40 }];

browserTest.for(["binary", "binary-utf8", "json"])(
  "%s: values go there and back, metadata and label arrive",
  async (serialization) => {
    const [left, right] = await connected(serialization);
    const back = await left.evaluate(async (values) => {
      const heard: unknown[] = [];
      for (const value of values) {
        const next = new Promise((resolve) => connection.once("data", resolve));
        void connection.send(value);
        heard.push(await next);
      }
      return heard;
    }, VALUES);
    expect(back).toEqual(VALUES);
    const told = await right.evaluate(() => [
      connection.metadata,
      connection.label,
      connection.serialization,
    ]);
    // Both names are one class in the client, which tells the other side its first one.
    const name = serialization === "binary-utf8" ? "binary" : serialization;
    expect(told).toEqual([{ from: "left" }, "a label", name]);
  },
);

browserTest("raw: texts and bytes go as they are", async () => {
  const [left] = await connected("raw");
  const back = await left.evaluate(async () => {
    const next = (): Promise<unknown> => new Promise((resolve) => connection.once("data", resolve));
    const text = next();
    void connection.send("text");
    const heard = [await text];
    const bytes = next();
    void connection.send(new Uint8Array([1, 2, 255]).buffer);
    heard.push([...new Uint8Array((await bytes) as ArrayBuffer)]);
    return heard;
  });
  expect(back).toEqual(["text", [1, 2, 255]]);
});

browserTest.for(["binary", "raw"])("%s: 10 MB go there and back unchanged", async (serialization) => {
  const [left] = await connected(serialization);
  const wrong = await left.evaluate(
    async ({ total, piece }) => {
      const sent = new Uint8Array(total);
      for (let i = 0; i < total; i++) sent[i] = (i * 31 + (i >> 8)) % 251;
      let got = 0;
      let differing = 0;
      const all = new Promise<void>((resolve) => {
        connection.on("data", (data) => {
          const bytes = new Uint8Array(data as ArrayBuffer);
          for (let i = 0; i < bytes.length; i++) if (bytes[i] !== sent[got + i]) differing += 1;
          got += bytes.length;
          if (got === total) resolve();
        });
      });
      for (let offset = 0; offset < total; offset += piece) {
        while (connection.dataChannel.bufferedAmount > 1_000_000)
          await new Promise((resolve) => {
            connection.dataChannel.bufferedAmountLowThreshold = 500_000;
            connection.dataChannel.addEventListener("bufferedamountlow", resolve, { once: true });
          });
        void connection.send(sent.slice(offset, Math.min(offset + piece, total)).buffer);
      }
      await all;
      return differing;
    },
    { total: BULK_BYTES, piece: serialization === "raw" ? 65_536 : BULK_BYTES },
  );
  expect(wrong).toBe(0);
});

browserTest(
  "peers whose edge was restarted reconnect under their ids, and their connection has gone on",
  async () => {
    const before = await startEmbeddedEdge();
    const [left, right] = await connected("json", before).catch(async (error: unknown) => {
      await before.stop();
      throw error;
    });
    for (const page of [left, right])
      await page.evaluate(() => {
        const { id } = peer;
        const gone = new Promise((resolve) => peer.once("disconnected", () => resolve(id)));
        peer.on("error", () => {}); // "network", and the application lives on
        Object.assign(globalThis, { gone });
      });
    await before.stop();
    const ids = [await left.evaluate(() => gone), await right.evaluate(() => gone)];
    const echo = (): Promise<unknown> =>
      left.evaluate(async () => {
        const back = new Promise((resolve) => connection.once("data", resolve));
        void connection.send("still here");
        return back;
      });
    expect(await echo()).toBe("still here");
    const after = await startEmbeddedEdge({ port: Number(new URL(before.url).port) });
    try {
      const reconnect = async (): Promise<unknown> => {
        const opened = wait(peer, "open");
        peer.reconnect();
        return opened;
      };
      expect([await left.evaluate(reconnect), await right.evaluate(reconnect)]).toEqual(ids);
      expect(await echo()).toBe("still here");
      // A new call finds its peer.
      await left.evaluate((id) => wait(peer.connect(id), "open").then(() => {}), String(ids[1]));
    } finally {
      await after.stop();
    }
  },
);

browserTest("disconnect and reconnect keep the id and the connections", async () => {
  const [left, right] = await connected("json");
  const [before, after] = await right.evaluate(async () => {
    const { id } = peer;
    const disconnected = wait(peer, "disconnected", "none");
    peer.disconnect();
    await disconnected;
    const opened = wait(peer, "open");
    peer.reconnect();
    return [id, await opened];
  });
  expect(after).toBe(before);
  const back = await left.evaluate(async () => {
    const heard = new Promise((resolve) => connection.once("data", resolve));
    void connection.send("still here");
    return heard;
  });
  expect(back).toBe("still here");
});

browserTest(
  "reconnecting while the old socket still counts as alive opens, where PeerServer stays silent",
  async () => {
    const [left, right] = [await openPage(0), await openPage(1)];
    const name = freshName();
    const open = async ({ id, token }: { id: string; token: string }): Promise<unknown> => {
      const peer = new Peer(id, { ...options, token });
      Object.assign(globalThis, { peer, gone: new Promise((resolve) => peer.once("disconnected", resolve)) });
      return wait(peer, "open");
    };
    expect(await left.evaluate(open, { id: name, token: "shared" })).toBe(name);
    expect(await right.evaluate(open, { id: name, token: "shared" })).toBe(name);
    await left.evaluate(() => gone);
  },
);

browserTest("errors have PeerJS's own types", async () => {
  const [left, right] = [await openPage(0), await openPage(1)];
  const name = freshName();
  await left.evaluate(async (id) => {
    const peer = new Peer(id, options);
    await wait(peer, "open");
    Object.assign(globalThis, { peer });
  }, name);
  const typeOf = (asked: {
    readonly id?: string;
    readonly key?: string;
    readonly call?: string;
  }): Promise<string> =>
    right.evaluate(
      ({ id = "", key = "peerjs", call }) =>
        new Promise<string>((resolve) => {
          const made = new Peer(id, { ...options, key });
          made.on("error", ({ type }) => resolve(type));
          if (call !== undefined) made.on("open", () => made.connect(call));
        }),
      asked,
    );
  expect(await typeOf({ id: name })).toBe("unavailable-id");
  expect(await typeOf({ id: "name", key: "wrong" })).toBe("server-error");
  expect(await typeOf({ id: "no_such/id" })).toBe("invalid-id");
  expect(await typeOf({ call: "nobody" })).toBe("peer-unavailable");
  // The list of all is not for everybody.
  const listed = await left.evaluate(
    () =>
      new Promise<string>((resolve) => {
        peer.on("error", ({ type }) => resolve(type));
        peer.listAllPeers(() => resolve("listed"));
      }),
  );
  expect(listed).toBe("server-error");
});

browserTest("a call that comes first waits for its peer to come", async () => {
  const [left, right] = [await openPage(0), await openPage(1)];
  const name = freshName();
  await left.evaluate(async (id) => {
    const peer = new Peer(options);
    await wait(peer, "open");
    const connection = peer.connect(id, { serialization: "json" });
    Object.assign(globalThis, { opened: wait(connection, "open") });
  }, name);
  await right.evaluate(async (id) => {
    const peer = new Peer(id, options);
    await wait(peer, "connection");
  }, name);
  await left.evaluate(() => opened);
});

/** What the pages hold. */
declare const Peer: typeof PeerjsPeer;
declare const options: { readonly host: string; readonly port: number; readonly path: string };
declare const wait: (target: unknown, event: string, other?: string) => Promise<unknown>;
declare const peer: PeerjsPeer;
declare const connection: DataConnection;
declare const gone: Promise<unknown>;
declare const opened: Promise<unknown>;
