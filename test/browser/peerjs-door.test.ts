/**
 * The stock `peerjs` client in Chromium and doors of peerloom peers, in Node and in pages, both ways: what one side sends is what the
 * other has, in every serialization.
 */
import type { DataConnection, Peer as PeerjsPeer } from "peerjs";
import type { Page } from "playwright-core";
import { afterEach, expect, onTestFinished } from "vitest";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { type PeerJsConnection, PeerJsDoor } from "../../peer/peerjs-node.ts";
import { browserTest, Stage } from "./stage.ts";
import { openPeerjsPage } from "./peerjs-page.ts";

const BULK_BYTES = 10_000_000;

const stage = Stage.set();
const doors: PeerJsDoor[] = [];
const pages: Page[] = [];
let names = 0;

afterEach(async () => {
  // Doors first: one waits five seconds for a page that went without a word.
  for (const door of doors.splice(0)) await door.close();
  for (const page of pages.splice(0)) await page.close();
});

async function openDoor({ url }: { readonly url: string } = stage.edge): Promise<PeerJsDoor> {
  names += 1;
  const door = await PeerJsDoor.open({ id: `door-${names}`, edge: url, iceServers: [] });
  doors.push(door);
  return door;
}

/** A page with the stock client, its peer open. */
async function openPage({ url } = stage.edge): Promise<Page> {
  const page = await openPeerjsPage(stage.browser, url);
  pages.push(page);
  await page.addScriptTag({ content: `globalThis.describe = ${String(describeValue)}` });
  await page.evaluate(async () => {
    const peer = new Peer(options);
    await wait(peer, "open");
    Object.assign(globalThis, { peer });
  });
  return page;
}

async function first(door: PeerJsDoor): Promise<PeerJsConnection> {
  for await (const connection of door.connections()) return connection;
  throw new Error("the door was closed");
}

async function nextOf(connection: PeerJsConnection): Promise<unknown> {
  for await (const value of connection) return value;
  throw new Error("the connection was closed");
}

/** The page connects to the door. */
async function connected(
  how: object,
  at = stage.edge,
): Promise<{ page: Page; door: PeerJsDoor; connection: PeerJsConnection }> {
  const [door, page] = [await openDoor(at), await openPage(at)];
  const [connection] = await Promise.all([
    first(door),
    page.evaluate(
      async ({ id, how }) => {
        const connection = peer.connect(id, how);
        const ended = new Promise<void>((resolve) => connection.on("close", () => resolve()));
        await wait(connection, "open");
        // What comes is kept until it is asked for.
        const came: unknown[] = [];
        const next = async (): Promise<unknown> => {
          while (came.length === 0)
            await new Promise((resolve) => connection.once("data", () => setTimeout(resolve)));
          return came.shift();
        };
        connection.on("data", (data) => came.push(data));
        Object.assign(globalThis, { connection, next, ended });
      },
      { id: door.id, how },
    ),
  ]);
  return { page, door, connection };
}

/** Runs here and in pages: a value as text, nothing of its kind lost. */
function describeValue(value: unknown): string {
  const walk = (each: unknown): unknown => {
    if (each === undefined) return { undefined: true };
    if (typeof each === "number") return { number: Object.is(each, -0) ? "-0" : String(each) };
    if (each instanceof ArrayBuffer) return { bytes: [...new Uint8Array(each)] };
    if (ArrayBuffer.isView(each)) return { view: each.constructor.name };
    if (Array.isArray(each)) return each.map(walk);
    if (typeof each !== "object" || each === null) return each;
    return { object: Object.entries(each).map(([key, member]) => [key, walk(member)]) };
  };
  return JSON.stringify(walk(value));
}

const PLAIN: readonly unknown[] = [
  "grüße 🙂 \u0000 \u0080 \uffff",
  "",
  "x".repeat(16_000),
  0,
  -12.5,
  127,
  128,
  -33,
  65_536,
  2 ** 32,
  2 ** 40 + 1,
  Number.MAX_SAFE_INTEGER,
  true,
  false,
  [],
  {},
  [1, [2, [3, [null]]]],
  { a: { b: [{ c: null }] }, "ключ 🔑": "значение", toString: "x" },
];

browserTest.for(["binary", "binary-utf8", "json"])(
  "%s: values from a page come as they are, and go back so",
  async (serialization) => {
    const { page, connection } = await connected({
      serialization,
      metadata: { from: ["page"] },
      label: "a label",
    });
    // Both names are one class in the client, which tells the other side its first one.
    expect([connection.metadata, connection.label, connection.serialization, connection.reliable]).toEqual([
      { from: ["page"] },
      "a label",
      serialization === "binary-utf8" ? "binary" : serialization,
      false,
    ]);
    const sending = page.evaluate((values) => {
      for (const value of values) void connection.send(value);
    }, PLAIN);
    // The channel is not ordered; values are many and small, and each comes once.
    const came: string[] = [];
    for await (const value of connection) {
      came.push(describeValue(value));
      await connection.send(value);
      if (came.length === PLAIN.length) break;
    }
    await sending;
    expect(came.toSorted()).toEqual(PLAIN.map(describeValue).toSorted());
    const back = await page.evaluate(async (count) => {
      const all: string[] = [];
      while (all.length < count) all.push(describe(await next()));
      return all;
    }, PLAIN.length);
    expect(back.toSorted()).toEqual(PLAIN.map(describeValue).toSorted());
  },
);

browserTest("binary: odd values of a page arrive as in another stock client", async () => {
  const { page, connection } = await connected({ serialization: "binary", reliable: true });
  await page.evaluate(async () => {
    const bytes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
    void connection.send({ view: bytes.subarray(2, 5), words: new Uint16Array(bytes.buffer, 2, 2) });
    void connection.send({ none: undefined, list: [undefined, null, 1], date: new Date(0) });
    void connection.send([2 ** 31, -(2 ** 31), -(2 ** 31) - 1, -Number.MAX_SAFE_INTEGER]);
    await connection.send({ blob: new Blob(["blob"]), big: new Blob([new Uint8Array(40_000).fill(7)]) });
    void connection.send(bytes.buffer);
  });
  expect(describeValue(await nextOf(connection))).toBe(
    describeValue({ view: Uint8Array.of(2, 3, 4).buffer, words: Uint8Array.of(2, 3, 4, 5).buffer }),
  );
  const odd = (await nextOf(connection)) as { readonly date: string };
  expect(odd).toEqual({ none: null, list: [null, null, 1], date: expect.any(String) });
  expect(new Date(odd.date).getTime()).toBe(0);
  // The stock client packs these right, and would itself read the last two as others.
  expect(await nextOf(connection)).toEqual([2 ** 31, -(2 ** 31), -(2 ** 31) - 1, -Number.MAX_SAFE_INTEGER]);
  const { blob, big } = (await nextOf(connection)) as {
    readonly blob: ArrayBuffer;
    readonly big: ArrayBuffer;
  };
  expect([new TextDecoder().decode(blob), new Set(new Uint8Array(big)), big.byteLength]).toEqual([
    "blob",
    new Set([7]),
    40_000,
  ]);
  expect(describeValue(await nextOf(connection))).toBe(
    describeValue(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7).buffer),
  );
});

browserTest(
  "binary: values about as long as a piece, and what is in longer ones, then the stock client's last word",
  async () => {
    const { page, connection } = await connected({ serialization: "binary", reliable: false });
    // With the three bytes of their header these have 16,299 to 16,301, and one less or more than two pieces.
    const lengths = [16_296, 16_297, 16_298, 32_596, 32_597, 32_598];
    await page.evaluate((all) => {
      for (const length of all) void connection.send(new Uint8Array(length).fill(length % 251).buffer);
      void connection.send({
        text: "ключ 🔑".repeat(5_000),
        words: new Float64Array(4_000).fill(0.1),
        list: Array.from({ length: 10_000 }, (_, n) => [n, undefined, { n: -n, at: new Date(n) }]),
      });
    }, lengths);
    const came: unknown[] = [];
    while (came.length <= lengths.length) came.push(await nextOf(connection));
    const bytes = came.filter((each) => each instanceof ArrayBuffer);
    expect(new Map(bytes.map((each) => [each.byteLength, [...new Set(new Uint8Array(each))]]))).toEqual(
      new Map(lengths.map((length) => [length, [length % 251]])),
    );
    const mixed = came.find((each) => !(each instanceof ArrayBuffer)) as {
      readonly text: string;
      readonly words: ArrayBuffer;
      readonly list: readonly [number, null, { readonly n: number; readonly at: string }][];
    };
    expect(mixed.text).toBe("ключ 🔑".repeat(5_000));
    expect(new Set(new Float64Array(mixed.words))).toEqual(new Set([0.1]));
    expect(mixed.list).toHaveLength(10_000);
    expect(mixed.list[9_999]).toEqual([9_999, null, { n: -9_999, at: expect.any(String) }]);
    await page.evaluate(() => (connection as unknown as DataConnection).close({ flush: true }));
    expect(await connection.closed).toBeUndefined();
  },
);

browserTest("binary: odd values to a page arrive exactly", async () => {
  const { page, connection } = await connected({ serialization: "binary", reliable: true });
  const bytes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  const sent = [
    { none: undefined, list: [undefined, null, 1] },
    [2 ** 31, -(2 ** 31), -(2 ** 31) - 1, -Number.MAX_SAFE_INTEGER, 2 ** 63, -(2 ** 63), 2 ** 64, 2 ** 200],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -1022, Number.MAX_VALUE, Math.PI, 0.1],
    { deep: Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], "x") },
    Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`ключ ${n}`, n])),
  ];
  for (const value of sent) await connection.send(value);
  await connection.send({ view: bytes.subarray(2, 5), words: new Uint16Array(bytes.buffer, 2, 2) });
  await connection.send({
    blob: new Blob(["blob"]),
    big: new Blob([new Uint8Array(40_000).fill(7)]),
    date: new Date(0),
  });
  const came = await page.evaluate(async (count) => {
    const all: string[] = [];
    for (let n = 0; n < count; n++) all.push(describe(await next()));
    return all;
  }, sent.length + 1);
  expect(came.slice(0, -1)).toEqual(sent.map(describeValue));
  expect(came.at(-1)).toBe(
    describeValue({ view: Uint8Array.of(2, 3, 4).buffer, words: Uint8Array.of(2, 3, 4, 5).buffer }),
  );
  const blobs = await page.evaluate(async () => {
    const { blob, big, date } = (await next()) as { blob: ArrayBuffer; big: ArrayBuffer; date: string };
    return [new TextDecoder().decode(blob), big.byteLength, new Date(date).getTime()];
  });
  expect(blobs).toEqual(["blob", 40_000, 0]);
});

browserTest("raw: texts and bytes go as they are, both ways", async () => {
  const { page, connection } = await connected({ serialization: "raw", reliable: true });
  await page.evaluate(() => {
    void connection.send("grüße");
    void connection.send(Uint8Array.of(1, 2, 255).buffer);
    void connection.send("");
    void connection.send(new Uint8Array(0).buffer);
    void connection.send(new Uint8Array(200_000).fill(3).buffer);
    void connection.send(Uint8Array.of(0, 1, 2, 3).subarray(1, 3));
    void connection.send(new Blob(["blob"]));
  });
  const came = [];
  for (let n = 0; n < 5; n++) came.push(await nextOf(connection));
  expect(describeValue(await nextOf(connection))).toBe(describeValue(Uint8Array.of(1, 2).buffer));
  expect(new TextDecoder().decode((await nextOf(connection)) as ArrayBuffer)).toBe("blob");
  expect(came.slice(0, 4).map(describeValue)).toEqual(
    ["grüße", Uint8Array.of(1, 2, 255).buffer, "", new ArrayBuffer(0)].map(describeValue),
  );
  expect((came[4] as ArrayBuffer).byteLength).toBe(200_000);
  for (const value of came) await connection.send(value);
  await connection.send(new Blob(["blob"]));
  const back = await page.evaluate(async () => {
    const all: string[] = [];
    for (let n = 0; n < 4; n++) all.push(describe(await next()));
    const lengths = [((await next()) as ArrayBuffer).byteLength, ((await next()) as ArrayBuffer).byteLength];
    return { all, lengths };
  });
  expect(back).toEqual({ all: came.slice(0, 4).map(describeValue), lengths: [200_000, 4] });
});

browserTest.for([
  { bytes: BULK_BYTES, reliable: false },
  { bytes: 1_000_000, reliable: true },
])("$bytes bytes in one value, both ways, reliable: $reliable", async ({ bytes, reliable }) => {
  const { page, connection } = await connected({ serialization: "binary", reliable });
  await page.evaluate((total) => {
    void connection.send(Uint8Array.from({ length: total }, (_, i) => (i * 31 + (i >> 8)) % 251).buffer);
  }, bytes);
  const came = new Uint8Array((await nextOf(connection)) as ArrayBuffer);
  const expected = Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8)) % 251);
  expect(Buffer.from(came).equals(expected)).toBe(true);
  const [wrong] = await Promise.all([
    page.evaluate(async (total) => {
      const came = new Uint8Array((await next()) as ArrayBuffer);
      let differing = Math.abs(came.length - total);
      for (let i = 0; i < came.length; i++) if (came[i] !== (i * 31 + (i >> 8)) % 251) differing += 1;
      return differing;
    }, bytes),
    connection.send(came),
  ]);
  expect(wrong).toBe(0);
});

browserTest("a door connects to a page; either side may close", async () => {
  const [door, page] = [await openDoor(), await openPage()];
  const id = await page.evaluate(() => {
    peer.on("connection", (connection) => {
      Object.assign(globalThis, {
        connection,
        ended: new Promise<void>((resolve) => connection.on("close", () => resolve())),
      });
      connection.on("data", (data) => {
        if (data === "hang up") connection.close();
        else
          void connection.send([
            data,
            connection.metadata,
            connection.label,
            connection.serialization,
            connection.reliable,
          ]);
      });
    });
    return peer.id;
  });
  for (const serialization of ["binary", "json", "binary-utf8"] as const) {
    const connection = await door.connect(id, { metadata: { n: 1 }, label: "from node", serialization });
    await connection.send("hello");
    expect(await nextOf(connection)).toEqual([
      "hello",
      { n: 1 },
      "from node",
      serialization === "json" ? "json" : "binary",
      true,
    ]);
    if (serialization === "json") {
      await connection.send("hang up");
      expect(await connection.closed).toBeUndefined();
    } else {
      // What was sent before the end comes before it.
      const last = connection.send(new Uint8Array(300_000));
      await connection.close();
      await last;
      await page.evaluate(() => ended);
    }
  }
  await expect(door.connect("nobody-here")).rejects.toMatchObject({ code: "peer/not-found" });
});

browserTest("a page that goes away ends its connection in order", async () => {
  const { page, connection } = await connected({ serialization: "json" });
  // A tab that is killed says nothing: ICE finds out after 30 s, and the connection ends with link/failed.
  await page.goto("about:blank");
  expect(await connection.closed).toBeUndefined();
});

browserTest(
  "a door whose edge was restarted comes back by itself; its connections have gone on",
  async () => {
    const before = await startEmbeddedEdge();
    const { page, door, connection } = await connected({ serialization: "json" }, before).catch(
      async (error: unknown) => {
        await before.stop();
        throw error;
      },
    );
    await page.evaluate(() => peer.on("error", () => {})); // "network", and the application lives on
    const lost = new Promise((resolve) => door.addEventListener("server", resolve, { once: true }));
    await before.stop();
    await lost;
    expect(door.isConnected).toBe(false);
    const echo = async (): Promise<unknown> => {
      await page.evaluate(() => void connection.send("still here"));
      return nextOf(connection);
    };
    expect(await echo()).toBe("still here");
    // Asked for while there is no server: it waits for one.
    const early = page.evaluate(() => peer.id);
    const back = new Promise<void>((resolve) =>
      door.addEventListener("server", () => {
        if (door.isConnected) resolve();
      }),
    );
    const after = await startEmbeddedEdge({ port: Number(new URL(before.url).port) });
    onTestFinished(() => after.stop());
    await back;
    await early;
    expect(await echo()).toBe("still here");
    const again = await openPage(after);
    const [fresh] = await Promise.all([
      first(door),
      again.evaluate((id) => wait(peer.connect(id, { label: "fresh" }), "open").then(() => {}), door.id),
    ]);
    expect(fresh.label).toBe("fresh");
  },
);

browserTest("a page's bytes are a stream on a handler of the peer", async () => {
  const [door, page] = [await openDoor(), await openPage()];
  door.handle("upper/1", (stream) =>
    stream.readable
      .pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>)
      .pipeThrough(
        new TransformStream<string, Uint8Array>({
          transform: (text, controller) => controller.enqueue(new TextEncoder().encode(text.toUpperCase())),
        }),
      )
      .pipeTo(stream.writable),
  );
  const heard = await page.evaluate(async (id) => {
    const connection = peer.connect(id, { label: "upper/1", serialization: "raw", reliable: true });
    await wait(connection, "open");
    const back = new Promise((resolve) => connection.on("data", resolve));
    void connection.send("hello");
    return new TextDecoder().decode((await back) as ArrayBuffer);
  }, door.id);
  expect(heard).toBe("HELLO");
});

browserTest("a page has a door too: the stock client there, a Node peer here", async () => {
  const door = await openDoor();
  const page = await openPage();
  const host = await stage.browser.open(`${stage.edge.url}/health`);
  pages.push(host);
  await host.addScriptTag({
    type: "module",
    content: 'import { PeerJsDoor } from "/peerjs.js"; Object.assign(globalThis, { PageDoor: PeerJsDoor });',
  });
  await host.waitForFunction(() => "PageDoor" in globalThis);
  const served = host.evaluate(async (node) => {
    const door = await PageDoor.open({ id: "page-door", iceServers: [] });
    Object.assign(globalThis, { door });
    const connection = await door.connect(node);
    await connection.send({ from: "page" });
    for await (const each of door.connections()) {
      for await (const value of each) await each.send([value, each.metadata]);
    }
    return "closed";
  }, door.id);
  const fromPage = await first(door);
  expect(await nextOf(fromPage)).toEqual({ from: "page" });
  const back = await page.evaluate(async () => {
    const connection = peer.connect("page-door", { metadata: 7 });
    await wait(connection, "open");
    const back = new Promise((resolve) => connection.on("data", resolve));
    void connection.send("x".repeat(100_000));
    const [text, metadata] = (await back) as [string, number];
    connection.close();
    return [text.length, metadata];
  });
  expect(back).toEqual([100_000, 7]);
  await host.evaluate(() => door.close());
  expect(await served).toBe("closed");
  expect(await fromPage.closed).toBeUndefined();
});

/** What the pages hold. */
declare const Peer: typeof PeerjsPeer;
declare const options: { readonly host: string; readonly port: number; readonly path: string };
declare const wait: (target: unknown, event: string, other?: string) => Promise<unknown>;
declare const peer: PeerjsPeer;
declare const ended: Promise<void>;
declare const next: () => Promise<unknown>;
declare const describe: (value: unknown) => string;
declare const PageDoor: typeof PeerJsDoor;
