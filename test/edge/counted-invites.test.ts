/** Invites with a use count, as the first rendezvous object of a network remembers them: many, for life, and no longer than that has a use. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { meteredKv } from "../../edge/metered-kv.ts";
import { ENDED_FORGOTTEN_MAX, INVITES_OF_GROUP_MAX, NetworkBook } from "../../edge/network-book.ts";
import { NEVER_MS } from "../../shared/credential.ts";
import { type PeerId, peerIdFromKey } from "../../shared/ids.ts";
import { decodeFromRendezvous } from "../../shared/messages.ts";
import { makeIdentity, type TestIdentity } from "./harness.ts";
import { OwnedNetwork, refusalOf } from "./owned-network.ts";

/** Keys of one group: they begin alike. */
function alike(count: number): PeerId[] {
  return Array.from({ length: count }, (_, index) => {
    const key = crypto.getRandomValues(new Uint8Array(32));
    key.set([7, 7, index >> 8, index & 255]);
    return peerIdFromKey(key);
  });
}

function inBook<Result>(
  net: OwnedNetwork,
  act: (book: NetworkBook) => Result | Promise<Result>,
): Promise<Result> {
  const stub = env.RENDEZVOUS.getByName(`${net.network}/0`);
  return runInDurableObject(stub, async (_, { storage }) => act(new NetworkBook(storage)));
}

async function single(net: OwnedNetwork, invite: TestIdentity, who: TestIdentity): Promise<Uint8Array> {
  return net.chain({ who: invite, uses: 1 }, { who });
}

test("a network takes many thousands of them in its life", async () => {
  const net = await OwnedNetwork.make();
  const nowMs = Date.now();
  await inBook(net, async (book) => {
    for (let index = 0; index < 5_000; index++) {
      const [id, member] = [peerIdFromKey(crypto.getRandomValues(new Uint8Array(32))), alike(1)[0] as PeerId];
      const refusal = await book.use(net.network, [{ id, uses: 1, expiresMs: NEVER_MS }], member, nowMs);
      if (refusal !== undefined) throw new Error(`${index}: ${refusal}`);
    }
  });
  const [invite, first, second] = [await makeIdentity(), await makeIdentity(), await makeIdentity()];
  await net.join(first, await single(net, invite, first));
  const refused = await net.challenged(second, await single(net, invite, second));
  await refused.join();
  expect(await refusalOf(refused.ear)).toBe("network/invite-used");
});

test("a full group forgets those that have ended or were revoked, and none that is used up", async () => {
  const net = await OwnedNetwork.make();
  const nowMs = Date.now();
  const [old, revoked, ...more] = alike(INVITES_OF_GROUP_MAX + 5);
  const [member, other] = [(await makeIdentity()).id, (await makeIdentity()).id];
  const signed = await net.bans([revoked as PeerId]);
  await inBook(net, async (book) => {
    const use = (id: PeerId | undefined, who = member, expiresMs = NEVER_MS): Promise<unknown> =>
      book.use(net.network, [{ id: id as PeerId, uses: 1, expiresMs }], who, nowMs);
    await use(old, member, nowMs + 1_000);
    await use(revoked);
    for (const id of more.slice(0, INVITES_OF_GROUP_MAX - 2)) expect(await use(id)).toBeUndefined();
    const [next, after, last] = more.slice(INVITES_OF_GROUP_MAX - 2);
    expect(await use(next)).toBe("network/too-many-invites");
    expect(await use(more[0])).toBeUndefined(); // it is in already
    expect(await use(more[0], other)).toBe("network/invite-used");
    const later = await book.laterBans(signed, net.network);
    expect(later !== undefined && book.keepBans(later, signed)).toBe(true);
    expect(await use(next)).toBeUndefined();
    expect(await use(after)).toBe("network/too-many-invites");
    const pastMs = nowMs + 2_000;
    const at = (id: PeerId | undefined): Promise<unknown> =>
      book.use(net.network, [{ id: id as PeerId, uses: 1, expiresMs: NEVER_MS }], member, pastMs);
    expect([await at(after), await at(last)]).toEqual([undefined, "network/too-many-invites"]);
    expect(await use(next, other)).toBe("network/invite-used");
  });
});

test("invites that have ended go with those that come, two at a time, and each row is in the account", async () => {
  const net = await OwnedNetwork.make();
  const nowMs = Date.now();
  const ids = alike(9);
  const { id: member } = await makeIdentity();
  await runInDurableObject(env.RENDEZVOUS.getByName(`${net.network}/0`), async (_, { storage }) => {
    let written = 0;
    const kv = meteredKv(storage.kv, ({ rowsWritten = 0 }) => (written += rowsWritten));
    const book = new NetworkBook({ kv });
    const use = async (index: number, atMs: number, expiresMs: number): Promise<readonly number[]> => {
      const counted = [{ id: ids[index] as PeerId, uses: 1, expiresMs }];
      written = 0;
      expect(await book.use(net.network, counted, member, atMs)).toBeUndefined();
      return [[...storage.kv.list({ prefix: "used:" })].length, written];
    };
    for (let index = 0; index < 5; index++)
      expect(await use(index, nowMs, nowMs + 1_000)).toEqual([index + 1, 1]);
    const laterMs = nowMs + 1_000;
    expect(await use(5, laterMs, NEVER_MS)).toEqual([5 - ENDED_FORGOTTEN_MAX + 1, 1 + ENDED_FORGOTTEN_MAX]);
    expect(await use(6, laterMs, NEVER_MS)).toEqual([3, 1 + ENDED_FORGOTTEN_MAX]);
    expect(await use(7, laterMs, NEVER_MS)).toEqual([3, 2]);
    expect(await use(8, laterMs, NEVER_MS)).toEqual([4, 1]);
    // Who was counted is not counted again, and nothing is listed for it.
    expect(await use(8, laterMs, NEVER_MS)).toEqual([4, 0]);
  });
});

test("who is one too many is told what to do", async () => {
  const net = await OwnedNetwork.make();
  const [invite, who] = [await makeIdentity(), await makeIdentity()];
  await net.member();
  const rest = (count: number): PeerId[] =>
    alike(count).map((id) => (invite.id.slice(0, 2) + id.slice(2)) as PeerId);
  await inBook(net, async (book) => {
    for (const id of rest(INVITES_OF_GROUP_MAX))
      await book.use(net.network, [{ id, uses: 1, expiresMs: NEVER_MS }], who.id, Date.now());
  });
  const peer = await net.challenged(who, await single(net, invite, who));
  await peer.join();
  const message = decodeFromRendezvous(new Uint8Array((await peer.ear.next()) as ArrayBuffer));
  expect(message).toMatchObject({
    kind: "error",
    code: "network/too-many-invites",
    message: expect.stringContaining("without a use count") as string,
  });
  expect(await peer.ear.closed()).toMatchObject({ code: 1008, reason: "network/too-many-invites" });
});

test("two who come at once with one invite for one are not both let in", async () => {
  const net = await OwnedNetwork.make();
  const invite = await makeIdentity();
  const peers = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const who = await makeIdentity();
      return net.challenged(who, await single(net, invite, who));
    }),
  );
  await Promise.all(peers.map((peer) => peer.join()));
  const answers = await Promise.all(
    peers.map(
      async ({ ear }) => decodeFromRendezvous(new Uint8Array((await ear.next()) as ArrayBuffer)).kind,
    ),
  );
  expect(answers.toSorted()).toEqual(["error", "error", "error", "joined"]);
});
