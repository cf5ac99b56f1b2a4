/** Pairs that cannot reach each other and have no edge: others forward their sealed bytes. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { NodePeerOptions, Peer, Session } from "../../peer/node.ts";
import { bootstrapOf, checkEcho, codeOf, linkedTo, openPeer, pathOf } from "./peers.ts";

/** Nobody can dial it, and it has no WebRTC. */
function hidden(...through: readonly Peer[]): Promise<Peer> {
  const bootstrap = through.flatMap((peer) => bootstrapOf(peer));
  return openPeer({ edge: null, webrtc: false, bootstrap });
}

function listening(options: NodePeerOptions = {}): Promise<Peer> {
  return openPeer({ edge: null, webrtc: false, listen: "127.0.0.1:0", ...options });
}

test("two that nobody can dial, without WebRTC and without an edge, speak through a third", async () => {
  const third = await listening();
  const [a, b] = await Promise.all([hidden(third), hidden(third)]);
  await Promise.all([linkedTo(a, 1), linkedTo(b, 1)]);
  const session = await a.connect(b.id);
  expect(session.path).toMatchObject({ kind: "overlay", transport: "overlay" });
  await checkEcho(session, randomBytes(1_500_000));
  expect(session.bytesReceived.overlay).toBeGreaterThanOrEqual(1_500_000);
  expect(session.path.kind).toBe("overlay");
  expect(third.sessions()).toHaveLength(2);
});

test("when the one in between dies, another takes its place and nothing is lost", async () => {
  const [first, second] = await Promise.all([listening(), listening()]);
  const [a, b] = await Promise.all([hidden(first, second), hidden(first, second)]);
  await Promise.all([linkedTo(a, 2), linkedTo(b, 2)]);
  const session = await a.connect(b.id);
  const forwarder = [first, second].find(({ id }) =>
    session.path.description.includes(id.slice(0, 8)),
  ) as Peer;
  await checkEcho(session, randomBytes(10_000));
  await forwarder.close();
  await pathOf(
    session,
    ({ kind, description }) => kind === "overlay" && !description.includes(forwarder.id.slice(0, 8)),
  );
  await checkEcho(session, randomBytes(10_000));
  expect(a.sessions().find(({ peerId }) => peerId === b.id)).toBe(session);
});

test("who does not consent is not used, and where nobody does there is no path", async () => {
  const third = await listening({ forward: false });
  const [a, b] = await Promise.all([hidden(third), hidden(third)]);
  await Promise.all([linkedTo(a, 1), linkedTo(b, 1)]);
  expect(await codeOf(a.connect(b.id))).toBe("connect/no-path");
});

test("a session that was forwarded moves to a direct path as soon as there is one", async () => {
  const third = await listening();
  const a = await openPeer({ edge: null, bootstrap: bootstrapOf(third) });
  const b = await openPeer({ edge: null, bootstrap: bootstrapOf(third) });
  await Promise.all([linkedTo(a, 1), linkedTo(b, 1)]);
  const session: Session = await a.connect(b.id);
  await pathOf(session, ({ transport }) => transport === "webrtc");
  await checkEcho(session, randomBytes(100_000));
});

test("a target that its forwarder is not linked to, and junk, are refused", async () => {
  const third = await listening();
  const a = await hidden(third);
  await linkedTo(a, 1);
  const through = a.sessions()[0] as Session;
  for (const bytes of [new Uint8Array(32), randomBytes(32), randomBytes(5)]) {
    const stream = await through.open("forward/1");
    const writer = stream.writable.getWriter();
    await writer.write(Uint8Array.from(bytes));
    if (bytes.length < 32) await writer.close().catch(() => {}); // It may be refused before.
    await stream.closed;
  }
  expect(through.closed).toBe(false);
});
