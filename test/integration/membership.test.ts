/** Private networks between real processes: invite, expiry, use count, revoke and ban, with the edge there and with none. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Command, finish, startEdge, type StartOptions, temporaryFolder } from "./command.ts";

/** One `--json` event of a command that ends by itself. */
async function said(
  words: readonly string[],
  event: string,
  options?: StartOptions,
): Promise<Record<string, unknown>> {
  const command = await finish(words, options);
  expect([command.code, command.events]).toMatchObject([0, expect.anything()]);
  return command.events.find((one) => one.event === event) as Record<string, unknown>;
}

/** How members of one test reach each other: by an edge, or by the address of its owner alone. */
interface Ways {
  readonly owner: string;
  readonly network: string;
  readonly edge: readonly string[];
  readonly up: Command;
  readonly ownerId: string;
  readonly words: readonly string[];
}

async function ownerOf(edge: string | undefined): Promise<Ways> {
  const owner = await temporaryFolder();
  const { network } = await said(["network", "create", "--data", owner], "network");
  const reach = ["--edge", edge ?? "none", "--no-lan"];
  const up = new Command([
    "up",
    "--data",
    owner,
    "--network",
    String(network),
    "--listen",
    "127.0.0.1:0",
    ...reach,
  ]);
  const { id, listen } = await up.wait("ready");
  const bootstrap =
    edge === undefined ? ["--bootstrap", `${String((listen as string[])[0])}/${String(id)}`] : [];
  return {
    owner,
    network: String(network),
    edge: reach,
    up,
    ownerId: String(id),
    words: [...reach, ...bootstrap],
  };
}

async function inviteOf({ owner, edge }: Ways, ...terms: string[]): Promise<{ url: string; id: string }> {
  const { url, id } = await said(["invite", "--data", owner, ...edge, ...terms], "invite");
  return { url: String(url), id: String(id) };
}

/** A newcomer by an invite. Without an edge nobody says no at the door, so it is its ping that tells. */
async function newcomer(
  ways: Ways,
  url: string,
  data?: string,
): Promise<{ ping(): Promise<unknown>; data: string }> {
  const folder = data ?? (await temporaryFolder());
  const ping = async (): Promise<unknown> => {
    const environment = { PEERLOOM_INVITE: url };
    const words = ["ping", ways.ownerId, "--count", "1", "--data", folder, ...ways.words];
    const command = await finish(words, { environment });
    const error = command.events.find(({ event }) => event === "error");
    return error === undefined ? "pong" : error["code"];
  };
  return { ping, data: folder };
}

describe.each([["with an edge"], ["with no edge"]])("%s", (where) => {
  const edgeOf = async (): Promise<string | undefined> =>
    where === "with an edge" ? startEdge() : undefined;

  test("an invite lets in as many as it says, until it is revoked; strangers stay out", async () => {
    const ways = await ownerOf(await edgeOf());
    const { url, id } = await inviteOf(ways, "--uses", "1");
    const first = await newcomer(ways, url);
    expect(await first.ping()).toBe("pong");
    const [second, stranger] = await Promise.all([
      newcomer(ways, url),
      temporaryFolder().then((data) =>
        finish(["ping", ways.ownerId, "--network", ways.network, "--data", data, ...ways.words]),
      ),
    ]);
    expect(await second.ping()).toBe("network/invite-used");
    expect(stranger.events.at(-1)).toMatchObject({ event: "error", code: "network/not-member" });
    expect(await first.ping()).toBe("pong"); // it was counted once
    const revoked = await said(["invite", "revoke", id, "--data", ways.owner, ...ways.words], "revoked");
    expect(Number(revoked["peers"]) + Number(revoked["edge"])).toBeGreaterThan(0);
    expect(await first.ping()).toBe("network/banned");
    const listed = await finish(["invite", "list", "--data", ways.owner]);
    expect(listed.events).toMatchObject([
      { event: "invite", id, state: "revoked", uses: 1 },
      { event: "done" },
    ]);
  });

  test("an invite that ends takes its members with it, and a ban ends a session that stands", async () => {
    const ways = await ownerOf(await edgeOf());
    const [short, long] = await Promise.all([inviteOf(ways, "--expires", "6s"), inviteOf(ways)]);
    const join = async (url: string): Promise<Command> => {
      const data = await temporaryFolder();
      await writeFile(join_(data), url);
      return new Command([
        "up",
        "--data",
        data,
        "--invite-file",
        join_(data),
        "--listen",
        "127.0.0.1:0",
        ...ways.words,
      ]);
    };
    const [passing, lasting] = await Promise.all([join(short.url), join(long.url)]);
    const gone = (command: Command, code: string): Promise<unknown> =>
      command.wait("peer", (event) => event["id"] === ways.ownerId && event["code"] === code);
    await Promise.all([passing, lasting].map((each) => each.wait("peer", ({ id }) => id === ways.ownerId)));
    await gone(passing, "network/expired");
    const late = await newcomer(ways, short.url);
    expect(await late.ping()).toBe("network/expired");
    const { id } = await lasting.wait("ready");
    await said(["ban", String(id), "--data", ways.owner, ...ways.words], "banned");
    await gone(lasting, "network/banned");
    await ways.up.wait("peer", (event) => event["id"] === id && event["code"] === "network/banned");
  });
});

function join_(data: string): string {
  return join(data, "invite.txt");
}
