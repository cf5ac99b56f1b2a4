/** Private networks in Deno: a peer that came by an invite, and one that has the secret, each reached from Node. */
import { expect, test } from "vitest";
import { networks } from "../../peer/node.ts";
import { Command, temporaryFolder } from "./command.ts";
import { codeOf, openEdge, openPeer } from "./peers.ts";

test("a Deno peer is a member by an invite or by the secret, and to others it is not there", async () => {
  const { url: edge } = await openEdge();
  const dataDir = await temporaryFolder();
  const network = await networks({ dataDir }).create();
  const { url: invite } = await networks({ dataDir }).invite(network, { edge, uses: 1 });
  const secret = "correct horse battery staple";
  const [invited, sharing] = await Promise.all(
    [{ PEERLOOM_INVITE: invite }, { PEERLOOM_SECRET: secret }].map(async (environment) => {
      const words = ["up", "--data", await temporaryFolder(), "--edge", edge, "--no-lan"];
      const up = new Command(words, { runtime: "deno", environment });
      return String((await up.wait("ready"))["id"]);
    }),
  );
  const owner = await openPeer({ edge, dataDir, network, webrtc: false });
  expect((await owner.connect(invited ?? "")).peerId).toBe(invited);
  const knowing = await openPeer({ edge, secret, webrtc: false });
  expect((await knowing.connect(sharing ?? "")).peerId).toBe(sharing);
  const stranger = await openPeer({ edge, webrtc: false });
  for (const id of [invited, sharing])
    expect(await codeOf(stranger.connect(id ?? "", { timeoutMs: 10_000 }))).toBe("peer/not-found");
});
