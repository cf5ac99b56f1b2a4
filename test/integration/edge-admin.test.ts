/** `edge admin` against a real edge: what the network's owner is told of members and bans, and that nobody else is. */
import { expect, test } from "vitest";
import { networks } from "../../peer/node.ts";
import { finish, temporaryFolder } from "./command.ts";
import { codeOf, openEdge, openPeer } from "./peers.ts";

test("the owner sees who is at the edge and who is banned there, through ban and unban; a member is refused", async () => {
  const data = await temporaryFolder();
  const network = await networks({ dataDir: data }).create();
  const { url: edge } = await openEdge();
  const { url: invite, id: by } = await networks({ dataDir: data }).invite(network, { edge });
  const membersData = await temporaryFolder();
  const member = await openPeer({ invite, dataDir: membersData, webrtc: false });
  const admin = async (dataDir: string): Promise<readonly Record<string, unknown>[]> =>
    (await finish(["edge", "admin", "--edge", edge, "--network", network, "--data", dataDir])).events;
  const words = ["--edge", edge, "--network", network, "--data", data, "--no-lan"];

  expect(await admin(data)).toMatchObject([
    { event: "member", id: member.id, invites: [by] },
    { event: "done", members: 1, more: 0, bans: 0 },
  ]);
  expect(await admin(membersData)).toMatchObject([{ event: "error", code: "network/not-owner" }]);

  expect((await finish(["ban", member.id, ...words])).events.at(-1)).toMatchObject({
    event: "banned",
    edge: true,
  });
  expect((await admin(data)).filter(({ event }) => event !== "member")).toMatchObject([
    { event: "ban", id: member.id },
    { event: "done", bans: 1 },
  ]);
  const back = { network, edge, dataDir: membersData, webrtc: false };
  expect(await codeOf(openPeer(back))).toBe("network/banned");
  expect((await finish(["unban", member.id, ...words])).events.at(-1)).toMatchObject({
    event: "unbanned",
    edge: true,
  });
  expect((await admin(data)).filter(({ event }) => event === "ban")).toEqual([]);
  expect((await openPeer(back)).id).toBe(member.id);

  // Another folder that has the owner's key begins where the edge is, not anew.
  const [{ key } = { key: "" }] = (await finish(["network", "key", "--data", data])).events;
  const elsewhere = await temporaryFolder();
  const taken = networks({ dataDir: elsewhere });
  expect(await taken.own(String(key))).toBe(network);
  expect(await taken.roster(network, edge)).toMatchObject({ bans: 2, banned: [] });
  const owner = await openPeer({ network, edge, dataDir: elsewhere, webrtc: false, overlay: false });
  expect(await owner.membership.ban(by)).toMatchObject({ number: 3, edge: true });
  expect(await networks({ dataDir: data }).roster(network, edge)).toMatchObject({ banned: [by] });
  expect(await networks({ dataDir: data }).invites(network)).toMatchObject([{ id: by, state: "revoked" }]);
});
