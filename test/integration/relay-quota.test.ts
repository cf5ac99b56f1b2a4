/** A quota of relayed bytes, from the words that grant it to the session that it ends. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { finish, temporaryFolder } from "./command.ts";
import { checkEcho, codeOf, openEdge, openPeer } from "./peers.ts";

test("an invite with relay:2MB lets its member relay that much a day, and says so afterwards", async () => {
  const { url: edge } = await openEdge();
  const dataDir = await temporaryFolder();
  const made = (await finish(["network", "create", "--data", dataDir])).events;
  const network = String(made[0]?.["network"]);
  const invited = await finish(["invite", "--can", "relay:2MB", "--edge", edge, "--data", dataDir]);
  expect(invited.events[0]).toMatchObject({ abilities: ["relay"], relayBytesPerDay: 2_000_000 });
  const relayed = { only: "relay", webrtc: false } as const;
  const owner = await openPeer({ edge, network, dataDir, ...relayed });
  const guest = await openPeer({ invite: String(invited.events[0]?.["url"]), ...relayed });
  const session = await guest.connect(owner.id);
  expect(session.path.kind).toBe("relay");
  await checkEcho(session, randomBytes(200_000));
  // Both ways count, and a channel has a loan of grace.
  const more = codeOf(checkEcho(session, randomBytes(3_000_000)));
  await expect.poll(() => session.path.kind, { timeout: 10_000 }).toBe("none");
  await session.close();
  expect(await more).not.toBe("none");
  const refused = guest.connect(owner.id);
  await expect(refused).rejects.toThrow("as its invite allows in a day");
  expect(await codeOf(refused)).toBe("connect/no-path");
});
