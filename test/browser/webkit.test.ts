/**
 * A page in WebKit, which has no byte streams, no WebRTC and no file system of the origin here: as people use it, and by the runtime's own calls,
 * all goes over the relay.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { By, Key, type WebElement } from "selenium-webdriver";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedEdge, startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { Peer, type Session } from "../../peer/node.ts";
import { temporaryFolder } from "../integration/command.ts";
import { findOnPath } from "./browsers.ts";
import { startWebKit, WEBKIT_NAMES, type WebKit } from "./webkit.ts";

const NETWORK = "webkit";
const ECHO_BYTES = 10_000_000;
const PIECE_BYTES = 65_536;
/** What a stream, its session and the link may hold for a reader that does not read. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;
const FILE_BYTES = 5_000_000;
const PATIENCE = { timeout: 30_000 };

const driverPath = await findOnPath(WEBKIT_NAMES.driver);
const displayPath = await findOnPath(WEBKIT_NAMES.display);
const isThere = driverPath !== undefined && displayPath !== undefined;
if (!isThere) console.warn("Skipped: no WebKitWebDriver and Xvfb on the PATH.");
const webkitTest = test.skipIf(!isThere);

let edge: EmbeddedEdge;
let node: Peer;
let webkit: WebKit;

beforeAll(async () => {
  if (!isThere) return;
  edge = await startEmbeddedEdge();
  node = await Peer.open({ edge: edge.url, network: NETWORK, iceServers: [], lan: false });
  webkit = await startWebKit(driverPath, displayPath);
});

afterAll(async () => {
  await webkit?.close();
  await node?.close();
  await edge?.stop();
});

/** What the pages' own code holds. */
declare const PagePeer: typeof Peer;
declare const peer: Peer;
declare const session: Session;

/** Runs in the page. What is given and what comes back go as JSON. */
async function evaluate<Given extends readonly unknown[], Value>(
  run: (...given: Given) => Value | Promise<Value>,
  ...given: Given
): Promise<Value> {
  const program = `const [given, done] = arguments;
    Promise.resolve((${run.toString()})(...given)).then((value) => done([value]), (error) => done(String(error)));`;
  const answer: unknown = await webkit.driver.executeAsyncScript(program, given);
  if (!Array.isArray(answer)) throw new Error(String(answer));
  return answer[0] as Value;
}

/** The edge's page with the runtime's `Peer` beside it, and a peer of its own where asked for. */
async function openPage({ withPeer = false } = {}): Promise<void> {
  await webkit.driver.get(`${edge.url}/?network=${NETWORK}`);
  // As text: the test runner rewrites an import() in code.
  const importing = `const [done] = arguments;
    import("/peer.js").then(({ Peer }) => { globalThis.PagePeer = Peer; done(); }, (error) => done(String(error)));`;
  expect(await webkit.driver.executeAsyncScript(importing)).toBeNull();
  if (!withPeer) return;
  await evaluate(
    async (id, network) => {
      const peer = await PagePeer.open({ network, identity: "fresh" } as Parameters<typeof Peer.open>[0]);
      Object.assign(globalThis, { peer, session: await peer.connect(id) });
    },
    node.id,
    NETWORK,
  );
}

async function element(tag: string, selector: string): Promise<WebElement> {
  const host = await webkit.driver.findElement(By.css(tag));
  return (await host.getShadowRoot()).findElement(By.css(selector));
}

const textOf = async (tag: string, selector: string): Promise<string> =>
  element(tag, selector).then(
    (found) => found.getText(),
    () => "",
  );

webkitTest("bytes go there and back unchanged, though there are no byte streams", async () => {
  node.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
  await openPage({ withPeer: true });
  expect(await evaluate(() => "ReadableByteStreamController" in globalThis)).toBe(false);
  const outcome = await evaluate(
    async (total, pieceBytes) => {
      const stream = await session.open("echo/1", { priority: "bulk" });
      const at = (offset: number): number => (offset * 31) % 251;
      const write = async (): Promise<void> => {
        const writer = stream.writable.getWriter();
        for (let offset = 0; offset < total; offset += pieceBytes) {
          const piece = new Uint8Array(Math.min(pieceBytes, total - offset));
          for (let i = 0; i < piece.length; i++) piece[i] = at(offset + i);
          await writer.write(piece);
        }
        await writer.close();
      };
      const writing = write();
      const reader = stream.readable.getReader();
      let [bytes, wrong] = [0, 0];
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read())
        for (const byte of value ?? []) if (byte !== at(bytes++)) wrong += 1;
      await writing;
      return { bytes, wrong, path: session.path.kind };
    },
    ECHO_BYTES,
    PIECE_BYTES,
  );
  expect(outcome).toEqual({ bytes: ECHO_BYTES, wrong: 0, path: "relay" });
});

webkitTest("a reader that stops stops the writer, and a reset says why", async () => {
  let written = 0;
  node.handle("source/1", async (stream) => {
    const writer = stream.writable.getWriter();
    for (;;) {
      await writer.write(new Uint8Array(PIECE_BYTES));
      written += PIECE_BYTES;
    }
  });
  await openPage({ withPeer: true });
  await evaluate(async () => {
    const stream = await session.open("source/1");
    const reader = stream.readable.getReader();
    await reader.read();
    Object.assign(globalThis, { stream, reader });
  });
  // The writer comes to rest: it has taken nothing more in many turns of the ping.
  let last = -1;
  while (last !== written) {
    last = written;
    await evaluate(async () => {
      const echo = await session.open("ping/1", { priority: "interactive" });
      const writer = echo.writable.getWriter();
      const reader = echo.readable.getReader();
      for (let i = 0; i < 50; i++) {
        await writer.write(new Uint8Array(8));
        await reader.read();
      }
      await writer.close();
    });
  }
  expect(written).toBeLessThan(HELD_BYTES_MAX);
  const why = await evaluate(() => {
    const { stream, reader } = globalThis as unknown as {
      stream: { reset(): void };
      reader: ReadableStreamDefaultReader<Uint8Array>;
    };
    stream.reset();
    const readOn = (): Promise<string> =>
      reader.read().then(readOn, (error: unknown) => String((error as { code?: string }).code));
    return readOn();
  });
  expect(why).toBe("stream/reset");
});

webkitTest("its identity is kept in the browser, and a page and a terminal hear each other", async () => {
  const topic = node.topic("lounge");
  const messages = topic[Symbol.asyncIterator]();
  await openPage();
  const open = (network: string): Promise<string> => PagePeer.open({ network }).then(({ id }) => id);
  const id = await evaluate(open, "kept");
  await openPage();
  expect(await evaluate(open, "kept")).toBe(id);
  await expect
    .poll(() => textOf("peerloom-chat", "[role=status]"), PATIENCE)
    .toContain("1 neighbour is here");
  const field = await element("peerloom-chat", "[aria-label=Message]");
  await field.sendKeys("Hello from WebKit", Key.ENTER);
  expect((await messages.next()).value?.value).toBe("Hello from WebKit");
  await topic.publish("Hello to WebKit");
  await expect.poll(() => textOf("peerloom-chat", "[role=log]"), PATIENCE).toContain("Hello to WebKit");
});

webkitTest("a file goes from the page to a terminal, and from a terminal to the page", async () => {
  const bytes = randomBytes(FILE_BYTES);
  const hash = createHash("sha256").update(bytes).digest("hex");
  const path = join(await temporaryFolder(), "film.bin");
  await writeFile(path, bytes);
  await openPage({ withPeer: true });
  await (await element("peerloom-share", "input[type=file]")).sendKeys(path);
  const link = (): Promise<string> =>
    element("peerloom-share", "input.link").then(
      async (found) => (await found.getAttribute("value")) ?? "",
      () => "",
    );
  await expect.poll(link, PATIENCE).toContain("#");
  const got = await node.files.get(await link()).blob();
  expect(
    createHash("sha256")
      .update(Buffer.from(await got.arrayBuffer()))
      .digest("hex"),
  ).toBe(hash);

  const { ticket } = await node.files.share(path);
  await (await element("peerloom-get", "input")).sendKeys(String(ticket), Key.ENTER);
  await expect.poll(() => textOf("peerloom-get", "[part=item] button"), PATIENCE).toBe("Get it");
  await (await element("peerloom-get", "[part=item] button")).click();
  await expect
    .poll(() => textOf("peerloom-get", "[part=item]"), PATIENCE)
    .toContain("All there and verified");
  const hashThere = await evaluate(async (text) => {
    const blob = await peer.files.get(text).blob();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }, String(ticket));
  expect(hashThere).toBe(hash);
});
