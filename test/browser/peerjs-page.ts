/** Pages with the stock `peerjs` client, as its package ships it, and pairs of them in two Chromiums that share nothing. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { DataConnection, MsgPack as MsgPackConnection, Peer as PeerjsPeer } from "peerjs";
import type { Page } from "playwright-core";
import { afterEach } from "vitest";
import type { EmbeddedEdge, EmbeddedEdgeOptions } from "../../infra/embedded-edge.ts";
import type { Browser } from "./browsers.ts";
import { Stage } from "./stage.ts";

const require = createRequire(import.meta.url);
/** Where a page finds the client's own module for MessagePack; the package names it in `browser-minified-msgpack`. */
const MSGPACK_PATH = "/serializer.msgpack.mjs";

/** A page of an application that is about to ask for a peer: it has `Peer`, `MsgPack`, its options for that edge, and `wait`. */
export async function openPeerjsPage(browser: Browser, edgeUrl: string): Promise<Page> {
  const page = await browser.open(`${edgeUrl}/health`, (made) =>
    made.route(edgeUrl + MSGPACK_PATH, (route) =>
      route.fulfill({ path: require.resolve(`peerjs/dist${MSGPACK_PATH}`), contentType: "text/javascript" }),
    ),
  );
  await page.addScriptTag({ content: await readFile(require.resolve("peerjs/dist/peerjs.min.js"), "utf8") });
  // As text: the test runner rewrites an import() in code.
  await page.evaluate(`import("${MSGPACK_PATH}").then(({ MsgPack }) => { globalThis.MsgPack = MsgPack; })`);
  await page.evaluate(
    ({ port }) => {
      const wait = (target: Emitter, event: string, other = "error"): Promise<unknown> =>
        new Promise((resolve, reject) => {
          target.on(event, resolve);
          target.on(other, reject);
        });
      const options = { host: "127.0.0.1", port, path: "/peerjs", config: { iceServers: [] } };
      Object.assign(globalThis, { wait, options });
    },
    { port: Number(new URL(edgeUrl).port) },
  );
  return page;
}

/** There from before the first test of a file to after its last: an edge, and the browsers of two people. */
export class PeerjsStage {
  readonly #stage: Stage;
  readonly #pages: Page[] = [];
  #browsers: readonly Browser[] = [];
  #names = 0;

  static set(options?: EmbeddedEdgeOptions): PeerjsStage {
    return new PeerjsStage(options);
  }

  private constructor(options: EmbeddedEdgeOptions | undefined) {
    this.#stage = Stage.set(async (stage) => {
      this.#browsers = [stage.browser, await stage.startBrowser()];
    }, options);
    afterEach(async () => {
      for (const page of this.#pages.splice(0)) await page.close();
    });
  }

  get edge(): EmbeddedEdge {
    return this.#stage.edge;
  }

  freshName(): string {
    this.#names += 1;
    return `page-${this.#names}`;
  }

  /** A page of one of the two browsers whose application has asked for nothing yet. */
  async open(browser: 0 | 1, { url }: { readonly url: string } = this.edge): Promise<Page> {
    const page = await openPeerjsPage(this.#browsers[browser] as Browser, url);
    this.#pages.push(page);
    return page;
  }

  /** Two pages of two browsers, each with an open peer, the first connected to the second. */
  async connected(serialization: string, at: { readonly url: string } = this.edge): Promise<[Page, Page]> {
    const [left, right] = [await this.open(0, at), await this.open(1, at)];
    const id = await right.evaluate(startPeer, this.freshName());
    await left.evaluate(startPeer, ""); // the edge names it
    await left.evaluate(connect, { id, serialization });
    return [left, right];
  }
}

/** Runs in a page: its peer, open, that echoes what it gets and keeps what it was told of the connection. @returns its id */
export async function startPeer(id: string): Promise<string> {
  const all = { ...options, serializers: { MsgPack } };
  const peer = id === "" ? new Peer(all) : new Peer(id, all);
  const gone = new Promise((resolve) => peer.once("disconnected", resolve));
  peer.on("connection", (connection) => {
    connection.on("data", (data) => void connection.send(data));
    Object.assign(globalThis, { connection });
  });
  Object.assign(globalThis, { peer, gone });
  await wait(peer, "open");
  return peer.id;
}

/** Runs in a page: a connection, open. */
export async function connect({ id, serialization }: { id: string; serialization: string }): Promise<void> {
  const how = { serialization, reliable: true, metadata: { from: "left" }, label: "a label" };
  const connection = peer.connect(id, how);
  Object.assign(globalThis, { connection });
  await wait(connection, "open");
}

/** Runs in a page: one value to the other side and back. */
export async function echo(value: unknown): Promise<unknown> {
  const back = new Promise((resolve) => connection.once("data", resolve));
  void connection.send(value);
  return back;
}

interface Emitter {
  on(event: string, listener: (value: unknown) => void): unknown;
}

declare const Peer: typeof PeerjsPeer;
declare const MsgPack: typeof MsgPackConnection;
declare const options: { readonly host: string; readonly port: number; readonly path: string };
declare const wait: (target: unknown, event: string, other?: string) => Promise<unknown>;
declare const peer: PeerjsPeer;
declare const connection: DataConnection;
