/** What befalls a page that people leave: it is put away, frozen and brought back, or cut from the network. Sessions outlive it. */
import type { CDPSession, Page } from "playwright-core";
import { expect } from "vitest";
import type { Peer, Session } from "../../peer/node.ts";
import type { Browser } from "./browsers.ts";
import { browserTest, chromiumTest, Stage } from "./stage.ts";

let node: Peer;
let tabs: Browser;
const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "life" });
  tabs = await stage.startBrowserWithTabs();
});

/** The runtime and what the page's own code holds. */
declare const document: EventTarget & { readonly visibilityState: string };
declare const PagePeer: typeof Peer;
declare let peer: Peer;
declare let session: Session;
declare let seen: { readonly edge: boolean[]; readonly states: string[]; pageshow: boolean | undefined };

/** A page with a session to the Node peer, in which what Node writes is echoed. */
async function openPage(only?: "relay" | "direct", browser: Browser = stage.browser): Promise<Page> {
  const page = await stage.openPage(browser);
  await page.evaluate(
    async ({ id, options }) => {
      peer = await PagePeer.open(options);
      seen = { edge: [], states: [], pageshow: undefined };
      for (const name of ["freeze", "resume", "visibilitychange"])
        document.addEventListener(name, () => seen.states.push(`${name} ${document.visibilityState}`));
      peer.addEventListener("edge", (event) => {
        seen.edge.push((event as CustomEvent<{ connected: boolean }>).detail.connected);
      });
      addEventListener("pageshow", (event) => {
        seen.pageshow = (event as Event & { readonly persisted: boolean }).persisted;
      });
      peer.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
      session = await peer.connect(id);
    },
    { id: node.id, options: { network: "life", iceServers: [], ...(only && { only }) } },
  );
  return page;
}

/** A stream to the page that is opened before something happens, and used before and after. */
async function openEcho(page: Page): Promise<(text: string) => Promise<string>> {
  const id = await page.evaluate(() => peer.id);
  const stream = await (await node.connect(id)).open("echo/1");
  const writer = stream.writable.getWriter();
  const reader = stream.readable
    .pipeThrough(new TextDecoderStream() as never)
    .getReader() as ReadableStreamDefaultReader<string>;
  return async (text) => {
    await writer.write(new TextEncoder().encode(text));
    let came = "";
    while (came.length < text.length) came += (await reader.read()).value ?? "";
    return came;
  };
}

function debugOf(page: Page): Promise<CDPSession> {
  return page.context().newCDPSession(page);
}

/** Resolves when the Node peer's session with the page has no path, or has one. */
async function pathIs(peerId: string, isThere: boolean): Promise<void> {
  const session = node.sessions().find((each) => each.peerId === peerId);
  if (session === undefined) throw new Error("there is no session");
  while ((session.path.kind !== "none") !== isThere)
    await new Promise((resolve) => session.addEventListener("path", resolve, { once: true }));
}

// Firefox keeps no page that has a WebSocket open.
chromiumTest(
  "a page that is put away keeps its memory, and comes back with its identity and its sessions",
  async () => {
    const page = await openPage();
    const echo = await openEcho(page);
    expect(await echo("before")).toBe("before");
    const id = await page.evaluate(() => peer.id);
    await page.goto(`${stage.edge.url}/health`);
    await pathIs(id, false);
    await page.goBack({ waitUntil: "commit" });
    expect(await page.evaluate(() => seen.pageshow)).toBe(true);
    expect(await echo("after")).toBe("after");
    expect(await page.evaluate(() => [peer.id, session.path.kind !== "none"])).toEqual([id, true]);
    // The identity is held again: a second tab gets another one.
    const second = await openPage();
    expect(await second.evaluate(() => peer.id)).not.toBe(id);
    await second.close();
    await page.close();
  },
);

chromiumTest("a page that comes back online is at the edge again at once", async () => {
  const page = await openPage("relay");
  const echo = await openEcho(page);
  expect(await echo("before")).toBe("before");
  const debug = await debugOf(page);
  await debug.send("Network.enable");
  const offline = async (is: boolean): Promise<unknown> =>
    debug.send("Network.emulateNetworkConditions", {
      offline: is,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    });
  await offline(true);
  const after = echo("written while it was offline");
  await offline(false);
  expect(await after).toBe("written while it was offline");
  await page.close();
});

chromiumTest.for(["relay", "direct"] as const)(
  "a page in the background goes on, and one that was frozen there goes on when it thaws, %s only",
  async (only) => {
    const page = await openPage(only, tabs);
    const id = await page.evaluate(() => peer.id);
    const echo = await openEcho(page);
    expect(await echo("in front")).toBe("in front");
    const front = await tabs.open(`${stage.edge.url}/health`);
    await front.bringToFront();
    await page.waitForFunction(() => document.visibilityState === "hidden");
    for (let i = 0; i < 20; i++) expect(await echo(`behind ${i}`)).toBe(`behind ${i}`);

    const debug = await debugOf(page);
    await debug.send("Page.setWebLifecycleState", { state: "frozen" });
    const across = echo("written while it was frozen");
    // It answers nothing, so that the path is given up; the session is not.
    await pathIs(id, false);
    await debug.send("Page.setWebLifecycleState", { state: "active" });
    expect(await across).toBe("written while it was frozen");
    expect(await page.evaluate(() => seen.states)).toEqual([
      "visibilitychange hidden",
      "freeze hidden",
      "resume hidden",
    ]);
    expect(await page.evaluate(() => peer.id)).toBe(id);
    await front.close();
    await page.close();
  },
);

browserTest.for(["relay", "direct"] as const)("a page that is closed says goodbye, %s only", async (only) => {
  const page = await openPage(only);
  const id = await page.evaluate(() => peer.id);
  const session = await node.connect(id);
  const closed = new Promise<string>((resolve) =>
    session.addEventListener("close", (event) => resolve((event as CustomEvent<string>).detail), {
      once: true,
    }),
  );
  await page.close();
  expect(await closed).toBe("session/closed");
});
