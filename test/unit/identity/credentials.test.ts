/** Credentials, invites and ban lists: who may grant what, until when, and that not a bit of them can be changed. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import {
  type Authority,
  certify,
  type Invite,
  inviteAuthority,
  inviteUrl,
  type InviteTerms,
  makeInvite,
  ownerAuthority,
  parseInvite,
  secretNetwork,
} from "../../../peer/identity/invites.ts";
import { verify } from "../../../peer/identity/verify.ts";
import { BANS_MAX, bansClaim, checkBans, encodeBans, encodeSignedBans } from "../../../shared/bans.ts";
import { toHex } from "../../../shared/bytes.ts";
import {
  ABILITIES_ALL,
  ABILITY,
  checkCredential,
  decodeChain,
  decodeGrant,
  encodeChain,
  encodeGrant,
  type Grant,
  grantClaim,
  NEVER_MS,
  refusalOf,
} from "../../../shared/credential.ts";
import {
  type NetworkName,
  networkKindOf,
  type PeerId,
  peerIdFromKey,
  requireNetworkName,
} from "../../../shared/ids.ts";
import { flipped } from "../session/support.ts";
import { countingRandom, hex, rejectionCode, seedOf } from "./support.ts";

const [owner, member, other] = (await Promise.all(
  [1, 2, 3].map((byte) => identityFromSeed(seedOf(byte))),
)) as [Identity, Identity, Identity];
const root = ownerAuthority(owner);
const { network } = root;
const nobody = (): boolean => false;

async function inviteBy(authority: Authority, terms: InviteTerms = {}, first = 7): Promise<Invite> {
  return (await makeInvite(authority, terms, "https://edge.example", countingRandom(first))).invite;
}

async function credentialBy(invite: Invite, id: PeerId = member.id): Promise<Uint8Array> {
  return certify(await inviteAuthority(invite), id);
}

const check = (bytes: Uint8Array, name: NetworkName = network): ReturnType<typeof checkCredential> =>
  checkCredential(bytes, name, verify);

/** A chain that the owner's own tools would not make. */
async function chainOf(
  ...links: readonly (readonly [Pick<Identity, "sign">, Partial<Grant> & Pick<Grant, "subject">])[]
): Promise<Uint8Array> {
  const signed = links.map(async ([by, grant]) => {
    const body = encodeGrant({
      role: "invite",
      network,
      abilities: ABILITIES_ALL,
      expiresMs: NEVER_MS,
      uses: 0,
      delegations: 0,
      ...grant,
    });
    return { body, signature: await by.sign(grantClaim(body)) };
  });
  return encodeChain(await Promise.all(signed));
}

describe("a credential", () => {
  test("says who, what, until when and by whose word", async () => {
    const terms = { abilities: ABILITY.relay, expiresMs: 5_000, uses: 3 };
    const invite = await inviteBy(root, terms);
    const { id } = await identityFromSeed(invite.seed);
    expect(await check(await credentialBy(invite))).toEqual({
      network,
      member: member.id,
      abilities: ABILITY.relay,
      expiresMs: 5_000,
      keys: [id, member.id],
      counted: [{ id, uses: 3, expiresMs: 5_000 }],
    });
  });

  test("by the owner itself needs no invite", async () => {
    expect(await check(await certify(root, member.id))).toMatchObject({
      keys: [member.id],
      expiresMs: NEVER_MS,
    });
  });

  test("is refused with any one bit changed, whole or cut short", async () => {
    const delegable = await inviteBy(root, { delegations: 1 });
    const invite = await inviteBy(await inviteAuthority(delegable), { uses: 2 }, 70);
    const credential = await credentialBy(invite);
    for (let bit = 0; bit < credential.length * 8; bit++)
      expect(await rejectionCode(check(flipped(credential, bit)))).toMatch(
        /^(network\/not-member|wire\/malformed)$/,
      );
    for (let length = 0; length < credential.length; length += 7)
      expect(await rejectionCode(check(credential.slice(0, length)))).toMatch(
        /^(network\/not-member|wire\/malformed)$/,
      );
  });

  test("of one network is none of another, nor of an open one", async () => {
    const credential = await certify(root, member.id);
    const elsewhere = ownerAuthority(other).network;
    for (const name of [elsewhere, requireNetworkName("main")])
      expect(await rejectionCode(check(credential, name))).toBe("network/not-member");
  });

  test("a relay quota is handed down, and only made smaller", async () => {
    const invite = await inviteBy(root, { relayBytesPerDay: 5_000, delegations: 1 });
    expect(await check(await credentialBy(invite))).toMatchObject({ relayBytesPerDay: 5_000 });
    const further = async (terms: InviteTerms): Promise<unknown> =>
      check(await credentialBy(await inviteBy(await inviteAuthority(invite), terms, 70)));
    expect(await further({})).toMatchObject({ relayBytesPerDay: 5_000 });
    expect(await further({ relayBytesPerDay: 1 })).toMatchObject({ relayBytesPerDay: 1 });
    expect(await rejectionCode(further({ relayBytesPerDay: 5_001 }))).toBe("network/not-allowed");
    const { id } = await identityFromSeed(invite.seed);
    const above = { subject: id, relayBytesPerDay: 5_000 };
    const key = await identityFromSeed(invite.seed);
    for (const quota of [{}, { relayBytesPerDay: 5_001 }]) {
      const chain = await chainOf([owner, above], [key, { subject: member.id, role: "member", ...quota }]);
      expect(await rejectionCode(check(chain))).toBe("network/not-member");
    }
  });

  test("without a quota it has the bytes that it had before there were any", () => {
    const body = encodeGrant({
      role: "member",
      network,
      subject: member.id,
      abilities: ABILITIES_ALL,
      expiresMs: NEVER_MS,
      uses: 0,
      delegations: 0,
    });
    expect(body[0]).toBe(0x98); // eight fields
    expect(decodeGrant(body).relayBytesPerDay).toBeUndefined();
  });

  test("grants no more than was granted", async () => {
    const [a, b] = (await Promise.all([11, 12].map((byte) => identityFromSeed(seedOf(byte))))) as [
      Identity,
      Identity,
    ];
    const limits = { subject: a.id, abilities: ABILITY.relay, expiresMs: 1_000, uses: 2, delegations: 1 };
    const allowed = { ...limits, subject: b.id, delegations: 0 };
    const end = { ...allowed, subject: member.id, role: "member", uses: 0 } as const;
    const through = (link: Partial<Grant>): Promise<Uint8Array> =>
      chainOf([owner, limits], [a, { ...allowed, ...link }], [b, end]);
    expect(await check(await through({}))).toMatchObject({ member: member.id });
    for (const more of [
      { abilities: ABILITY.relay | ABILITY.index },
      { expiresMs: 1_001 },
      { uses: 3 },
      { uses: 0 },
      { delegations: 1 },
      { role: "member" as const, uses: 0 },
    ])
      expect([more, await rejectionCode(check(await through(more)))]).toEqual([more, "network/not-member"]);
    for (const more of [{ abilities: 15 }, { expiresMs: 1_001 }, { uses: 1 }, { role: "invite" as const }]) {
      const chain = await chainOf([owner, limits], [a, { ...end, ...more }]);
      expect([more, await rejectionCode(check(chain))]).toEqual([more, "network/not-member"]);
    }
  });

  test("signed by somebody else, or in another order, is nothing", async () => {
    const end = { subject: member.id, role: "member" } as const;
    expect(await rejectionCode(check(await chainOf([other, end])))).toBe("network/not-member");
    const [first, last] = decodeChain(await credentialBy(await inviteBy(root)));
    if (first === undefined || last === undefined) throw new Error("a chain has two links");
    for (const links of [[last], [last, first], [first], [first, first, last]])
      expect(await rejectionCode(check(encodeChain(links)))).toBe("network/not-member");
    expect(await rejectionCode(check(encodeChain([])))).toBe("wire/malformed");
  });

  test("ends at its time, and with a ban of any key that it hangs on", async () => {
    const invite = await inviteBy(root, { expiresMs: 1_000 });
    const credential = await check(await credentialBy(invite));
    expect(refusalOf(credential, 999, nobody)).toBeUndefined();
    expect(refusalOf(credential, 1_000, nobody)).toBe("network/expired");
    for (const key of credential.keys)
      expect(refusalOf(credential, 0, (one) => one === key)).toBe("network/banned");
    expect(refusalOf(credential, 0, (one) => one === other.id)).toBeUndefined();
  });
});

describe("an invite", () => {
  test("comes back from its URL, whose secret is in the fragment", async () => {
    const invite = await inviteBy(root, { uses: 1 });
    const url = inviteUrl(invite);
    expect(parseInvite(url)).toEqual(invite);
    expect(parseInvite(`  ${url}\n`)).toEqual(invite);
    const { origin, pathname, search } = new URL(url);
    expect([origin, pathname, search]).toEqual(["https://edge.example", "/", ""]);
    const bare = { ...invite, edge: undefined };
    expect(inviteUrl(bare)).toMatch(/^peerloom:invite\/[\w-]+$/);
    expect(parseInvite(inviteUrl(bare))).toEqual(bare);
  });

  test("that is changed, cut or of another kind cannot be used", async () => {
    const url = inviteUrl(await inviteBy(root));
    const start = url.indexOf("=") + 1;
    for (const text of [
      "",
      "https://edge.example/",
      url.slice(0, -3),
      `${url}A`,
      "peerloom:get/abc",
      url.replace("#", "?"),
    ])
      expect(await rejectionCode((async () => parseInvite(text))())).toBe("network/invite-invalid");
    let usable = 0;
    for (let at = start; at < url.length; at++) {
      const changed = `${url.slice(0, at)}${url[at] === "A" ? "B" : "A"}${url.slice(at + 1)}`;
      const code = await rejectionCode((async () => inviteAuthority(parseInvite(changed)))());
      if (code === "nothing thrown") usable += 1;
      else expect(code).toBe("network/invite-invalid");
    }
    // The edge's address is a hint that nobody signs; all else is.
    expect(usable).toBeLessThanOrEqual(Math.ceil(("https://edge.example".length * 4) / 3) + 2);
  });

  test("may be passed on as often as it says, and grants ever less", async () => {
    let authority = await inviteAuthority(await inviteBy(root, { delegations: 2, uses: 5 }));
    expect(await rejectionCode(makeInvite(authority, { uses: 6 }, undefined, countingRandom()))).toBe(
      "network/not-allowed",
    );
    expect(await rejectionCode(makeInvite(authority, { delegations: 2 }, undefined, countingRandom()))).toBe(
      "network/not-allowed",
    );
    for (const [delegations, first] of [
      [1, 50],
      [0, 90],
    ] as const)
      authority = await inviteAuthority(await inviteBy(authority, { delegations }, first));
    const credential = await check(await certify(authority, member.id));
    expect(credential.counted.map(({ uses }) => uses)).toEqual([5, 5, 5]);
    expect(await rejectionCode(makeInvite(authority, {}, undefined, countingRandom()))).toBe(
      "network/not-allowed",
    );
  });
});

test("a secret makes the same network everywhere, and another for every name and secret", async () => {
  const main = requireNetworkName("main");
  const [one, again, name, secret] = await Promise.all([
    secretNetwork(main, "correct horse"),
    secretNetwork(main, "correct horse"),
    secretNetwork(requireNetworkName("other"), "correct horse"),
    secretNetwork(main, "correct horsf"),
  ]);
  expect(one.network).toBe(again.network);
  expect(one.psk).toEqual(again.psk);
  expect(new Set([one, name, secret].map((each) => each.network)).size).toBe(3);
  expect(new Set([one, name, secret].map(({ psk }) => toHex(psk))).size).toBe(3);
  expect(networkKindOf(one.network)).toBe("secret");
  expect(await check(await certify(one.authority, member.id), one.network)).toMatchObject({
    member: member.id,
  });
  expect(await rejectionCode(check(await certify(secret.authority, member.id), one.network))).toBe(
    "network/not-member",
  );
  expect(await rejectionCode(secretNetwork(main, ""))).toBe("usage/invalid");
});

describe("a ban list", () => {
  const signed = async (
    by: Identity,
    keys: readonly PeerId[],
    number = 1,
    name = network,
  ): Promise<Uint8Array> => {
    const body = encodeBans({ network: name, number, keys: new Set(keys) });
    return encodeSignedBans(body, await by.sign(bansClaim(body)));
  };

  test("is the owner's, numbered, and of one network", async () => {
    const list = await checkBans(await signed(owner, [other.id, member.id], 4), network, verify);
    expect(list).toEqual({ network, number: 4, keys: new Set([other.id, member.id]) });
    const { network: elsewhere } = ownerAuthority(other);
    const secret = await secretNetwork(requireNetworkName("main"), "shared");
    const forged: readonly (readonly [Uint8Array, NetworkName])[] = [
      [await signed(other, [member.id]), network],
      [await signed(owner, [member.id]), elsewhere],
      [await signed(other, [member.id], 1, network), elsewhere],
      [await signed(owner, [member.id], 1, secret.network), secret.network],
    ];
    for (const [bytes, name] of forged)
      expect(await rejectionCode(checkBans(bytes, name, verify))).toBe("network/not-owner");
  });

  test("with any one bit changed is nobody's", async () => {
    const list = await signed(owner, [member.id]);
    for (let bit = 0; bit < list.length * 8; bit++)
      expect(await rejectionCode(checkBans(flipped(list, bit), network, verify))).toMatch(
        /^(network\/not-owner|wire\/malformed|wire\/too-large)$/,
      );
  });

  test("as long as it may be fits a message, and a longer one is refused", async () => {
    const keys = Array.from({ length: BANS_MAX + 1 }, (_, i) =>
      peerIdFromKey(Uint8Array.from({ length: 32 }, (_x, at) => (at < 2 ? i >> (8 * at) : 9) & 0xff)),
    );
    expect((await checkBans(await signed(owner, keys.slice(1)), network, verify)).keys.size).toBe(BANS_MAX);
    expect(await rejectionCode(checkBans(await signed(owner, keys), network, verify))).toMatch(/^wire\//);
  });
});

test("the vectors of WIRE.md", async () => {
  const text = readFileSync(new URL("../vectors/membership.json", import.meta.url), "utf8");
  const vectors = JSON.parse(text) as Readonly<Record<string, string>>;
  const invite = await inviteBy(root, { uses: 3, expiresMs: 1_800_000_000_000 });
  const credential = await credentialBy(invite);
  const bans = encodeBans({ network, number: 2, keys: new Set([member.id]) });
  const made = {
    network,
    credential: toHex(credential),
    inviteUrl: inviteUrl(invite),
    bans: toHex(encodeSignedBans(bans, await owner.sign(bansClaim(bans)))),
  };
  expect(made).toEqual(vectors);
  expect((await check(hex(vectors["credential"] ?? ""))).member).toBe(member.id);
});
