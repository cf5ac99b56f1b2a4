/** A feed between a page and a peer outside: the page reads, writes, and has it all again after a reload. */
import { expect } from "vitest";
import type { Peer } from "../../peer/node.ts";
import { feedUntil } from "../integration/feed-state.ts";
import { browserTest, Stage } from "./stage.ts";

let outside: Peer;
const stage = Stage.set(async () => {
  outside = await stage.openPeer({ network: "pages", listen: "127.0.0.1:0" });
});

browserTest("a page reads and writes a feed, and keeps it", async () => {
  const page = await stage.browser.open(stage.edge.url);
  const open = async (): Promise<string> => {
    // As text: the test runner rewrites an import() in code.
    await page.evaluate('import("/peer.js").then(({ Peer }) => { globalThis.PagePeer = Peer; })');
    return page.evaluate(async () => {
      const opened = await PagePeer.open({ network: "pages", iceServers: [] });
      Object.assign(globalThis, { peer: opened });
      return opened.id;
    });
  };
  const id = await open();
  const feed = await outside.feeds.open("guests", { writers: [outside.id, id] });
  await Promise.all(Array.from({ length: 700 }, (_, i) => feed.append(i)));
  const seen = await page.evaluate(async (address) => {
    const guests = await peer.feeds.open(address);
    while (guests.length < 700)
      await new Promise((resolve) => guests.addEventListener("head", resolve, { once: true }));
    const entry = await guests.append("from a page");
    return { length: guests.length, seq: entry.seq, links: entry.links.length };
  }, feed.address);
  expect(seen).toEqual({ length: 701, seq: 0, links: 1 });
  await feedUntil(feed, ({ length }) => length === 701);
  expect((await feed.get(id, 0))?.value).toBe("from a page");
  await page.evaluate(() => peer.close());
  await feed.close();
  await page.reload();
  expect(await open()).toBe(id);
  // Nobody else has it open now: what is there comes from IndexedDB.
  const again = await page.evaluate(async (address) => {
    const kept = await peer.feeds.open(address);
    const { seq } = await kept.append("again");
    return { length: kept.length, seq, first: (await kept.get(kept.writers[0] ?? "", 0))?.value };
  }, feed.address);
  expect(again).toMatchObject({ length: 702, seq: 1 });
});

/** The runtime and the peer that the page's own code holds. */
declare const PagePeer: typeof Peer;
declare const peer: Peer;
