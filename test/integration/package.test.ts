/**
 * What is made of a checkout: by `npm pack`, which is what users get, and by wrangler. The package helps from an empty folder, has types, is small and builds
 * nothing. Both write `dist`, so they are tested in one file, one after the other.
 */
import { execFile } from "node:child_process";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { Command, ROOT, temporaryFolder } from "./command.ts";

const run = promisify(execFile);
const BIN = join(ROOT, "node_modules", ".bin");
// The pinned Node comes first, so that npm's children find it too.
const env = {
  ...process.env,
  PATH: `${dirname(process.execPath)}:${BIN}:${process.env["PATH"] ?? ""}`,
  npm_config_yes: "true",
  // What would be kept is of files that are gone with the test.
  NODE_DISABLE_COMPILE_CACHE: "1",
};

/** Megabytes that a peer's installation may take. */
const INSTALL_MB_MAX = 15;

let tarball = "";
let installed = "";

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "peerloom-pack-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT, env });
  tarball = join(folder, /peerloom-[\w.-]+\.tgz/.exec(stdout)?.[0] ?? "missing");
  installed = join(folder, "project");
  await mkdir(installed);
  await writeFile(join(installed, "package.json"), '{ "private": true, "type": "module" }');
  await run("npm", ["install", "--no-audit", "--no-fund", tarball], { cwd: installed, env });
  return () => rm(folder, { recursive: true, force: true });
}, 300_000);

test("npx of the tarball helps from an empty folder and leaves it empty", async () => {
  const folder = await temporaryFolder();
  const { stdout } = await run("npx", [relative(folder, tarball), "help"], { cwd: folder, env });
  expect(stdout).toContain("Usage: peerloom COMMAND");
  expect(await readdir(folder)).toEqual([]);
});

test("the tarball holds what it needs and no sources", async () => {
  const { stdout } = await run("tar", ["-tzf", tarball]);
  const files = stdout.trim().split("\n");
  for (const name of [
    "dist/peer/node.js",
    "dist/peer/node.d.ts",
    "dist/peer/browser.js",
    "dist/peer/sim.js",
    "dist/peer/sim.d.ts",
    "dist/peer/peerjs-node.js",
    "dist/peer/peerjs-node.d.ts",
    "dist/peer/peerjs-browser.js",
    "dist/web/peerjs.js",
    "dist/worker.js",
    "dist/wrangler.toml",
    "dist/OPERATING.md",
    "dist/grafana.json",
    "dist/alerts.yaml",
    "dist/self-host/README.md",
    "dist/self-host/edge.sh",
    "dist/self-host/turn.sh",
  ]) {
    expect(files).toContain(`package/${name}`);
  }
  expect(files).toContain("package/peer/cli/launch.mjs");
  expect(files.filter((name) => /(?<!\.d)\.ts$|\/test\//.test(name))).toEqual([]);
});

test("a peer's installation is small and compiles nothing", async () => {
  expect(await bytesBelow(join(installed, "node_modules"))).toBeLessThan(INSTALL_MB_MAX * 1_000_000);
  const { stdout } = await run("npm", ["query", ":attr(scripts, [install]), :attr(scripts, [postinstall])"], {
    cwd: installed,
    env,
  });
  expect((JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)).toEqual([]);
});

test("the installed package runs in Node and Deno, and its types are complete", async () => {
  const version = /peerloom-(.+)\.tgz/.exec(basename(tarball))?.[1];
  const node = await run("npx", ["peerloom", "--version"], { cwd: installed, env });
  expect(node.stdout.trim()).toBe(version);
  const deno = await run(join(BIN, "deno"), ["run", "-A", "npm:peerloom", "--version"], {
    cwd: installed,
    env,
  });
  expect(deno.stdout.trim()).toBe(version);

  const program =
    'import { Peer } from "peerloom";\nimport { PeerJsDoor } from "peerloom/peerjs";\n' +
    'import { simulate } from "peerloom/sim";\n' +
    'for (const { open } of [Peer, PeerJsDoor]) if (typeof open !== "function") throw new Error("nothing opens");\n' +
    "const echoed = await simulate({ seed: 1 }, async (network) => {\n" +
    '  const [anna, ben] = [await network.open("anna"), await network.open("ben")];\n' +
    '  ben.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));\n' +
    '  const stream = await (await anna.connect(ben.id)).open("echo/1");\n' +
    "  const writer = stream.writable.getWriter();\n" +
    "  await writer.write(Uint8Array.of(7));\n" +
    "  return (await stream.readable.getReader().read()).value?.[0];\n" +
    "});\n" +
    'if (echoed !== 7) throw new Error("nothing was echoed");\n';
  await writeFile(join(installed, "program.ts"), program);
  await run(process.execPath, ["program.ts"], { cwd: installed, env });
  await run(join(BIN, "deno"), ["run", "-A", "program.ts"], { cwd: installed, env });
  const words = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2024",
    "--types",
    "",
    "program.ts",
  ];
  await run(join(BIN, "tsc"), words, { cwd: installed, env });
});

test("publint finds nothing to complain about", async () => {
  await run(join(BIN, "publint"), ["run", tarball, "--strict"], { cwd: ROOT, env });
});

test("edge dev without its tools says how to get them", async () => {
  const failure = run("npx", ["peerloom", "edge", "dev", "--json"], { cwd: installed, env });
  await expect(failure).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringContaining("edge/tools-missing") as string,
  });
  await expect(failure).rejects.toMatchObject({
    stdout: expect.stringMatching(/npm install miniflare@\d/) as string,
  });
});

/** `edge deploy` as far as it goes without an account: the very configuration it would deploy, checked by wrangler itself. */
test("wrangler accepts what was decided, and the checkout's file is left as it was", async () => {
  const path = join(ROOT, "wrangler.toml");
  const before = await readFile(path, "utf8");
  const words = ["edge", "deploy", "--dry-run", "--name", "my-own-edge"];
  const deploy = new Command([...words, "--networks", "private", "--daily-units", "5000"]);
  expect(await deploy.exit).toBe(0);
  expect(deploy.events.at(-1)).toMatchObject({
    event: "checked",
    name: "my-own-edge",
    vars: { NETWORKS: "private", BUDGET_UNITS: "5000" },
  });
  // wrangler's own words, of what the Worker would be given.
  expect(deploy.stderr).toContain('env.NETWORKS ("private")');
  expect(deploy.stderr).toContain('env.BUDGET_UNITS ("5000")');
  expect(deploy.stderr).toContain("env.RENDEZVOUS (Rendezvous)");
  expect(await readFile(path, "utf8")).toBe(before);
});

async function bytesBelow(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
