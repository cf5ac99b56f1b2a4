/** The self-host files as they are shipped: each is checked, and workerd is really started from them, with peers that relay. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { bundleStandalone, bundleWeb, bundleWorker } from "../../infra/bundle.ts";
import { WORKER_CONFIGURATION } from "../../infra/embedded-edge.ts";
import { ROOT, temporaryFolder } from "./command.ts";
import { openPeer } from "./peers.ts";

const FILES = join(ROOT, "infra", "self-host");
const WORKERD = (createRequire(import.meta.url)("workerd") as { readonly default: string }).default;
const START_MS_MAX = 20_000;
const run = promisify(execFile);

const read = (name: string): Promise<string> => readFile(join(FILES, name), "utf8");

let [capnp, unit, caddy, variables, dockerfile] = ["", "", "", "", ""];

beforeAll(async () => {
  [capnp, unit, caddy, variables, dockerfile] = (await Promise.all(
    ["workerd.capnp", "peerloom-edge.service", "Caddyfile", "edge.env.example", "Dockerfile"].map(read),
  )) as [string, string, string, string, string];
});

/** A folder laid out as the package's `dist`. */
async function layOut(): Promise<string> {
  const dist = await temporaryFolder();
  await Promise.all([
    bundleWorker().then((text) => writeFile(join(dist, "worker.js"), text)),
    bundleStandalone().then((text) => writeFile(join(dist, "standalone.js"), text)),
    bundleWeb(join(dist, "web")),
    cp(FILES, join(dist, "self-host"), { recursive: true }),
  ]);
  return dist;
}

/** What the Dockerfile copies of a `dist` that an operator has filled in, and no more. */
async function image(dist: string): Promise<string> {
  const copy = await temporaryFolder();
  for (const [, words = ""] of dockerfile.matchAll(/^COPY (.*)$/gm)) {
    const target = join(copy, relative("/opt/peerloom/dist", words.split(" ").at(-1) ?? ""));
    for (const source of words.split(" ").slice(0, -1)) {
      const isFolder = (await stat(join(dist, source))).isDirectory();
      await cp(join(dist, source), isFolder ? target : join(target, basename(source)), { recursive: true });
    }
  }
  return copy;
}

/** The unit's own command line, with this machine's paths. */
function commandOf(dist: string, state: string): string[] {
  const line = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "";
  return line.replaceAll("/opt/peerloom/dist", dist).replace("/var/lib/peerloom", state).split(" ");
}

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
}

async function serve(
  dist: string,
  state: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const [program = "", ...words] = commandOf(dist, state);
  const child = spawn(program, [...words, "--socket-addr=http=127.0.0.1:0", "--control-fd=3"], {
    cwd: dist,
    env: { PATH: `${dirname(WORKERD)}:${process.env["PATH"]}`, DESCRIPTORS_MAX: "4096", ...environment },
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdio[3] as Readable });
  const [line] = (await once(lines, "line", { signal: AbortSignal.timeout(START_MS_MAX) })) as [string];
  const { port } = JSON.parse(line) as { readonly port: number };
  return { url: `http://127.0.0.1:${port}`, child };
}

test("workerd starts from the unit's command line and the image's files: page, health, two peers that relay, state over a restart", async () => {
  const [dist, state] = [await image(await layOut()), await temporaryFolder()];
  const first = await serve(dist, state, { STUN_URLS: "stun:stun.example:3478" });
  expect(await (await fetch(`${first.url}/health`)).json()).toMatchObject({ ok: true });
  const page = await fetch(`${first.url}/`);
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect((await fetch(`${first.url}/nothing.js`)).status).toBe(404);
  expect(await (await fetch(`${first.url}/v1/ice`)).json()).toMatchObject({
    iceServers: [{ urls: ["stun:stun.example:3478"] }],
  });

  // Their overlays would dial too, and dials that cross use a channel each.
  const options = { edge: first.url, only: "relay", overlay: false } as const;
  const [a, b] = [await openPeer(options), await openPeer(options)];
  b.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
  const session = await a.connect(b.id);
  const stream = await session.open("echo/1");
  await stream.writable.getWriter().write(new TextEncoder().encode("over my own edge"));
  const { value } = await stream.readable.getReader().read();
  expect([new TextDecoder().decode(value), session.path.kind]).toEqual(["over my own edge", "relay"]);
  await expect
    .poll(
      async () =>
        (await (await fetch(`${first.url}/metrics`)).text()).match(/^peerloom_joins_total (\d+)$/m)?.[1],
    )
    .toBe("2");
  await a.close();
  await b.close();

  const ended = once(first.child, "exit");
  first.child.kill("SIGTERM");
  await ended;
  const objects = async (kind: string): Promise<number> =>
    (await readdir(join(state, `peerloom-${kind}`))).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))
      .length;
  // One was used, one asked for its health.
  expect([await objects("relay"), await objects("rendezvous")]).toEqual([2, 2]);
  const second = await serve(dist, state);
  expect([await objects("relay"), await objects("rendezvous")]).toEqual([0, 0]);
  const metrics = await (await fetch(`${second.url}/metrics`)).text();
  expect(Number(/^peerloom_joins_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
});

test("what nothing is stored in is swept out before workerd starts, and all else is kept", async () => {
  const state = await temporaryFolder();
  const folder = join(state, "peerloom-rendezvous");
  await mkdir(folder);
  const database = (name: string, storing: boolean): void => {
    const file = new DatabaseSync(join(folder, name));
    file.exec("PRAGMA journal_mode = WAL; PRAGMA user_version = 1;");
    if (storing) file.exec("CREATE TABLE bans (list BLOB)");
    file.close();
  };
  database("nothing.sqlite", false);
  database("something.sqlite", true);
  // Killed: what it stored is in its log alone.
  database("killed.sqlite", false);
  await writeFile(join(folder, "killed.sqlite-wal"), "a frame");
  const programs = await temporaryFolder();
  await writeFile(join(programs, "workerd"), "#!/bin/sh\n", { mode: 0o755 });
  const [program = "", ...words] = commandOf(dirname(FILES), state);
  await run(program, words, { env: { PATH: `${programs}:${process.env["PATH"]}` } });
  expect(new Set(await readdir(folder))).toEqual(
    new Set(["something.sqlite", "killed.sqlite", "killed.sqlite-wal"]),
  );
});

test("no image holds what an operator filled in", async () => {
  const dist = await layOut();
  await writeFile(join(dist, "self-host", "edge.env"), "TURN_SECRET=nobody-may-know\n");
  const copy = await image(dist);
  const files = (await readdir(copy, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  expect(files.map(({ name }) => name)).toContain("workerd.capnp");
  for (const { name, parentPath } of files)
    expect(await readFile(join(parentPath, name), "utf8")).not.toContain("nobody-may-know");
});

describe("the files agree", () => {
  test("with wrangler.toml's configuration: date, flags, objects", () => {
    const { compatibilityDate, compatibilityFlags, objects } = WORKER_CONFIGURATION;
    expect(capnp.match(/compatibilityDate = "[^"]*"/g)).toEqual(
      Array(2).fill(`compatibilityDate = "${compatibilityDate}"`),
    );
    expect(capnp).toContain(
      `compatibilityFlags = [${compatibilityFlags.map((flag) => `"${flag}"`).join(", ")}]`,
    );
    for (const [name, className] of Object.entries(objects)) {
      expect(capnp).toContain(`(name = "${name}", durableObjectNamespace = "${className}")`);
      expect(capnp).toMatch(
        new RegExp(`className = "${className}", uniqueKey = "peerloom-\\w+", enableSql = true`),
      );
    }
  });

  test("every variable of the Worker can be set, and the example sets none that is not one", async () => {
    const declared = (await readFile(join(ROOT, "edge", "env.ts"), "utf8")).matchAll(
      /^ {2}readonly ([A-Z_]+)\?: string;$/gm,
    );
    const bound = [...capnp.matchAll(/name = "(\w+)", fromEnvironment = "(\w+)"/g)];
    expect(bound.every(([, name, variable]) => name === variable)).toBe(true);
    const names = bound.map(([, name]) => name);
    expect(new Set(names)).toEqual(new Set([...declared].map(([, name]) => name)));
    for (const [, name] of variables.matchAll(/^#? ?([A-Z_]+)=/gm))
      expect([...names, "DOMAIN"]).toContain(name);
  });

  test("descriptors: unit, compose and Worker have the same number", async () => {
    const max = Number(/^DESCRIPTORS_MAX=(\d+)$/m.exec(variables)?.[1]);
    expect(Number(/^LimitNOFILE=(\d+)$/m.exec(unit)?.[1])).toBe(max);
    const { services } = await compose();
    expect(services["edge"]?.ulimits).toEqual({ nofile: { soft: max, hard: max } });
  });

  test("the proxy speaks to where workerd listens, on loopback, and tells whom it speaks for", () => {
    const address = /address = "([^"]+)"/.exec(capnp)?.[1] ?? "";
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(caddy).toContain(`{$EDGE_UPSTREAM:${address}}`);
    expect(caddy).toContain("header_up CF-Connecting-IP {remote_host}");
    expect(dockerfile).toContain(`http://${address}/health`);
  });

  test("the image has the workerd that the tests have, and starts it as the unit does", async () => {
    const { version } = JSON.parse(
      await readFile(join(ROOT, "node_modules", "workerd", "package.json"), "utf8"),
    ) as { readonly version: string };
    expect(dockerfile).toContain(`workerd@${version} `);
    expect(await read("README.md")).toContain(`workerd-linux-64@${version}`);
    const words = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
    expect(words).toEqual(commandOf("/opt/peerloom/dist", "/state"));
  });
});

interface Compose {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** Keys of the Compose Specification that are used here; another one is a slip of the pen until it is added. */
const SERVICE_KEYS = new Set(
  "build depends_on entrypoint env_file environment image network_mode restart stop_grace_period ulimits volumes".split(
    " ",
  ),
);

async function compose(): Promise<Compose> {
  return parse(await read("compose.yaml"), { strict: true, uniqueKeys: true }) as Compose;
}

test("compose.yaml is sound: known keys, pinned images, volumes and files that exist", async () => {
  const { services, volumes, ...rest } = await compose();
  expect(Object.keys(rest)).toEqual(["name"]);
  for (const [name, service] of Object.entries(services)) {
    expect([name, Object.keys(service).filter((key) => !SERVICE_KEYS.has(key))]).toEqual([name, []]);
    expect([name, "image" in service !== "build" in service]).toEqual([name, true]);
    if (typeof service["image"] === "string") expect(service["image"]).toMatch(/^[\w./-]+:\d[\w.-]*$/);
    // Arguments are visible to every user of the machine, and an image to whoever pulls it.
    expect(JSON.stringify([service["entrypoint"], service["build"]])).not.toMatch(/SECRET|TOKEN/);
    for (const other of (service["depends_on"] as string[] | undefined) ?? [])
      expect(services).toHaveProperty(other);
    for (const mount of (service["volumes"] as string[] | undefined) ?? []) {
      const [source = "", target] = mount.split(":");
      expect(target).toMatch(/^\//);
      if (source.startsWith("./")) expect((await read(source.slice(2))).length).toBeGreaterThan(0);
      else expect(Object.keys(volumes)).toContain(source);
    }
  }
  // What the shell of `--env-file edge.env` puts in must be in that file.
  for (const [, name] of (await read("compose.yaml")).matchAll(/\$\{?(\w+)/g))
    expect(variables).toMatch(new RegExp(`^${name}=`, "m"));
  const edge = services["edge"];
  if (edge === undefined) throw new Error("compose.yaml has no edge");
  const { context, dockerfile: path } = edge["build"] as { context: string; dockerfile: string };
  expect([context, path]).toEqual(["..", "self-host/Dockerfile"]);
});

/** Directives of Caddy that are used here, by the block they stand in; another one is a slip of the pen until it is added. */
const CADDY: Readonly<Record<string, readonly string[]>> = {
  "": ["{$DOMAIN}"],
  "{$DOMAIN}": ["encode", "reverse_proxy"],
  encode: ["match"],
  reverse_proxy: ["header_up", "stream_close_delay"],
};

test("the Caddyfile has known directives in their blocks, and every block ends", () => {
  const blocks = [""];
  for (const line of caddy.split("\n").map((text) => text.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    if (line === "}") blocks.pop();
    else {
      const [directive = ""] = line.split(" ");
      expect(CADDY[blocks.at(-1) ?? "beyond the end"]).toContain(directive);
      if (line.endsWith(" {")) blocks.push(directive);
    }
  }
  expect(blocks).toEqual([""]);
});

/** Runs a tool that need not be here. `missing` says by its answer that it is not, or an old one. */
async function withTool(
  [program, ...words]: readonly [string, ...string[]],
  skip: (why: string) => void,
  missing: RegExp = /^$/,
): Promise<string> {
  try {
    const { stdout, stderr } = await run(program, words, {
      env: { ...process.env, DOMAIN: "p2p.example.com" },
    });
    return `${stdout}${stderr}`;
  } catch (error) {
    const { code, stderr = "" } = error as NodeJS.ErrnoException & { readonly stderr?: string };
    if (code === "ENOENT" || missing.test(stderr)) skip(`${program} ${words[0]} is not here, or too old`);
    throw error;
  }
}

test("caddy accepts the Caddyfile", async ({ skip }) => {
  const words = [
    "caddy",
    "validate",
    "--adapter",
    "caddyfile",
    "--config",
    join(FILES, "Caddyfile"),
  ] as const;
  // Before 2.7.
  await withTool(words, skip, /unrecognized subdirective stream_close_delay/);
});

test("docker compose accepts compose.yaml", async ({ skip }) => {
  const folder = await temporaryFolder();
  await cp(FILES, folder, { recursive: true });
  const file = join(folder, "edge.env");
  await writeFile(file, variables.replace(/^TURN_SECRET=$/m, "TURN_SECRET=secret"));
  const compose = ["compose", "--env-file", file, "--file", join(folder, "compose.yaml")];
  const noCompose = /unknown command|not a docker command|unknown flag/;
  await withTool(["docker", ...compose, "config", "--quiet"], skip, noCompose);
});

test.for(["peerloom-edge.service", "peerloom-turn.service"])("systemd accepts %s", async (name, { skip }) => {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, await read(name));
  expect(await withTool(["systemd-analyze", "verify", "--man=no", path], skip)).toBe("");
});
