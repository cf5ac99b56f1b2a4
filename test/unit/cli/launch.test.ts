import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "./fakes.ts";

const LAUNCHER = fileURLToPath(new URL("../../../peer/cli/launch.mjs", import.meta.url));

/** A tree with the launcher and the entries given, none of them ours. */
async function tree(files: Record<string, string>): Promise<string> {
  const root = await temporaryFolder();
  await mkdir(join(root, "peer", "cli"), { recursive: true });
  await copyFile(LAUNCHER, join(root, "peer", "cli", "launch.mjs"));
  await writeFile(join(root, "package.json"), '{"type":"module"}');
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}

/** Node arguments that make this Node pass for an older one without type stripping. */
function pretend(version: string): string[] {
  const code = `Object.defineProperty(process.versions, "node", { value: "${version}" });`;
  return ["--no-experimental-strip-types", "--import", `data:text/javascript,${encodeURIComponent(code)}`];
}

/** Nothing is left in the cache of whoever runs the tests. */
function environment(root: string): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  return { ...env, XDG_CACHE_HOME: join(root, "cache") };
}

function launch(
  root: string,
  words: string[],
  nodeArguments: string[] = [],
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const file = join(root, "peer", "cli", "launch.mjs");
    const env = environment(root);
    execFile(process.execPath, [...nodeArguments, file, ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

const PRINT = "console.log(process.argv.slice(2).join(' ')); process.exitCode = 7;";

test("an installed package runs its dist", async () => {
  const root = await tree({ "dist/peer/cli/main.js": PRINT });
  expect(await launch(root, ["a", "b"])).toEqual({ code: 7, stdout: "a b\n", stderr: "" });
});

test("what was compiled is kept for the next start, in the user's own cache", async () => {
  const root = await tree({ "dist/peer/cli/main.js": PRINT });
  expect(await launch(root, ["x"])).toMatchObject({ code: 7 });
  const compiled = join(root, "cache", "peerloom", "compiled");
  expect(await readdir(compiled)).toHaveLength(1);

  // Where nothing can be kept it runs all the same.
  const full = await tree({ "dist/peer/cli/main.js": PRINT, cache: "a file" });
  expect(await launch(full, ["x"])).toEqual({ code: 7, stdout: "x\n", stderr: "" });
});

test("an installed package on an old Node says what it needs, and still helps", async () => {
  const root = await tree({ "dist/peer/cli/main.js": "console.log('ran');" });
  const refused = await launch(root, ["up"], pretend("22.11.0"));
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^peerloom: peerloom needs Node 22\.12 or newer; this is 22\.11\.0\..*\n$/);
  expect(await launch(root, ["help"], pretend("20.1.0"))).toMatchObject({ stdout: "ran\n" });
  expect(await launch(root, ["up"], pretend("22.12.0"))).toMatchObject({ code: 0, stdout: "ran\n" });
});

test("a checkout runs its sources, with the pinned Node where this one is too old", async () => {
  const root = await tree({
    "peer/cli/main.ts": `const typed: string = "sources"; console.log(typed); ${PRINT}`,
  });
  expect(await launch(root, ["x"])).toMatchObject({ code: 7, stdout: "sources\nx\n" });

  const missing = await launch(root, ["x"], pretend("20.1.0"));
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toContain("Run npm ci first");

  await mkdir(join(root, "node_modules", "node", "bin"), { recursive: true });
  await symlink(process.execPath, join(root, "node_modules", "node", "bin", "node"));
  expect(await launch(root, ["x"], pretend("20.1.0"))).toEqual({
    code: 7,
    stdout: "sources\nx\n",
    stderr: "",
  });
});

test.each([
  { signal: "SIGTERM", claim: "its signals reach the command" },
  { signal: "SIGKILL", claim: "the command does not outlive it" },
] as const)("a launcher that gets $signal: $claim", async ({ signal }) => {
  const root = await tree({
    "peer/cli/main.ts": `
      import { writeFileSync } from "node:fs";
      process.on("SIGTERM", () => { writeFileSync(process.argv[2] ?? "", "SIGTERM"); process.exit(0); });
      process.on("disconnect", () => { writeFileSync(process.argv[2] ?? "", "SIGKILL"); process.exit(0); });
      console.log(process.pid);`,
  });
  await mkdir(join(root, "node_modules", "node", "bin"), { recursive: true });
  await symlink(process.execPath, join(root, "node_modules", "node", "bin", "node"));
  const note = join(root, "note");
  const file = join(root, "peer", "cli", "launch.mjs");
  const launcher = spawn(process.execPath, [...pretend("20.1.0"), file, note], {
    stdio: ["ignore", "pipe", "inherit"],
    env: environment(root),
  });
  onTestFinished(() => void launcher.kill("SIGKILL"));
  await once(createInterface({ input: launcher.stdout }), "line");
  launcher.kill(signal);
  await expect.poll(() => readFile(note, "utf8").catch(() => ""), { timeout: 5000 }).toBe(signal);
});
