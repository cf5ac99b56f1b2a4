/** Who is let into sessions of a private network, and for how long: by the handshake itself, on a clock that the test sets. */
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import {
  type Authority,
  certify,
  inviteAuthority,
  type InviteTerms,
  makeInvite,
  ownerAuthority,
  secretNetwork,
} from "../../../peer/identity/invites.ts";
import { type InviteUse, NetworkKeys } from "../../../peer/identity/network-keys.ts";
import { verify } from "../../../peer/identity/verify.ts";
import type { KeyValueStorage, StoredValue } from "../../../peer/runtime.ts";
import { Admission, type AdmissionOptions } from "../../../peer/session/admission.ts";
import { acceptHello, beginHello, type HandshakeContext } from "../../../peer/session/handshake.ts";
import { bansClaim, checkBans, emptyBans, encodeBans, encodeSignedBans } from "../../../shared/bans.ts";
import { parseFrame } from "../../../shared/frame.ts";
import { type PeerId, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";
import { countingRandom, rejectionCode, seedOf } from "../identity/support.ts";

const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
const [owner, alice, bob, carol] = (await Promise.all(
  [1, 2, 3, 4].map((byte) => identityFromSeed(seedOf(byte))),
)) as [Identity, Identity, Identity, Identity];
const root = ownerAuthority(owner);

/** The time in the tests' networks. */
let nowMs = 0;
const clock = { nowMs: (): number => nowMs };

async function memberBy(
  identity: Identity,
  authority: Authority = root,
  psk?: Uint8Array,
  Kind: typeof Admission = Admission,
): Promise<HandshakeContext> {
  const { network } = authority;
  const credential = await certify(authority, identity.id);
  const admission = new Kind({ network, clock, credential, psk, bans: emptyBans(network) });
  return { runtime, identity, network, instance: identity.publicKey.slice(0, 8), admission };
}

async function invited(terms: InviteTerms, first = 1): Promise<Authority> {
  return inviteAuthority((await makeInvite(root, terms, undefined, countingRandom(first))).invite);
}

/** A stranger's own side lets everybody in. */
class Gullible extends Admission {
  override admit(): Promise<void> {
    return Promise.resolve();
  }
}

/** One dials, the other answers. @returns what the acceptor and then the dialler made of it */
async function meet(
  dialler: HandshakeContext,
  acceptor: HandshakeContext,
): Promise<readonly [string, string]> {
  const hello = await beginHello(dialler, acceptor.identity.id);
  const frame = parseFrame(hello.frame);
  if (frame.type !== "hello") throw new Error("a hello is expected");
  const { noise } = frame;
  const accepted = await rejectionCode(acceptHello(acceptor, noise));
  if (accepted !== "nothing thrown") return [accepted, "-"];
  const { finish } = await acceptHello(acceptor, noise);
  return ["in", (await rejectionCode(hello.finish((await finish()).answer))).replace("nothing thrown", "in")];
}

async function banned(
  context: HandshakeContext,
  keys: readonly PeerId[],
  number = 1,
): Promise<boolean | undefined> {
  const body = encodeBans({ network: root.network, number, keys: new Set(keys) });
  const list = await checkBans(
    encodeSignedBans(body, await owner.sign(bansClaim(body))),
    root.network,
    verify,
  );
  return context.admission?.adopt(list);
}

describe("a network with an owner", () => {
  test("members meet, whoever of them dials, and know what the other may do", async () => {
    const [a, b] = [await memberBy(alice, await invited({ abilities: 1 })), await memberBy(bob)];
    expect(await meet(a, b)).toEqual(["in", "in"]);
    expect(await meet(b, a)).toEqual(["in", "in"]);
    expect([b.admission?.abilitiesOf(alice.id), a.admission?.abilitiesOf(bob.id)]).toEqual([1, 15]);
    expect([b.admission?.abilitiesOf(carol.id), b.admission?.refusalOf(carol.id)]).toEqual([
      0,
      "network/not-member",
    ]);
  });

  test("a stranger gets in neither by dialling nor by being dialled, whatever it shows", async () => {
    const b = await memberBy(bob);
    const bare = { ...b, identity: carol, admission: undefined };
    const borrowed = { ...(await memberBy(bob, root, undefined, Gullible)), identity: carol };
    const forged = await memberBy(carol, { ...root, key: carol }, undefined, Gullible);
    for (const stranger of [bare, borrowed, forged]) {
      expect(await meet(stranger, b)).toEqual(["network/not-member", "-"]);
      expect(await meet(b, stranger)).toEqual(["in", "network/not-member"]);
    }
  });

  test("a membership ends when its invite does", async () => {
    nowMs = 0;
    const [a, b] = [await memberBy(alice, await invited({ expiresMs: 1_000 })), await memberBy(bob)];
    expect(await meet(a, b)).toEqual(["in", "in"]);
    expect(b.admission?.firstExpiryMs([alice.id, carol.id])).toBe(1_000);
    nowMs = 999;
    expect(b.admission?.refusalOf(alice.id)).toBeUndefined();
    nowMs = 1_000;
    expect(b.admission?.refusalOf(alice.id)).toBe("network/expired");
    expect((await meet(a, b))[0]).toBe("network/expired");
    nowMs = 0;
  });

  test("a ban holds for who is here and for who comes; the highest number stands, and an unban lets in again", async () => {
    const invite = await invited({});
    const [a, b] = [await memberBy(alice, invite), await memberBy(bob)];
    expect(await meet(a, b)).toEqual(["in", "in"]);
    for (const key of [alice.id, invite.key.id]) {
      const number = (b.admission?.bans.number ?? 0) + 1;
      expect(await banned(b, [key], number)).toBe(true);
      expect(await banned(b, [], number)).toBe(false);
      expect(b.admission?.refusalOf(alice.id)).toBe("network/banned");
      expect((await meet(a, b))[0]).toBe("network/banned");
      expect((await meet(b, a))[1]).toBe("network/banned");
    }
    expect(await banned(b, [], 9)).toBe(true);
    expect(await meet(a, b)).toEqual(["in", "in"]);
    expect(a.admission?.bansKnownTo(bob.id)).toBe(9);
  });

  test("without an edge each peer counts an invite by whom it has seen first", async () => {
    const once = await invited({ uses: 1 });
    const b = await memberBy(bob);
    const [first, second] = [await memberBy(alice, once), await memberBy(carol, once)];
    expect(await meet(first, b)).toEqual(["in", "in"]);
    expect((await meet(second, b))[0]).toBe("network/invite-used");
    expect(await meet(first, b)).toEqual(["in", "in"]);
    // Somebody else has seen neither: this is what no peer can know by itself.
    expect(await meet(second, await memberBy(owner))).toEqual(["in", "in"]);
  });
});

describe("uses of an invite outlive a restart", () => {
  const files = new Map<string, StoredValue>();
  const storage: KeyValueStorage = {
    get: async (key) => files.get(key),
    set: async (key, value) => void files.set(key, value),
  };
  const keys = new NetworkKeys(storage);

  /** What Bob's peer is after it was started again. */
  async function restarted(keepUses: AdmissionOptions["keepUses"]): Promise<HandshakeContext> {
    const [bare, { network }] = [await memberBy(bob), root];
    const credential = await certify(root, bob.id);
    const uses = await keys.uses(network);
    const options = { network, clock, credential, bans: emptyBans(network), uses };
    return { ...bare, admission: new Admission({ ...options, ...(keepUses && { keepUses }) }) };
  }
  const keep: AdmissionOptions["keepUses"] = (uses) => keys.keepUses(root.network, uses);

  test("so that one for one brings one, and whom it brought comes again", async () => {
    const once = await invited({ uses: 1 });
    const [first, second] = [await memberBy(alice, once), await memberBy(carol, once)];
    expect(await meet(first, await restarted(keep))).toEqual(["in", "in"]);
    expect((await meet(second, await restarted(keep)))[0]).toBe("network/invite-used");
    expect(await meet(first, await restarted(keep))).toEqual(["in", "in"]);
    const other = await invited({ uses: 1 }, 9);
    expect(await meet(await memberBy(carol, other), await restarted(keep))).toEqual(["in", "in"]);
    for (const [authority, member] of [
      [once, carol],
      [other, alice],
    ] as const)
      expect((await meet(await memberBy(member, authority), await restarted(keep)))[0]).toBe(
        "network/invite-used",
      );
  });

  test("the latest thousand of them", async () => {
    const many = await invited({ uses: 1_000 }, 33);
    const before = Array.from({ length: 1_024 }, (_, index): InviteUse => {
      const key = new Uint8Array(32);
      new DataView(key.buffer).setUint16(0, index);
      return [many.key.id, peerIdFromKey(key)];
    });
    await keys.keepUses(root.network, before);
    expect(await keys.uses(root.network)).toEqual(before);
    const once = await invited({ uses: 1 }, 34);
    expect(await meet(await memberBy(alice, once), await restarted(keep))).toEqual(["in", "in"]);
    expect(await keys.uses(root.network)).toEqual([...before.slice(1), [once.key.id, alice.id]]);
  });

  test("and a disk that fails keeps nobody out", async () => {
    const once = await invited({ uses: 1 }, 17);
    const b = await restarted(() => Promise.reject(new Error("full")));
    expect(await meet(await memberBy(alice, once), b)).toEqual(["in", "in"]);
    expect((await meet(await memberBy(carol, once), b))[0]).toBe("network/invite-used");
  });
});

describe("a network by secret", async () => {
  const main = requireNetworkName("main");
  const [right, wrong] = await Promise.all([secretNetwork(main, "right"), secretNetwork(main, "wrong")]);

  test("who has the secret is in", async () => {
    const [a, b] = [
      await memberBy(alice, right.authority, right.psk),
      await memberBy(bob, right.authority, right.psk),
    ];
    expect(await meet(a, b)).toEqual(["in", "in"]);
  });

  test("who knows the name and a member's id, and not the secret, is out with its first message", async () => {
    const b = await memberBy(bob, right.authority, right.psk);
    const stranger = await memberBy(alice, { ...wrong.authority, network: right.network }, wrong.psk);
    const bare = { ...stranger, admission: undefined };
    for (const one of [stranger, bare]) {
      expect((await meet(one, b))[0]).toBe("session/handshake-failed");
      expect((await meet(b, one))[0]).toBe("session/handshake-failed");
    }
  });
});
