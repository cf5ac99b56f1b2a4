/** What `edge deploy` asks, what it refuses, and the folder an installed package deploys from. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nextStep } from "../../../peer/cli/edge-deploy.ts";
import { edgeFolder } from "../../../peer/cli/edge-folder.ts";
import { readSettings, writeSettings } from "../../../peer/cli/edge-settings.ts";
import { start, temporaryFolder } from "./fakes.ts";

describe("wrong settings are refused before anything is built", () => {
  test.each([
    ["--name My_Edge", "no name of a Worker"],
    ["--name=-x", "no name of a Worker"],
    ["--networks Some", "all, private, or names"],
    ["--plan gold", "free or paid"],
    ["--daily-units many", "whole number"],
    ["--daily-units 0", "whole number"],
  ])("%s", async (words, why) => {
    const running = start(["edge", "deploy", "--yes", ...words.split(" ")]);
    expect(await running.exitCode).toBe(2);
    expect(running.stderr.text).toContain(why);
  });

  test("also when they are answers", async () => {
    const asked: string[] = [];
    const answers = ["my-edge", "no body!"];
    const running = start(["edge", "deploy"], {
      ask: async (question) => {
        asked.push(question);
        return answers.shift() ?? "";
      },
    });
    expect(await running.exitCode).toBe(2);
    expect(asked).toEqual([
      "Name of the Worker? [peerloom-edge] ",
      "Which networks may use it: all, private, or names? [all] ",
    ]);
    expect(running.stderr.text).toContain('not "no body!"');
  });
});

describe("the free plan", () => {
  const deploy = async (...words: string[]): Promise<{ config: string; stderr: string }> => {
    const data = await temporaryFolder();
    const [program, seen] = [join(data, "stand-in.mjs"), join(data, "seen.toml")];
    await writeFile(program, COPY_CONFIGURATION);
    const running = start(["edge", "deploy", "--dry-run", ...words], {
      data,
      environment: { SEEN: seen },
      wranglerPath: () => program,
    });
    expect(await running.exitCode).toBe(0);
    return { config: await readFile(seen, "utf8"), stderr: running.stderr.text };
  };

  test("is what is deployed for by default, and told to end before the budget does", async () => {
    const { config, stderr } = await deploy();
    expect(readSettings(config).plan).toBe("free");
    expect(stderr).toContain("100,000 requests a day");
    expect((await deploy("--daily-units", "100000")).stderr).not.toContain("100,000");
  });

  test("is left by saying so", async () => {
    const { config, stderr } = await deploy("--plan", "paid");
    expect(config).toMatch(/^\[limits\]\ncpu_ms = 1000$/m);
    expect(stderr).not.toContain("100,000");
  });
});

/** Keeps the configuration that it was to deploy. */
const COPY_CONFIGURATION = `
import { copyFileSync } from "node:fs";
copyFileSync(process.argv[process.argv.indexOf("--config") + 1], process.env.SEEN);
`;

/** Writes down how it was called and what it was handed, and reports an address. */
const STAND_IN = `
import { readFileSync, statSync, writeFileSync } from "node:fs";
const words = process.argv.slice(2);
const at = words.indexOf("--secrets-file");
const path = at < 0 ? null : words[at + 1];
const secrets = path && { path, mode: statSync(path).mode & 0o777, text: readFileSync(path, "utf8") };
writeFileSync(process.env.SEEN, JSON.stringify({ words, secrets, environment: process.env }));
writeFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, '{"type":"deploy","targets":["my-edge.example.workers.dev"]}');
process.exit(Number(process.env.CODE ?? 0));
`;

interface Seen {
  readonly words: readonly string[];
  readonly secrets: { readonly path: string; readonly mode: number; readonly text: string } | null;
  readonly environment: Record<string, string>;
}

describe("the admin token goes to the Worker as a secret, and to its operator as a link", () => {
  async function deploy(
    words: readonly string[],
    data: string,
    environment: Record<string, string> = {},
  ): Promise<{ seen: Seen; events: Record<string, unknown>[]; stderr: string }> {
    const [program, seen] = [join(data, "stand-in.mjs"), join(data, "seen.json")];
    await writeFile(program, STAND_IN);
    const running = start(["edge", "deploy", "--yes", "--json", ...words], {
      data,
      environment: { ...environment, SEEN: seen },
      wranglerPath: () => program,
    });
    await running.exitCode;
    return {
      seen: JSON.parse(await readFile(seen, "utf8")) as Seen,
      events: running.stdout.events(),
      stderr: running.stderr.text,
    };
  }

  test("one is made, kept for the next time, and handed over by a file that is gone afterwards", async () => {
    const data = await temporaryFolder();
    const { seen, events, stderr } = await deploy([], data);
    const kept = join(data, "edge", "admin-token.peerloom-edge");
    const token = (await readFile(kept, "utf8")).trim();
    expect(token).toMatch(/^[\w-]{32}$/);
    expect((await stat(kept)).mode & 0o777).toBe(0o600);
    expect(events).toEqual([
      expect.objectContaining({
        event: "deployed",
        url: "https://my-edge.example.workers.dev",
        admin: `https://my-edge.example.workers.dev/admin#token=${token}`,
      }),
    ]);
    expect(seen.secrets).toMatchObject({ mode: 0o600, text: JSON.stringify({ EDGE_ADMIN_TOKEN: token }) });
    expect(existsSync(seen.secrets?.path ?? "/")).toBe(false);
    expect(JSON.stringify([seen.words, seen.environment, stderr])).not.toContain(token);
    const again = await deploy([], data);
    expect(again.events[0]).toMatchObject({ admin: events[0]?.["admin"] });
  });

  test("the operator's own is taken, kept nowhere, and survives a link", async () => {
    const data = await temporaryFolder();
    const token = "a+b/c=d&e#f%";
    const { seen, events } = await deploy([], data, { PEERLOOM_ADMIN_TOKEN: token });
    expect(JSON.parse(seen.secrets?.text ?? "")).toEqual({ EDGE_ADMIN_TOKEN: token });
    const fragment = new URL(String(events[0]?.["admin"])).hash.slice(1);
    expect(new URLSearchParams(fragment).get("token")).toBe(token);
    expect(seen.environment["PEERLOOM_ADMIN_TOKEN"]).toBeUndefined();
    expect(existsSync(join(data, "edge"))).toBe(false);
  });

  test("the file is gone where wrangler fails too", async () => {
    const { seen, events } = await deploy([], await temporaryFolder(), { CODE: "3" });
    expect(events).toEqual([expect.objectContaining({ event: "error", code: "edge/unreachable" })]);
    expect(seen.secrets).not.toBeNull();
    expect(existsSync(seen.secrets?.path ?? "/")).toBe(false);
  });

  test("a dry run makes and passes nothing secret, and neither does who hands over a file of secrets", async () => {
    const data = await temporaryFolder();
    const own = join(data, "own.json");
    await writeFile(own, "{}");
    for (const words of [["--dry-run"], ["--data", data, "--", "--secrets-file", own]]) {
      const { seen, events } = await deploy(words, data, { PEERLOOM_ADMIN_TOKEN: "not-to-be-told" });
      expect(JSON.stringify([seen, events])).not.toContain("not-to-be-told");
      expect(seen.secrets?.text).toBe(words.length > 1 ? "{}" : undefined);
      expect(existsSync(join(data, "edge"))).toBe(false);
    }
  });

  test.each(["with space", "line\nend", "x".repeat(257), "größer"])("%j is no token", async (token) => {
    const running = start(["edge", "deploy", "--yes"], {
      data: await temporaryFolder(),
      environment: { PEERLOOM_ADMIN_TOKEN: token },
    });
    expect(await running.exitCode).toBe(2);
    expect(running.stderr.text).toContain("PEERLOOM_ADMIN_TOKEN");
  });
});

test("an edge of private networks only says how one comes to one", () => {
  const url = "https://edge.example";
  expect(nextStep(url, "private")).toMatch(/network create.*invite --edge https:\/\/edge\.example/);
  expect(nextStep(url, "all")).toMatch(/up --edge https:\/\/edge\.example$/);
  expect(nextStep(url, "private lobby")).toMatch(/up --edge https:\/\/edge\.example --network lobby$/);
  expect(nextStep(url, "lobby all")).toMatch(/up --edge https:\/\/edge\.example$/);
});

describe("an installed package's folder", () => {
  const shippedToml = (tag: string): string =>
    `# ${tag}\nname = "peerloom-edge"\nmain = "worker.js"\n\n# [limits]\n# cpu_ms = 1000\n\n[vars]\n# NETWORKS = "all" # who\nSTUN_URLS = "stun:a"\n`;

  async function dist(tag: string): Promise<string> {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "web"));
    await writeFile(join(folder, "worker.js"), tag);
    await writeFile(join(folder, "web", `${tag}.js`), tag);
    await writeFile(join(folder, "wrangler.toml"), shippedToml(tag));
    return folder;
  }

  test("keeps what the user wrote, takes a new package over, and destroys nothing", async () => {
    const folder = join(await temporaryFolder(), "edge");
    const notes: string[] = [];
    const note = (text: string): void => void notes.push(text);
    const path = join(folder, "wrangler.toml");
    const [first, second] = [await dist("one"), await dist("two")];

    await edgeFolder(folder, note, first);
    expect(await readFile(path, "utf8")).toBe(shippedToml("one"));
    const settings = { name: "mine", plan: "paid", vars: { NETWORKS: "private" } } as const;
    const own = `${writeSettings(await readFile(path, "utf8"), settings)}# my own remark\n`;
    await writeFile(path, own);

    await edgeFolder(folder, note, first);
    expect([await readFile(path, "utf8"), notes]).toEqual([own, []]);

    await edgeFolder(folder, note, second);
    const taken = await readFile(path, "utf8");
    expect(taken).toContain("# two");
    const vars = { NETWORKS: "private", STUN_URLS: "stun:a" };
    expect(readSettings(taken)).toEqual({ name: "mine", plan: "paid", vars });
    expect(await readFile(join(folder, "wrangler.before.toml"), "utf8")).toBe(own);
    expect(notes).toHaveLength(1);
    expect(await readdir(join(folder, "web"))).toEqual(["two.js"]);
    expect(await readFile(join(folder, "worker.js"), "utf8")).toBe("two");
  });
});
