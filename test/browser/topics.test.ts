/** A page and a Node peer in one topic: each hears the other, the past and questions too, and goes on when the edge is gone. */
import { expect } from "vitest";
import type { Peer, Topic } from "../../peer/node.ts";
import { browserTest, Stage } from "./stage.ts";

let node: Peer;
const stage = Stage.set(async () => {
  node = await stage.openPeer({ network: "talkers", listen: "127.0.0.1:0" });
});

browserTest("a page and a Node peer hear each other", { timeout: 60_000 }, async () => {
  const topic = node.topic("room", { answer: ({ value }) => `node heard ${JSON.stringify(value)}` });
  const messages = topic[Symbol.asyncIterator]();
  await topic.publish("before the page came");

  const page = await stage.openPage();
  await page.evaluate(
    async (options) => {
      const peer = await PagePeer.open(options);
      const opened = peer.topic("room", { history: 5, order: "sender" });
      Object.assign(globalThis, { room: opened, heard: opened[Symbol.asyncIterator]() });
    },
    { edge: stage.edge.url, network: "talkers", identity: "fresh", iceServers: [] } as const,
  );
  const atPage = (): Promise<unknown> =>
    page.evaluate(async () => {
      const { value } = await heard.next();
      return value === undefined ? "over" : [value.from, value.value, value.isPast];
    });
  expect(await atPage()).toEqual([node.id, "before the page came", true]);
  await topic.publish({ bytes: 3, list: [1, null] });
  expect(await atPage()).toEqual([node.id, { bytes: 3, list: [1, null] }, false]);

  await stage.edge.stop();
  const large = "x".repeat(200_000);
  const published = await page.evaluate((text) => room.publish(text), large);
  expect(published).toBe(1);
  expect((await messages.next()).value).toMatchObject({ value: large, isPast: false });
  const replies = await page.evaluate(async () => {
    const values: unknown[] = [];
    for await (const { value } of room.ask("who?", { limit: 1 })) values.push(value);
    return values;
  });
  expect(replies).toEqual(['node heard "who?"']);
});

/** The runtime, the topic and its reader that the page's own code holds. */
declare const PagePeer: typeof Peer;
declare const room: Topic;
declare const heard: ReturnType<Topic[typeof Symbol.asyncIterator]>;
