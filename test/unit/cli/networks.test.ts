/** Private networks on the command line: what is printed, what is never a word of it, and what a peer is opened with. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseInvite } from "../../../peer/identity/invites.ts";
import { networks } from "../../../peer/node.ts";
import { ID_B, start, temporaryFolder } from "./fakes.ts";

async function events(
  argv: readonly string[],
  options: Parameters<typeof start>[1],
): Promise<readonly Record<string, unknown>[]> {
  const running = start([...argv, "--json"], options);
  expect([await running.exitCode, running.stderr.text]).toEqual([0, ""]);
  return running.stdout.events();
}

test("a network is made, invited to, and its invites are listed", async () => {
  const data = await temporaryFolder();
  const [made] = await events(["network", "create"], { data });
  expect(made).toEqual({ event: "network", network: expect.stringMatching(/^i\.[a-z2-7]{52}$/) });
  const words = ["invite", "--uses", "2", "--expires", "7d", "--can", "join,relay", "--delegable", "1"];
  const [invite] = await events([...words, "--edge", "https://edge.example"], { data });
  expect(invite).toMatchObject({
    event: "invite",
    network: made?.["network"],
    abilities: ["relay"],
    uses: 2,
    delegations: 1,
  });
  const { network, edge } = parseInvite(String(invite?.["url"]));
  expect({ network, edge }).toEqual({ network: made?.["network"], edge: "https://edge.example" });
  const listed = await events(["invite", "list"], { data });
  expect(listed).toEqual([
    expect.objectContaining({
      event: "invite",
      id: invite?.["id"],
      state: "good",
      expiresAtMs: invite?.["expiresAtMs"],
    }),
    { event: "done", invites: 1 },
  ]);
  expect(JSON.stringify(listed)).not.toContain("url");
});

test("the owner's key is printed where the network was made, and makes another folder its owner", async () => {
  const [data, other] = [await temporaryFolder(), await temporaryFolder()];
  const [made] = await events(["network", "create"], { data });
  const [told] = await events(["network", "key"], { data });
  expect(told).toEqual({
    event: "owner-key",
    network: made?.["network"],
    key: expect.stringMatching(/^peerloom:owner\/[\w-]{43}$/),
  });
  const held = networks({ dataDir: other });
  await expect(held.ownerKey(String(made?.["network"]))).rejects.toMatchObject({ code: "network/not-owner" });
  for (let times = 0; times < 2; times++)
    expect(await held.own(`${String(told?.["key"])}\n`)).toBe(made?.["network"]);
  expect(await held.owned()).toEqual([made?.["network"]]);
  for (const text of ["", "peerloom:owner/", "peerloom:owner/AAAA", `${String(told?.["key"])}A`])
    await expect(held.own(text)).rejects.toMatchObject({ code: "usage/invalid" });
});

test.each([
  [["invite"], "network create"],
  [["network", "key"], "network create"],
  [["invite", "--expires", "soon"], "network create"],
  [["ban", ID_B], "network create"],
  [["up", "--network", "https://edge.example/#invite=AAAA"], "PEERLOOM_INVITE"],
  [["up", "--network", "peerloom:invite/AAAA"], "--invite-file"],
])("%j is wrong usage, and says what to do", async (argv, advice) => {
  const running = start(argv, { data: await temporaryFolder() });
  expect(await running.exitCode).toBe(2);
  expect(running.stderr.text).toContain(advice);
  expect(running.peers).toEqual([]);
});

test("a relay quota is said with the ability", async () => {
  const data = await temporaryFolder();
  await events(["network", "create"], { data });
  const [invite] = await events(["invite", "--can", "relay:100MB,index"], { data });
  const granted = { abilities: ["relay", "index"], relayBytesPerDay: 100_000_000 };
  expect(invite).toMatchObject(granted);
  const listed = await events(["invite", "list"], { data });
  expect(listed[0]).toMatchObject(granted);
  for (const words of ["relay:", "relay:much", "relay:0B", "index:1MB"]) {
    const running = start(["invite", "--can", words], { data });
    expect([words, await running.exitCode]).toEqual([words, 2]);
  }
});

test("a ban is of the network that this folder owns", async () => {
  const data = await temporaryFolder();
  const [made] = await events(["network", "create"], { data });
  const running = start(["ban", ID_B, "--json"], { data });
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([{ event: "banned", id: ID_B, number: 1, edge: true, peers: 2 }]);
  expect(running.peers[0]?.options).toMatchObject({ network: made?.["network"], networksDir: data });
});

test("invites and secrets come by the environment, a file or standard input; a file is meant more", async () => {
  const data = await temporaryFolder();
  const file = join(data, "text");
  await writeFile(file, "  from a file\n");
  const environment = { PEERLOOM_INVITE: "from the environment", PEERLOOM_SECRET: "" };
  const readInput = (): Promise<Uint8Array> =>
    Promise.resolve(new TextEncoder().encode("from standard input\n"));
  const opened = async (...words: string[]): Promise<unknown> => {
    const running = start(["ping", ID_B, "--count", "1", ...words], { data, environment, readInput });
    await running.exitCode;
    const { invite, secret } = running.peers[0]?.options ?? {};
    return { invite, secret };
  };
  expect(await opened()).toEqual({ invite: "from the environment", secret: undefined });
  expect(await opened("--invite-file", file)).toEqual({ invite: "from a file", secret: undefined });
  expect(await opened("--secret-file", "-")).toEqual({ invite: undefined, secret: "from standard input" });
});
