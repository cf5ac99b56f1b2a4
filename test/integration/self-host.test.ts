/** The self-host files as they are shipped: each is checked, and workerd is really started from them, with peers that relay. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
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
    mkdir(join(dist, "state")),
  ]);
  return dist;
}

/** The unit's own command line, with this machine's paths. */
function commandOf(dist: string): string[] {
  const line = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "";
  const [, ...words] = line
    .replaceAll("/opt/peerloom/dist", dist)
    .replace("/var/lib/peerloom", join(dist, "state"))
    .split(" ");
  return words;
}

interface Running {
  readonly url: string;
  readonly child: ChildProcess;
}

async function serve(dist: string, environment: Readonly<Record<string, string>> = {}): Promise<Running> {
  const words = [...commandOf(dist), "--socket-addr=http=127.0.0.1:0", "--control-fd=3"];
  const child = spawn(WORKERD, words, {
    cwd: dist,
    env: { DESCRIPTORS_MAX: "4096", ...environment },
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdio[3] as Readable });
  const [line] = (await once(lines, "line", { signal: AbortSignal.timeout(START_MS_MAX) })) as [string];
  const { port } = JSON.parse(line) as { readonly port: number };
  return { url: `http://127.0.0.1:${port}`, child };
}

test("workerd starts from the unit's command line: page, health, two peers that relay, state over a restart", async () => {
  const dist = await layOut();
  const first = await serve(dist, { STUN_URLS: "stun:stun.example:3478" });
  expect(await (await fetch(`${first.url}/health`)).json()).toMatchObject({ ok: true });
  const page = await fetch(`${first.url}/`);
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect((await fetch(`${first.url}/nothing.js`)).status).toBe(404);
  expect(await (await fetch(`${first.url}/v1/ice`)).json()).toMatchObject({
    iceServers: [{ urls: ["stun:stun.example:3478"] }],
  });

  const options = { edge: first.url, only: "relay" } as const;
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
  const second = await serve(dist);
  const metrics = await (await fetch(`${second.url}/metrics`)).text();
  expect(Number(/^peerloom_joins_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
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
    expect(caddy.match(/[{}]/g)?.filter((brace) => brace === "{").length).toBe(
      caddy.match(/[{}]/g)?.filter((brace) => brace === "}").length,
    );
  });

  test("the image has the workerd that the tests have, and starts it as the unit does", async () => {
    const { version } = JSON.parse(
      await readFile(join(ROOT, "node_modules", "workerd", "package.json"), "utf8"),
    ) as { readonly version: string };
    expect(dockerfile).toContain(`workerd@${version} `);
    expect(await read("README.md")).toContain(`workerd-linux-64@${version}`);
    const words = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? "[]") as string[];
    const ofUnit = (/^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "")
      .replace("/usr/local/bin/", "")
      .replace("/var/lib/peerloom", "/state");
    expect(words.join(" ")).toBe(ofUnit);
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
  const edge = services["edge"];
  if (edge === undefined) throw new Error("compose.yaml has no edge");
  const { context, dockerfile: path } = edge["build"] as { context: string; dockerfile: string };
  expect([context, path]).toEqual(["..", "self-host/Dockerfile"]);
});

test.for(["peerloom-edge.service", "peerloom-turn.service"])("systemd accepts %s", async (name, { skip }) => {
  const folder = await temporaryFolder();
  const path = join(folder, name);
  // The binary must exist, or it is complained of.
  await writeFile(path, (await read(name)).replace("/usr/local/bin/workerd", WORKERD));
  try {
    const { stdout, stderr } = await run("systemd-analyze", ["verify", "--man=no", path]);
    expect(`${stdout}${stderr}`).toBe("");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") skip("systemd-analyze is not here");
    throw error;
  }
});
