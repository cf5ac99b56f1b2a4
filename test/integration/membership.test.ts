/** Private networks between real processes: invite, expiry, use count, revoke and ban, with the edge there and with none. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { networks, type NodePeerOptions, type Peer, PeerloomError, type Session } from "../../peer/node.ts";
import { Command, finish, startEdge, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer } from "./peers.ts";

/** An owner whose peer runs, and how the others of the test reach it: by an edge, or by its address alone. */
class Owner {
  readonly data: string;
  readonly network: string;
  readonly id: string;
  readonly up: Command;
  readonly #edge: string | undefined;
  readonly words: readonly string[];
  /** Where it listens; undefined where the edge introduces. */
  readonly bootstrap: string | undefined;

  private constructor(
    fields: Pick<Owner, "data" | "network" | "id" | "up" | "words" | "bootstrap">,
    edge: string | undefined,
  ) {
    this.data = fields.data;
    this.network = fields.network;
    this.id = fields.id;
    this.up = fields.up;
    this.words = fields.words;
    this.bootstrap = fields.bootstrap;
    this.#edge = edge;
  }

  static async run(edge: string | undefined): Promise<Owner> {
    const data = await temporaryFolder();
    const network = await networks({ dataDir: data }).create();
    const reach = ["--edge", edge ?? "none", "--no-lan"];
    const up = new Command(["up", "--data", data, "--network", network, "--listen", "127.0.0.1:0", ...reach]);
    const { id, listen } = await up.wait("ready");
    const address = `${String((listen as string[])[0])}/${String(id)}`;
    const words = edge === undefined ? [...reach, "--bootstrap", address] : reach;
    const bootstrap = edge === undefined ? address : undefined;
    return new Owner({ data, network, id: String(id), up, words, bootstrap }, edge);
  }

  async invite(terms: {
    readonly uses?: number;
    readonly ttlMs?: number;
  }): Promise<{ url: string; id: string }> {
    return networks({ dataDir: this.data }).invite(this.network, { edge: this.#edge, ...terms });
  }

  /** One command of the owner's, beside its running peer. */
  async says(words: readonly string[], event: string): Promise<unknown> {
    const command = await finish([...words, "--data", this.data, ...this.words]);
    expect([command.code, command.events]).toMatchObject([0, expect.anything()]);
    return command.events.find((one) => one.event === event);
  }

  /** A member of the test's own process reaches the owner. @returns "in", or the code of the error */
  async reachedBy(options: NodePeerOptions): Promise<string> {
    try {
      const peer = await this.open(options);
      await peer.connect(this.id);
      await peer.close();
      return "in";
    } catch (error) {
      return error instanceof PeerloomError ? error.code : String(error);
    }
  }

  open(options: NodePeerOptions): Promise<Peer> {
    const { bootstrap } = this;
    return openPeer({
      edge: this.#edge ?? null,
      webrtc: false,
      ...(bootstrap && { bootstrap: [bootstrap] }),
      ...options,
    });
  }
}

/** Resolves with why a session ended. */
function endOf(session: Session | undefined): Promise<unknown> {
  if (session === undefined) throw new Error("there is no session");
  return new Promise((resolve) => {
    session.addEventListener("close", (event) => resolve((event as CustomEvent).detail), { once: true });
  });
}

describe.each([["with an edge"], ["with no edge"]])("%s", (where) => {
  test("an invite lets in as many as it says and for as long, until it is revoked; bans end sessions that stand", async () => {
    const owner = await Owner.run(where === "with an edge" ? await startEdge() : undefined);
    const [once, long] = [await owner.invite({ uses: 1 }), await owner.invite({})];
    const data = await temporaryFolder();
    const file = join(data, "invite.txt");
    await writeFile(file, long.url);
    const lasting = new Command(["up", "--data", data, "--invite-file", file, ...owner.words]);

    const short = await owner.invite({ ttlMs: 5_000 });
    const passing = await owner.open({ invite: short.url });
    const passed = endOf(await passing.connect(owner.id));

    const kept = await temporaryFolder();
    expect(await owner.reachedBy({ invite: once.url, dataDir: kept })).toBe("in");
    expect(await owner.reachedBy({ invite: once.url })).toBe("network/invite-used");
    expect(await owner.reachedBy({ network: owner.network })).toBe("network/not-member");
    // Counted once, and kept: it needs the invite no more.
    expect(await owner.reachedBy({ network: owner.network, dataDir: kept })).toBe("in");
    expect(await owner.says(["invite", "revoke", once.id], "revoked")).toMatchObject({ number: 1 });
    expect(await owner.reachedBy({ network: owner.network, dataDir: kept })).toBe("network/banned");
    expect(await passed).toBe("network/expired");
    expect(await owner.reachedBy({ invite: short.url })).toBe("network/expired");

    const { id } = await lasting.wait("ready");
    await owner.up.wait("peer", (event) => event["id"] === id);
    expect(await owner.says(["ban", String(id)], "banned")).toMatchObject({ id, number: 2 });
    await lasting.wait("peer", (event) => event["id"] === owner.id && event["code"] === "network/banned");
    await owner.up.wait("peer", (event) => event["id"] === id && event["code"] === "network/banned");
    expect(await owner.says(["invite", "list"], "invite")).toMatchObject({
      id: once.id,
      state: "revoked",
      uses: 1,
    });
  });
});

test("without an edge an invite for one stays used when who counted it starts again", async () => {
  const dataDir = await temporaryFolder();
  const network = await networks({ dataDir }).create();
  const { url: invite } = await networks({ dataDir }).invite(network, { uses: 1 });
  const alone = { edge: null, webrtc: false } as const;
  const counting = (): Promise<Peer> =>
    openPeer({ ...alone, network, dataDir, listen: "127.0.0.1:0", overlay: false });
  const meet = async (host: Peer, guestDir: string): Promise<string> => {
    const guest = await openPeer({ ...alone, invite, dataDir: guestDir });
    const outcome = await codeOf(guest.connect(host.id, { addresses: host.listenAddresses }));
    await guest.close();
    return outcome;
  };
  const [first, second] = [await temporaryFolder(), await temporaryFolder()];
  const before = await counting();
  expect(await meet(before, first)).toBe("none");
  await before.close();
  const after = await counting();
  expect(await meet(after, second)).toBe("network/invite-used");
  expect(await meet(after, first)).toBe("none");
});

test("a network by secret: who has it meets, and to all others it is not there", async () => {
  const edge = await startEdge();
  const secret = { PEERLOOM_SECRET: "correct horse battery staple" };
  const data = await temporaryFolder();
  const words = ["--edge", edge, "--no-lan", "--network", "home"];
  const up = new Command(["up", "--data", data, ...words], { environment: secret });
  const { id } = await up.wait("ready");
  const ping = async (environment: Record<string, string>): Promise<unknown> => {
    const command = await finish(
      ["ping", String(id), "--count", "1", "--data", await temporaryFolder(), ...words],
      { environment },
    );
    return command.events.at(-1)?.["code"] ?? command.events.at(-1)?.event;
  };
  expect(await Promise.all([ping(secret), ping({ PEERLOOM_SECRET: "guess" }), ping({})])).toEqual([
    "done",
    "peer/not-found",
    "peer/not-found",
  ]);
});

test("a ban reaches those who never met the owner, an edge that was away, and every shard of it", async () => {
  const dataDir = await temporaryFolder();
  const network = await networks({ dataDir }).create();
  const { url } = await networks({ dataDir }).invite(network);
  const closed = { edge: null, webrtc: false, listen: "127.0.0.1:0" } as const;
  const middle = await openPeer({ ...closed, invite: url });
  const far = await openPeer({ ...closed, invite: url, bootstrap: bootstrapOf(middle), overlay: false });
  const outcast = await openPeer({ ...closed, invite: url });
  await far.connect(middle.id, { addresses: middle.listenAddresses });
  const told = endOf(await outcast.connect(far.id, { addresses: far.listenAddresses }));
  await linkedTo(far, 2);
  const closing = endOf(far.sessions().find(({ peerId }) => peerId === outcast.id));
  const owner = await openPeer({ ...closed, dataDir, network, bootstrap: bootstrapOf(middle) });
  await linkedTo(owner, 1);
  expect(await owner.membership.ban(outcast.id)).toMatchObject({ number: 1, edge: false });
  expect(await Promise.all([closing, told])).toEqual(["network/banned", "network/banned"]);
  expect(await codeOf(outcast.connect(far.id, { addresses: far.listenAddresses }))).toBe("network/banned");
  // Its downloads say so as soon as their source has, and do not wait for another.
  const { ticket } = await far.files.share(new Blob(["of the network"]), { name: "kept.txt" });
  const soon = { signal: AbortSignal.timeout(20_000) };
  expect(await codeOf(outcast.files.get(ticket, soon).blob())).toBe("network/banned");
  await owner.close();

  // An edge comes, and hears of it from any member; two single uses are counted by one of its objects.
  const edge = await openEdge(0, { RENDEZVOUS_SHARDS: "4" });
  const bringer = await openPeer({ dataDir, network, edge: edge.url, webrtc: false });
  expect((await bringer.membership.unban(middle.id)).edge).toBe(true);
  const single = await bringer.membership.invite({ uses: 1 });
  expect((await openPeer({ invite: single.url, edge: edge.url, webrtc: false })).membership.kind).toBe(
    "invite",
  );
  expect(await codeOf(openPeer({ invite: single.url, edge: edge.url, webrtc: false }))).toBe(
    "network/invite-used",
  );
});
