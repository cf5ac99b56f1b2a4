/** The command line's main job with real processes, a real edge and real files, as DESIGN section 6 promises it. */
import { createServer } from "node:net";
import { once } from "node:events";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  Command,
  descendants,
  type Event,
  finish,
  isRunning,
  randomFile,
  sha256File,
  startEdge,
  temporaryFolder,
} from "./command.ts";

interface Transfer {
  readonly only?: "direct" | "relay";
  readonly sharer?: "node" | "deno";
  readonly getter?: "node" | "deno";
  readonly listen?: boolean;
  readonly megabytes?: number;
}

/** `share` of something in a folder, until the test is over. @returns the ticket */
async function share(folder: string, name: string, edge: string): Promise<string> {
  const sharing = new Command(["share", join(folder, name), "--edge", edge, "--data", join(folder, "a")]);
  return String((await sharing.wait("shared"))["ticket"]);
}

/** `edge dev`, `share` and `get` in three processes; the claim is about the bytes and the path that carried them. */
async function transfer({ only, sharer = "node", getter = "node", listen = true, megabytes = 20 }: Transfer) {
  const folder = await temporaryFolder();
  const url = await startEdge();
  const original = await randomFile(join(folder, "original"), megabytes);
  const sharing = new Command(
    [
      "share",
      join(folder, "original"),
      "--edge",
      url,
      "--data",
      join(folder, "a"),
      ...(listen ? ["--listen", "127.0.0.1:0"] : []),
    ],
    { runtime: sharer },
  );
  const shared = await sharing.wait("shared");
  expect(shared).toMatchObject({ bytes: megabytes * 1_000_000, name: "original" });
  const copy = join(folder, "copy");
  const words = ["get", String(shared["ticket"]), "-o", copy, "--edge", url, "--data", join(folder, "b")];
  const getting = new Command([...words, ...(only === undefined ? [] : ["--only", only])], {
    runtime: getter,
  });
  const done = await getting.wait("done");
  expect(await getting.exit).toBe(0);
  expect(await sha256File(copy)).toBe(original);
  expect(done).toMatchObject({ path: copy, bytes: megabytes * 1_000_000, sources: 1, hash: shared["hash"] });
  expect(done["seconds"]).toBeGreaterThan(0);
  expect(getting.events.filter((event) => event.event === "progress").length).toBeGreaterThan(0);
  expect(await sharing.stop("SIGINT")).toBe(0);
  return done["by"] as { readonly direct: number; readonly relay: number };
}

describe("a file goes from one process to another", () => {
  test("through the relay only", async () => {
    const by = await transfer({ only: "relay" });
    expect(by.direct).toBe(0);
    expect(by.relay).toBeGreaterThanOrEqual(20_000_000);
  });

  test("directly only, over TCP", async () => {
    const by = await transfer({ only: "direct" });
    expect(by.relay).toBe(0);
    expect(by.direct).toBeGreaterThanOrEqual(20_000_000);
  });

  test("directly only, over WebRTC, when nobody listens", async () => {
    const by = await transfer({ only: "direct", listen: false });
    expect(by).toMatchObject({ relay: 0 });
  });

  test("over whatever is best, all of it accounted for", async () => {
    const by = await transfer({});
    expect(by.direct + by.relay).toBeGreaterThanOrEqual(20_000_000);
  });

  test.each([
    { sharer: "deno", getter: "node", only: "direct" },
    { sharer: "node", getter: "deno", only: "direct" },
    { sharer: "deno", getter: "node", only: "relay" },
    { sharer: "node", getter: "deno", only: "relay" },
  ] as const)("from $sharer to $getter, $only only", async (options) => {
    const by = await transfer({ ...options, megabytes: 5 });
    expect(by[options.only]).toBeGreaterThanOrEqual(5_000_000);
  });
});

test("a getter that is killed half-way resumes and fetches little twice", async () => {
  const folder = await temporaryFolder();
  const url = await startEdge();
  const bytes = 200_000_000;
  const original = await randomFile(join(folder, "original"), bytes / 1_000_000);
  const ticket = await share(folder, "original", url);
  const copy = join(folder, "copy");
  const words = ["get", ticket, "-o", copy, "--edge", url, "--data", join(folder, "b"), "--only", "relay"];

  const first = new Command(words);
  const half = await first.wait("progress", (event) => Number(event["bytes"]) > 0.4 * bytes);
  await first.stop("SIGKILL");
  expect(half["bytes"]).toBeLessThan(bytes);
  expect(await readdir(folder)).not.toContain("copy");

  const second = new Command(words);
  const done = await second.wait("done");
  const by = done["by"] as { readonly direct: number; readonly relay: number };
  expect(by.direct + by.relay).toBeLessThan(bytes - Number(half["bytes"]) + 0.1 * bytes);
  expect(await sha256File(copy)).toBe(original);
});

test("ping, status, id and get share one folder with a running up", async () => {
  const folder = await temporaryFolder();
  const url = await startEdge();
  const data = join(folder, "data");
  const up = new Command(["up", "--edge", url, "--data", data, "--listen", "127.0.0.1:0"]);
  const ready = await up.wait("ready");
  expect(ready).toMatchObject({ edge: url, listen: [expect.stringContaining("127.0.0.1:")] });

  const ping = await finish(["ping", String(ready["id"]), "--count", "20", "--edge", url, "--data", data]);
  expect(ping.code).toBe(0);
  const pongs = ping.events.filter((event) => event.event === "pong");
  expect(pongs.map((event) => event["seq"])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  for (const pong of pongs) expect(["direct", "relay"]).toContain(pong["path"]);
  expect(ping.events.at(-1)).toMatchObject({ event: "done", sent: 20, received: 20 });
  await up.wait("peer");

  expect((await finish(["id", "--data", data])).events).toEqual([{ event: "id", id: ready["id"] }]);
  const status = await finish(["status", "--data", data]);
  expect(status.events).toMatchObject([
    { event: "status", id: ready["id"], edge: url, listen: ready["listen"], shares: [] },
  ]);
  const second = await finish(["up", "--edge", url, "--data", data]);
  expect(second.code).toBe(1);
  expect(second.events).toMatchObject([{ event: "error", code: "data/locked" }]);

  expect(await up.stop("SIGINT")).toBe(0);
  expect((await finish(["id", "--data", data])).events).toEqual([{ event: "id", id: ready["id"] }]);
  expect((await finish(["status", "--data", data])).events).toMatchObject([
    { event: "error", code: "data/not-running" },
  ]);
});

test("a peer that was killed leaves a folder that the next one takes over", async () => {
  const folder = await temporaryFolder();
  const up = new Command(["up", "--edge", "none", "--data", folder]);
  const ready = await up.wait("ready");
  await up.stop("SIGKILL");
  const again = new Command(["up", "--edge", "none", "--data", folder]);
  expect(await again.wait("ready")).toMatchObject({ id: ready["id"] });
});

describe("errors", () => {
  test("wrong usage: one line, exit 2", async () => {
    const wrong = await finish(["get"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("an edge that is not there: a clear error within the deadline", async () => {
    // A port that was just free and is closed again: nobody listens there.
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    server.close();
    await once(server, "close");
    const folder = await temporaryFolder();
    const ping = await finish([
      "ping",
      `${"a".repeat(51)}q`,
      "--edge",
      `http://127.0.0.1:${port}`,
      "--data",
      folder,
    ]);
    expect(ping.code).toBe(1);
    expect(ping.events.filter((event) => event.event === "error")).toMatchObject([
      { code: "edge/unreachable" },
    ]);
  });

  test("a ticket that is none, and a file that is there already", async () => {
    const folder = await temporaryFolder();
    const bad = await finish(["get", "nonsense", "--edge", "none", "--data", join(folder, "b")], { folder });
    expect(bad.code).toBe(1);
    expect(bad.events.at(-1)).toMatchObject({ event: "error", code: "files/ticket-invalid" });

    const url = await startEdge();
    await randomFile(join(folder, "original"), 1);
    const ticket = await share(folder, "original", url);
    await writeFile(join(folder, "taken"), "mine");
    const words = ["get", ticket, "-o", join(folder, "taken"), "--edge", url, "--data", join(folder, "b")];
    const refused = await finish(words);
    expect(refused.code).toBe(1);
    expect(refused.events.at(-1)).toMatchObject({ event: "error", code: "files/exists" });
    expect(await readFile(join(folder, "taken"), "utf8")).toBe("mine");
    expect((await finish([...words, "--overwrite"])).code).toBe(0);
  });

  test("a path that is not there cannot be shared", async () => {
    const folder = await temporaryFolder();
    const sharing = await finish([
      "share",
      join(folder, "absent"),
      "--edge",
      "none",
      "--data",
      join(folder, "a"),
    ]);
    expect(sharing.code).toBe(1);
    expect(sharing.events.at(-1)).toMatchObject({ event: "error", code: "files/not-found" });
  });

  test("an interrupted get exits 130", async () => {
    const folder = await temporaryFolder();
    const url = await startEdge();
    await randomFile(join(folder, "original"), 200);
    const ticket = await share(folder, "original", url);
    const words = [
      "get",
      ticket,
      "-o",
      join(folder, "copy"),
      "--edge",
      url,
      "--data",
      join(folder, "b"),
      "--only",
      "relay",
    ];
    const getting = new Command(words);
    await getting.wait("progress", (event) => Number(event["bytes"]) > 0);
    expect(await getting.stop("SIGINT")).toBe(130);
  });
});

test("a folder with a subfolder arrives as it was", async () => {
  const folder = await temporaryFolder();
  const url = await startEdge();
  await mkdir(join(folder, "tree", "deep"), { recursive: true });
  const hashes = [
    await randomFile(join(folder, "tree", "a.bin"), 2),
    await randomFile(join(folder, "tree", "deep", "b.bin"), 1),
  ];
  await writeFile(join(folder, "tree", "empty"), "");
  await symlink("/etc/hostname", join(folder, "tree", "link"));
  const ticket = await share(folder, "tree", url);
  const words = ["get", ticket, "-o", join(folder, "copy"), "--edge", url, "--data", join(folder, "b")];
  expect((await finish(words)).code).toBe(0);
  expect(await sha256File(join(folder, "copy", "a.bin"))).toBe(hashes[0]);
  expect(await sha256File(join(folder, "copy", "deep", "b.bin"))).toBe(hashes[1]);
  expect(await readFile(join(folder, "copy", "empty"), "utf8")).toBe("");
  expect(await readdir(join(folder, "copy"))).not.toContain("link");
});

describe("nothing is left", () => {
  /** Half of a start is waiting, for workerd among others. */
  const LANES = 5;
  const ROUNDS = 10;
  const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

  /** Starts a command fifty times and stops it, with an empty temporary folder: whatever stays there is of its making. */
  async function startsAndStops(
    wordsOf: (lane: number) => readonly string[],
    afterwards: (ready: Event) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const environment = { TMPDIR: await temporaryFolder() };
    const inLane = async (lane: number): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        const command = new Command(wordsOf(lane), { environment });
        const ready = await command.wait("ready");
        const pids = [command.pid, ...(await descendants(command.pid))];
        expect(await command.stop(SIGNALS[round % SIGNALS.length])).toBe(0);
        await expect.poll(() => pids.filter(isRunning), { timeout: 5000 }).toEqual([]);
        await afterwards(ready);
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, lane) => inLane(lane)));
    await expect.poll(() => readdir(environment.TMPDIR), { timeout: 5000 }).toEqual([]);
  }

  test("after 50 starts and stops of a peer", { timeout: 300_000 }, async () => {
    const data = await temporaryFolder();
    const folderOf = (lane: number): string => join(data, String(lane));
    await startsAndStops((lane) => [
      "up",
      "--edge",
      "none",
      "--data",
      folderOf(lane),
      "--listen",
      "127.0.0.1:0",
    ]);
    for (let lane = 0; lane < LANES; lane++) {
      const files = await readdir(folderOf(lane));
      expect(files.filter((name) => /lock|sock|tmp/.test(name))).toEqual([]);
    }
  });

  test("after 50 starts and stops of an edge", { timeout: 600_000 }, async () => {
    await startsAndStops(
      () => ["edge", "dev", "--port", "0"],
      async ({ url, adminToken }) => {
        // Another lane's edge may have the port by now, and knows no such token.
        const headers = { authorization: `Bearer ${String(adminToken)}` };
        const status = await fetch(`${String(url)}/v1/cost`, { headers }).then(
          (response) => response.status,
          () => "nobody there",
        );
        expect([401, "nobody there"]).toContain(status);
      },
    );
  });
});

test("demo does the main job by itself", async () => {
  const demo = await finish(["demo", "--size", "8"]);
  expect(demo.code, demo.stderr).toBe(0);
  const done = demo.events.at(-1) as unknown as {
    readonly relay: { by: Record<string, number> };
    readonly direct: { by: Record<string, number> };
  };
  expect(done.relay.by).toMatchObject({ direct: 0 });
  expect(done.direct.by).toMatchObject({ relay: 0 });
});
