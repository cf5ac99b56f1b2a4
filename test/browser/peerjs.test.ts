/**
 * The stock `peerjs` client, as its package ships it, in two browser contexts of Chromium against the embedded edge: nothing of an
 * application changes but `host`, `port` and `path`.
 */
import { build } from "esbuild";
import type {
  DataConnection,
  MediaConnection,
  MsgPackPeer as StockMsgPackPeer,
  Peer as PeerjsPeer,
} from "peerjs";
import { expect } from "vitest";
import { browserTest } from "./stage.ts";
import { echo, PeerjsStage, startPeer } from "./peerjs-page.ts";

const BULK_BYTES = 10_000_000;

const stage = PeerjsStage.set({ vars: { PEERJS_SHARDS: "3" } });

const VALUES = ["grüße 🙂", -12.5, true, { a: [1, 2, { b: null }], c: "x".repeat(4_000), d: 2 ** 40 }];

browserTest.for(["binary", "binary-utf8", "json", "MsgPack"])(
  "%s: values go there and back, metadata and label arrive",
  async (serialization) => {
    const [left, right] = await stage.connected(serialization);
    const back: unknown[] = [];
    for (const value of VALUES) back.push(await left.evaluate(echo, value));
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
  const [left] = await stage.connected("raw");
  expect(await left.evaluate(echo, "text")).toBe("text");
  const bytes = await left.evaluate(async () => {
    const back = new Promise((resolve) => connection.once("data", resolve));
    void connection.send(new Uint8Array([1, 2, 255]).buffer);
    return [...new Uint8Array((await back) as ArrayBuffer)];
  });
  expect(bytes).toEqual([1, 2, 255]);
});

browserTest("MsgPack: bytes and dates are what they were", async () => {
  const [left] = await stage.connected("MsgPack");
  const back = await left.evaluate(async () => {
    const next = new Promise((resolve) => connection.once("data", resolve));
    void connection.send({ bytes: new Uint8Array([1, 2, 255]), at: new Date(86_400_123) });
    const { bytes, at } = (await next) as { bytes: Uint8Array; at: Date };
    return [bytes instanceof Uint8Array, [...bytes], at instanceof Date, at.getTime()];
  });
  expect(back).toEqual([true, [1, 2, 255], true, 86_400_123]);
});

browserTest("the package's own MsgPackPeer, as an application bundles it", async () => {
  const script = await build({
    stdin: { contents: 'export { MsgPackPeer } from "peerjs"', resolveDir: import.meta.dirname },
    bundle: true,
    write: false,
    format: "iife",
    globalName: "bundled",
  });
  const pages = [await stage.open(0), await stage.open(1)] as const;
  for (const page of pages) await page.addScriptTag({ content: script.outputFiles[0]?.text ?? "" });
  const [left, right] = pages;
  const id = stage.freshName();
  await right.evaluate(async (name) => {
    const peer = new bundled.MsgPackPeer(name, options);
    peer.on("connection", (connection) => {
      connection.on("data", (data) => void connection.send([data, connection.serialization]));
    });
    await wait(peer, "open");
  }, id);
  const back = await left.evaluate(async (name) => {
    const peer = new bundled.MsgPackPeer(options);
    await wait(peer, "open");
    const connection = peer.connect(name);
    await wait(connection, "open");
    const next = new Promise((resolve) => connection.once("data", resolve));
    void connection.send({ a: [1, null] });
    return next;
  }, id);
  expect(back).toEqual([{ a: [1, null] }, "MsgPack"]);
});

browserTest.for([
  { serialization: "binary", piece: BULK_BYTES },
  { serialization: "binary-utf8", piece: BULK_BYTES },
  // Its reader copies what came with each of 305 pieces: minutes, where others share the machine.
  { serialization: "MsgPack", piece: BULK_BYTES },
  { serialization: "raw", piece: 65_536 },
  { serialization: "json", piece: 16_000 },
])(
  "$serialization: 10 MB go there and back unchanged",
  { timeout: 300_000 },
  async ({ serialization, piece }) => {
    const [left] = await stage.connected(serialization);
    const wrong = await left.evaluate(
      async ({ total, piece }) => {
        const sent = new Uint8Array(total);
        // Characters that JSON takes as they are.
        for (let i = 0; i < total; i++) sent[i] = 35 + ((i * 31 + (i >> 8)) % 57);
        const valueOf = (bytes: Uint8Array): unknown => {
          if (connection.serialization === "json") return String.fromCharCode(...bytes);
          return connection.serialization === "MsgPack" ? bytes : bytes.buffer;
        };
        let got = 0;
        let differing = 0;
        const all = new Promise<void>((resolve) => {
          connection.on("data", (data) => {
            const bytes =
              typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data as ArrayBuffer);
            for (let i = 0; i < bytes.length; i++) if (bytes[i] !== sent[got + i]) differing += 1;
            got += bytes.length;
            if (got >= total) resolve();
          });
        });
        for (let offset = 0; offset < total; offset += piece) {
          while (connection.dataChannel.bufferedAmount > 1_000_000)
            await new Promise((resolve) => {
              connection.dataChannel.bufferedAmountLowThreshold = 500_000;
              connection.dataChannel.addEventListener("bufferedamountlow", resolve, { once: true });
            });
          void connection.send(valueOf(sent.slice(offset, Math.min(offset + piece, total))));
        }
        await all;
        return [got, differing];
      },
      { total: BULK_BYTES, piece },
    );
    expect(wrong).toEqual([BULK_BYTES, 0]);
  },
);

browserTest(
  "disconnect and reconnect keep the id and the connections; who called meanwhile is answered",
  async () => {
    const [left, right] = await stage.connected("json");
    const before = await right.evaluate(async () => {
      const { id } = peer;
      peer.disconnect();
      await gone;
      return id;
    });
    // The name is nobody's now, and the call waits for it.
    await left.evaluate((id) => {
      Object.assign(globalThis, { opened: wait(peer.connect(id, { serialization: "json" }), "open") });
    }, before);
    const after = await right.evaluate(async () => {
      const opened = wait(peer, "open");
      peer.reconnect();
      return opened;
    });
    expect(after).toBe(before);
    expect(await left.evaluate(echo, "still here")).toBe("still here");
    await left.evaluate(async () => void (await opened));
  },
);

browserTest(
  "reconnecting while the old socket still counts as alive opens, where PeerServer stays silent",
  async () => {
    const [left, right] = [await stage.open(0), await stage.open(1)];
    const name = stage.freshName();
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
  const [left, right] = [await stage.open(0), await stage.open(1)];
  const name = await left.evaluate(startPeer, stage.freshName());
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
  const [left, right] = [await stage.open(0), await stage.open(1)];
  const name = stage.freshName();
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

browserTest("a call is answered: pictures go both ways", async () => {
  const [left, right] = [await stage.open(0), await stage.open(1)];
  for (const page of [left, right]) {
    // As text: these programs know no DOM. A canvas without a context has no pictures.
    await page.evaluate(`{
      const canvas = document.createElement("canvas");
      canvas.getContext("2d").fillRect(0, 0, 1, 1);
      globalThis.picture = canvas.captureStream();
    }`);
    await page.evaluate(() => {
      const kindsOf = async (call: MediaConnection): Promise<string[]> => {
        const stream = (await wait(call, "stream")) as { getTracks(): { readonly kind: string }[] };
        return stream.getTracks().map(({ kind }) => kind);
      };
      Object.assign(globalThis, { kindsOf });
    });
  }
  const id = await right.evaluate(startPeer, stage.freshName());
  await right.evaluate(() => {
    const answered = new Promise((resolve) =>
      peer.on("call", (call) => {
        resolve(kindsOf(call).then((kinds) => [call.metadata, kinds]));
        call.answer(picture);
      }),
    );
    Object.assign(globalThis, { answered });
  });
  await left.evaluate(startPeer, "");
  expect(await left.evaluate((to) => kindsOf(peer.call(to, picture, { metadata: 7 })), id)).toEqual([
    "video",
  ]);
  expect(await right.evaluate(() => answered)).toEqual([7, ["video"]]);
});

/** What the pages hold. */
declare const Peer: typeof PeerjsPeer;
declare const bundled: { readonly MsgPackPeer: typeof StockMsgPackPeer };
declare const options: { readonly host: string; readonly port: number; readonly path: string };
declare const wait: (target: unknown, event: string, other?: string) => Promise<unknown>;
declare const peer: PeerjsPeer;
declare const connection: DataConnection;
declare const gone: Promise<unknown>;
declare const opened: Promise<unknown>;
declare const picture: Parameters<PeerjsPeer["call"]>[1];
declare const kindsOf: (call: MediaConnection) => Promise<string[]>;
declare const answered: Promise<unknown>;
