/** A session whose relay channel is held back: it begins on signals, and the channel takes over. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { checkEcho, openPeer, Transfer } from "./peers.ts";
import { WebSocketProxy } from "./websocket-proxy.ts";

async function openHeldBack(): Promise<{ readonly proxy: WebSocketProxy; readonly release: () => void }> {
  const proxy = await WebSocketProxy.open();
  const { promise, resolve } = Promise.withResolvers<void>();
  proxy.change = async ({ path, bytes }) => {
    if (path.includes("/relay/")) await promise;
    return bytes;
  };
  return { proxy, release: resolve };
}

test("the first bytes do not wait for the channel; bulk does, and then passes whole without a moment of no path", async () => {
  const { proxy, release } = await openHeldBack();
  const a = await openPeer({ edge: proxy.url, only: "relay" });
  const b = await openPeer({ edge: proxy.url, only: "relay" });
  const session = await a.connect(b.id);
  expect(session.path).toMatchObject({ kind: "relay", transport: "relay" });
  await checkEcho(session, randomBytes(1_000));
  const told: string[] = [];
  for (const each of [session, ...b.sessions()])
    each.addEventListener("path", () => told.push(each.path.kind));
  const transfer = await Transfer.begin(session, b);
  const writing = transfer.write(3);
  release();
  await writing;
  await transfer.finish();
  expect(session.path.description).toMatch(/^relay /);
  expect(told).not.toContain("none");
});

test("two that dial each other at once have one session each, before the channel and after", async () => {
  const { proxy, release } = await openHeldBack();
  const a = await openPeer({ edge: proxy.url, only: "relay" });
  const b = await openPeer({ edge: proxy.url, only: "relay" });
  const [there, back] = await Promise.all([a.connect(b.id), b.connect(a.id)]);
  await Promise.all([checkEcho(there, randomBytes(1_000)), checkEcho(back, randomBytes(1_000))]);
  release();
  await Promise.all([checkEcho(there, randomBytes(500_000)), checkEcho(back, randomBytes(500_000))]);
  expect([a.sessions(), b.sessions()].map((sessions) => sessions.length)).toEqual([1, 1]);
});
