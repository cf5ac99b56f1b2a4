import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { COMMANDS } from "../../../peer/cli/commands.ts";
import { openDataFolder } from "../../../peer/cli/data-folder.ts";
import type { PeerOpenOptions } from "../../../peer/cli/peer-contract.ts";
import type { PortMappingState } from "../../../peer/overlay/port-mapping.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FakePeer, FakeSession, ID_A, ID_B, start, temporaryFolder, TICKET } from "./fakes.ts";

test("up says it is ready, names peers once a path to them stands, and being stopped is success", async () => {
  const data = await temporaryFolder();
  const running = start(["up", "--json", "--only", "relay", "--listen", "127.0.0.1:0"], { data });
  await running.stdout.contains('"ready"');
  const [peer] = running.peers;
  if (peer === undefined) throw new Error("up opened no peer");
  const { path } = peer.session;
  for (const now of [{ ...path, kind: "none" as const, transport: "none" as const }, path]) {
    peer.session.path = now;
    peer.dispatchEvent(new CustomEvent("session", { detail: peer.session }));
  }
  await peer.session.close();
  running.stop();
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toMatchObject([
    { event: "ready", id: ID_A, edge: "http://edge.test", listen: ["tcp://127.0.0.1:4000"] },
    { event: "peer", id: ID_B, path: "relay", transport: "relay" },
    { event: "peer", id: ID_B, path: "none", transport: "none" },
  ]);
  expect(peer.options).toMatchObject({ only: "relay", listen: "127.0.0.1:0", dataDir: data });
  expect(peer.closed).toBe(1);
});

test("up names who came while it was opened, and says of them too that they are gone; not so when it goes itself", async () => {
  const data = await temporaryFolder();
  const [early, late] = [new FakeSession(), new FakeSession()];
  const makePeer = (opened: PeerOpenOptions): FakePeer => {
    const peer = new FakePeer(opened);
    peer.linked.push(early);
    peer.close = () => late.close();
    return peer;
  };
  const running = start(["up", "--json"], { data, makePeer });
  await running.stdout.contains('"peer"');
  await early.close();
  running.peers[0]?.dispatchEvent(new CustomEvent("session", { detail: late }));
  running.stop();
  expect(await running.exitCode).toBe(0);
  expect(late.closed).toBe(true);
  expect(running.stdout.events()).toMatchObject([
    { event: "ready" },
    { event: "peer", id: ID_B, path: "relay" },
    { event: "peer", id: ID_B, path: "none", code: "session/closed" },
    { event: "peer", id: ID_B, path: "relay" },
  ]);
});

test("up tells people of each path once", async () => {
  const running = start(["up"], { data: await temporaryFolder() });
  await running.stdout.contains(ID_A);
  const [peer] = running.peers;
  if (peer === undefined) throw new Error("up opened no peer");
  const tell = (): boolean => peer.dispatchEvent(new CustomEvent("session", { detail: peer.session }));
  tell();
  tell();
  const { path } = peer.session;
  peer.session.path = { ...path, kind: "none", transport: "none" };
  tell();
  tell();
  peer.session.path = path;
  tell();
  await peer.session.close();
  running.stop();
  expect(await running.exitCode).toBe(0);
  const lines = running.stderr.text.split("\n").filter((line) => line.startsWith(ID_B.slice(0, 8)));
  expect(lines.map((line) => line.slice(10).split(" ")[0])).toEqual(["relayed", "no", "relayed", "gone"]);
});

test("up says what the router does for its port, after it is ready", async () => {
  const data = await temporaryFolder();
  const states: PortMappingState[] = [
    { phase: "looking" },
    { phase: "failed", why: "private-address", detail: "Another NAT." },
    { phase: "mapped", protocol: "PCP", gateway: "192.168.1.1", address: "tcp://203.0.113.5:4000" },
  ];
  for (const [i, state] of states.entries()) {
    let now = state;
    const makePeer = (opened: PeerOpenOptions): FakePeer => {
      const peer = new FakePeer(opened);
      const { status } = peer;
      peer.status = () => ({ ...status.call(peer), mapping: now });
      return peer;
    };
    const words = ["up", "--json", "--map-ports", "--listen", "127.0.0.1:0"];
    const running = start(words, { data, makePeer });
    await running.stdout.contains('"ready"');
    const [peer] = running.peers;
    expect(peer?.options).toMatchObject({ mapPorts: true });
    now = states[(i + 1) % states.length] ?? state;
    peer?.dispatchEvent(new Event("mapping"));
    running.stop();
    expect(await running.exitCode).toBe(0);
    const told = [state, now].filter(({ phase }) => phase !== "looking");
    expect(running.stdout.events()).toMatchObject([
      { event: "ready" },
      ...told.map((each) => ({ event: "mapping", ...each })),
    ]);
  }
});

test("share prints a ticket for each path and keeps serving", async () => {
  const data = await temporaryFolder();
  const running = start(["share", "a.txt", "/abs/b.txt", "--json"], { data });
  await running.stdout.contains("b.txt");
  running.stop();
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([
    { event: "shared", ticket: TICKET, hash: "hash1", bytes: 10, name: "a.txt" },
    { event: "shared", ticket: TICKET, hash: "hash1", bytes: 10, name: "b.txt" },
  ]);
});

test("share says that others can find it, or that they cannot", async () => {
  const data = await temporaryFolder();
  for (const [words, listed, said] of [
    [["share", "a.txt"], true, "share --unlisted"],
    [["share", "a.txt", "--unlisted"], false, "Unlisted"],
  ] as const) {
    const options: unknown[] = [];
    const makePeer = (opened: PeerOpenOptions): FakePeer => {
      const peer = new FakePeer(opened);
      const { share } = peer.files;
      peer.files = {
        ...peer.files,
        share: (path, given) => {
          options.push(given?.listed);
          return share(path, given);
        },
      };
      return peer;
    };
    const running = start(words, { data, makePeer });
    await running.stderr.contains("Serving");
    expect(running.stderr.text).toContain(said);
    running.stop();
    expect(await running.exitCode).toBe(0);
    expect(options).toEqual([listed]);
  }
});

test("search prints a ticket for each hit, and nothing that steers the terminal", async () => {
  const data = await temporaryFolder();
  const running = start(["search", "cat", "video", "--via", "index", "--json"], { data });
  expect(await running.exitCode).toBe(0);
  const hit = { event: "hit", bytes: 10, hash: "hash1", ticket: TICKET, via: "index", sources: 2 };
  expect(running.stdout.events()).toEqual([
    { ...hit, name: "a.txt" },
    { ...hit, name: "b\u001b[31m.txt" },
    { event: "done", hits: 2 },
  ]);
  const forPeople = start(["search", "cat"], { data });
  expect(await forPeople.exitCode).toBe(0);
  expect(forPeople.stdout.text).toContain(`a.txt  10 B  2 peers  (index)\n  ${TICKET}`);
  expect(forPeople.stdout.text).not.toContain("\u001b");
  for (const words of [["search"], ["search", "x", "--via", "phone"], ["search", "x", "--limit", "201"]])
    expect(await start(words, { data }).exitCode).toBe(2);
});

test("pub publishes a text, or the lines of standard input, and says how many heard it", async () => {
  const data = await temporaryFolder();
  const one = start(["pub", "news", "hello", "--json"], { data });
  expect(await one.exitCode).toBe(0);
  expect(one.stdout.events()).toEqual([{ event: "published", topic: "news", peers: 1 }]);
  const lines = start(["pub", "news", "--rate", "5"], { data });
  expect(await lines.exitCode).toBe(0);
  expect(lines.peers[0]?.topics).toMatchObject([
    { name: "news", options: { rate: 5 }, topic: { published: ["one", "two"], closed: 1 } },
  ]);
  for (const words of [["pub"], ["pub", "a", "b", "c"], ["pub", "a", "b", "--wait", "x"]])
    expect(await start(words, { data }).exitCode).toBe(2);
});

test("sub prints messages, bytes and structures too, and ends after so many", async () => {
  const data = await temporaryFolder();
  const running = start(["sub", "news", "--history", "5", "--ordered", "--json"], { data });
  expect(await running.exitCode).toBe(0);
  const message = { event: "message", topic: "news", from: ID_B };
  expect(running.stdout.events()).toEqual([
    { event: "subscribed", topic: "news" },
    { ...message, value: "hello\u001b[31m", past: true },
    { ...message, value: { a: 1 } },
    { event: "missed", topic: "news", count: 3 },
    { ...message, value: "AQ", encoding: "base64url" },
  ]);
  expect(running.peers[0]?.topics).toMatchObject([{ options: { history: 5, order: "sender" } }]);
  const forPeople = start(["sub", "news", "--count", "2"], { data });
  expect(await forPeople.exitCode).toBe(0);
  expect(forPeople.stdout.text).toContain(`${ID_B.slice(0, 8)}  {"a":1}`);
  expect(forPeople.stdout.text).not.toContain("\u001b");
  expect(forPeople.stdout.text).not.toContain("AQ");
  for (const words of [["sub"], ["sub", "a", "--history", "1001"], ["sub", "a", "--count", "0"]])
    expect(await start(words, { data }).exitCode).toBe(2);
});

test("get shows progress and says which path carried the bytes", async () => {
  const data = await temporaryFolder();
  const running = start(["get", TICKET, "-o", "out.bin", "--json"], { data });
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([
    { event: "progress", bytes: 0, total: 10, sources: 1 },
    { event: "progress", bytes: 10, total: 10, sources: 1 },
    {
      event: "done",
      path: "/here/out.bin",
      bytes: 10,
      seconds: 0.5,
      sources: 1,
      hash: "hash1",
      by: { direct: 4, relay: 6 },
    },
  ]);
  const forPeople = start(["get", TICKET], { data });
  expect(await forPeople.exitCode).toBe(0);
  expect(forPeople.stdout.text).toContain("4 B direct, 6 B relayed");
});

test("ping measures on one stream and says which path was taken", async () => {
  const data = await temporaryFolder();
  const running = start(["ping", ID_B, "--count", "3", "--interval", "0", "--json"], { data });
  expect(await running.exitCode).toBe(0);
  const events = running.stdout.events();
  const path = { path: "relay", transport: "relay", why: "direct-pending" };
  const pong = { event: "pong", rttMs: expect.any(Number) as number, ...path };
  expect(events.slice(0, 3)).toEqual([1, 2, 3].map((seq) => ({ ...pong, seq })));
  expect(events[3]).toMatchObject({ event: "done", sent: 3, received: 3 });
  for (const field of ["p50Ms", "p99Ms", "connectMs"]) expect(events[3]?.[field]).toBeGreaterThanOrEqual(0);
});

test("ping that is stopped says how it was until then", async () => {
  const data = await temporaryFolder();
  const running = start(["ping", ID_B, "--count", "1000000", "--json"], { data });
  await running.stdout.contains('"pong"');
  running.stop();
  expect(await running.exitCode).toBe(130);
  const events = running.stdout.events().filter(({ event }) => event !== "pong");
  expect(events).toMatchObject([{ event: "done" }, { event: "error", code: "aborted" }]);
});

test("share in one terminal, get in another, status and id in a third, all on one folder", async () => {
  const data = await temporaryFolder();
  const sharing = start(["share", "a.txt", "--json"], { data });
  await sharing.stdout.contains("shared");
  const getting = start(["get", TICKET, "--json"], { data });
  expect(await getting.exitCode).toBe(0);
  expect(getting.peers[0]?.options.dataDir).toContain(join(data, "guests"));

  const status = start(["status", "--json"], { data });
  expect(await status.exitCode).toBe(0);
  expect(status.stdout.events()).toMatchObject([
    {
      event: "status",
      id: ID_A,
      peers: [{ id: ID_B, why: "direct-pending", rttMs: 1.5 }],
      command: "share",
      shares: [],
      overlay: { links: 3, relayed: 0, ready: false, dropped: 1 },
      records: { kept: 2, refused: 0 },
    },
  ]);
  const id = start(["id"], { data });
  expect(await id.exitCode).toBe(0);
  expect(id.stdout.text).toBe(`${ID_A}\n`);
  expect(id.peers).toEqual([]);

  const second = start(["up", "--json"], { data });
  expect(await second.exitCode).toBe(1);
  expect(second.stdout.events()).toMatchObject([{ event: "error", code: "data/locked" }]);
  sharing.stop();
  expect(await sharing.exitCode).toBe(0);
  expect(await start(["status"], { data }).exitCode).toBe(1);
});

test("id needs neither edge nor network", async () => {
  const data = await temporaryFolder();
  const running = start(["id", "--json"], { data });
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([{ event: "id", id: ID_A }]);
  expect(running.peers[0]?.options).toMatchObject({ edge: null, webrtc: false });
});

test("a failure is one event with its code, exit 1, and everything is closed", async () => {
  const data = await temporaryFolder();
  const makePeer = (): FakePeer => {
    const peer = new FakePeer();
    peer.connect = () => Promise.reject(new PeerloomError("connect/no-path", "No path."));
    return peer;
  };
  const running = start(["ping", ID_B, "--json"], { data, makePeer });
  expect(await running.exitCode).toBe(1);
  expect(running.stdout.events()).toEqual([{ event: "error", code: "connect/no-path", message: "No path." }]);
  expect(running.peers[0]?.closed).toBe(1);
  await (await openDataFolder(data, "up", "owner")).close();
});

test("an interrupted get exits 130 and closes its peer", async () => {
  const data = await temporaryFolder();
  const makePeer = (): FakePeer => {
    const peer = new FakePeer();
    peer.connect = () => new Promise(() => undefined);
    return peer;
  };
  const running = start(["ping", ID_B, "--json"], { data, makePeer });
  await expect.poll(() => running.peers.length).toBe(1);
  running.stop();
  expect(await running.exitCode).toBe(130);
  expect(running.stdout.events()).toMatchObject([{ event: "error", code: "aborted" }]);
  expect(running.peers[0]?.closed).toBe(1);
});

test("a bootstrap peer that does not answer is told once", async () => {
  const running = start(["up"], { data: await temporaryFolder() });
  await running.stdout.contains(ID_A);
  const error = new PeerloomError("connect/no-path", "No path to it.");
  const detail = { id: ID_B, addresses: ["tcp://host.example:4000"], error };
  for (let times = 0; times < 3; times++)
    running.peers[0]?.dispatchEvent(new CustomEvent("unanswered", { detail }));
  expect(running.stderr.text.split("bootstrap:")).toHaveLength(2);
  expect(running.stderr.text).toContain("No path to it. Trying again");
  running.stop();
  expect(await running.exitCode).toBe(0);
});

test("a peer that opens after the interruption is closed too", async () => {
  const data = await temporaryFolder();
  const late = Promise.withResolvers<FakePeer>();
  const running = start(["up"], { data, makePeer: () => late.promise });
  await expect.poll(() => running.stderr.text).toBe("");
  running.stop();
  const peer = new FakePeer();
  late.resolve(peer);
  expect(await running.exitCode).toBe(0);
  await expect.poll(() => peer.closed).toBe(1);
});

test("edge dev says where it is and stops what it started", async () => {
  let stopped = 0;
  const running = start(["edge", "dev", "--port", "0", "--budget", "300", "--json"], {
    startEdge: (options) => {
      expect(options).toEqual({
        host: "127.0.0.1",
        port: 0,
        vars: { EDGE_ADMIN_TOKEN: expect.any(String), BUDGET_UNITS: "300" },
      });
      return Promise.resolve({
        url: "http://127.0.0.1:5000/",
        stop: () => {
          stopped += 1;
          return Promise.resolve();
        },
      });
    },
  });
  await running.stdout.contains("ready");
  running.stop();
  expect(await running.exitCode).toBe(0);
  const [ready] = running.stdout.events();
  expect(ready).toEqual({
    event: "ready",
    url: "http://127.0.0.1:5000",
    adminToken: expect.stringMatching(/^[\w-]{32}$/),
    admin: `http://127.0.0.1:5000/admin#token=${String(ready?.["adminToken"])}`,
  });
  expect(stopped).toBe(1);
});

test("the unexpected is reported as such, without a stack", async () => {
  const running = start(["edge", "dev"]);
  expect(await running.exitCode).toBe(1);
  expect(running.stderr.text).toContain(
    "Unexpected failure: no edge in this test. Please report this. (internal/assertion)\n",
  );
});

test.each([
  ["gett"],
  ["get"],
  ["up --only tcp"],
  ["ping nonsense"],
  ["edge dev --port x"],
  ["help nonsense"],
])("peerloom %s is wrong usage: one line on standard error, exit 2", async (line) => {
  const running = start(line.split(" "), { data: await temporaryFolder() });
  const { stdout, stderr } = running;
  expect(await running.exitCode).toBe(2);
  expect(stdout.text).toBe("");
  expect(stderr.text.trimEnd().split("\n")).toHaveLength(1);
});

test("a ticket that is none is the only thing that get speaks of", async () => {
  const running = start(["get", "nonsense"], { data: await temporaryFolder() });
  expect(await running.exitCode).toBe(1);
  expect(running.stdout.text).toBe("");
  expect(running.stderr.text).toMatch(/^peerloom: .*\(files\/ticket-invalid\)\n$/);
});

test("help names every command and option, exit 0", async () => {
  const overview = start(["help"]);
  expect(await overview.exitCode).toBe(0);
  for (const command of COMMANDS) {
    expect(overview.stdout.text).toContain(`  ${command.name}`);
    const page = start(["help", ...command.name.split(" ")]);
    expect(await page.exitCode).toBe(0);
    for (const option of Object.keys(command.options)) expect(page.stdout.text).toContain(`--${option}`);
  }
  const version = start(["--version"]);
  expect(await version.exitCode).toBe(0);
  expect(version.stdout.text).toBe("1.2.3\n");
});

test("an unwritable data folder is a clear error", async () => {
  const data = join(await temporaryFolder(), "data");
  await mkdir(join(data, "lock"), { recursive: true });
  const running = start(["up", "--json"], { data });
  expect(await running.exitCode).toBe(1);
  expect(running.stdout.events()).toMatchObject([{ event: "error" }]);
});

test("work says how much it does at once, and being stopped is success", async () => {
  const data = await temporaryFolder();
  const running = start(
    ["work", "--slots", "3", "--time", "5", "--memory", "32", "--allow", ID_A, ID_B, "--json"],
    {
      data,
    },
  );
  await running.stdout.contains('"ready"');
  running.stop();
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([{ event: "ready", id: ID_A, slots: 3 }]);
  expect(running.peers[0]?.worked).toEqual({
    slots: 3,
    taskMs: 5_000,
    memoryPages: 512,
    allow: [ID_A, ID_B],
  });
});

test("run gives each file, or each line, to working peers and says who did what", async () => {
  const data = await temporaryFolder();
  const folder = await temporaryFolder();
  await writeFile(join(folder, "m.wasm"), Uint8Array.of(0));
  await writeFile(join(folder, "a"), "one\ntwo\n\nfour");
  const words = ["run", join(folder, "m.wasm"), "--input", join(folder, "a"), "-", "--copies", "3", "--json"];
  const readInput = (): Promise<Uint8Array> => Promise.resolve(Uint8Array.of(0xff));
  const running = start([...words, "--workers", ID_B], { data, readInput });
  expect(await running.exitCode).toBe(0);
  expect(running.stdout.events()).toEqual([
    { event: "result", index: 0, value: "one\ntwo\n\nfour", by: [ID_B] },
    { event: "result", index: 1, value: "_w", encoding: "base64url", by: [ID_B] },
    { event: "done", results: 2, workers: 1, rejected: 1 },
  ]);
  expect(running.peers[0]?.mapped).toMatchObject({
    copies: 3,
    workers: [ID_B],
    discover: true,
    taskMs: 10_000,
  });
  const lines = start(["run", join(folder, "m.wasm"), "--lines", "--input", join(folder, "a")], { data });
  expect(await lines.exitCode).toBe(0);
  expect(lines.stdout.text).toBe("0: one\n1: two\n2: \n3: four\n");
});

test.each([
  [["run", "m.wasm"], 1, "files/not-found"],
  [["run", "/dev/null"], 2, "usage/invalid"],
  [["run", "/dev/null", "--input", "-", "-"], 2, "usage/invalid"],
  [["run", "/dev/null", "--input", "nothing-here"], 1, "files/not-found"],
  [["run", "/dev/null", "--input", "-", "--copies", "17"], 2, "usage/invalid"],
  [["run", "/dev/null", "--input", "-", "--copies", "2", "--agree", "3"], 2, "usage/invalid"],
  [["work", "--slots", "many"], 2, "usage/invalid"],
  [["work", "--allow"], 2, "usage/invalid"],
] as const)("%j ends with %i", async (words, exitCode, code) => {
  const data = await temporaryFolder();
  const running = start([...words, "--json"], { data });
  expect(await running.exitCode).toBe(exitCode);
  expect(running.stdout.events().at(-1)).toMatchObject({ event: "error", code });
});
