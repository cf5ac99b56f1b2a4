/** What `edge deploy` asks, what it refuses, and the folder an installed package deploys from. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { edgeFolder } from "../../../peer/cli/edge-folder.ts";
import { readSettings, writeSettings } from "../../../peer/cli/edge-settings.ts";
import { start, temporaryFolder } from "./fakes.ts";

describe("wrong settings are refused before anything is built", () => {
  test.each([
    ["--name My_Edge", "no name of a Worker"],
    ["--name=-x", "no name of a Worker"],
    ["--networks some", "all or private"],
    ["--daily-units many", "whole number"],
    ["--daily-units 0", "whole number"],
  ])("%s", async (words, why) => {
    const running = start(["edge", "deploy", "--yes", ...words.split(" ")]);
    expect(await running.exitCode).toBe(2);
    expect(running.stderr.text).toContain(why);
  });

  test("also when they are answers", async () => {
    const asked: string[] = [];
    const answers = ["my-edge", "nobody"];
    const running = start(["edge", "deploy"], {
      ask: async (question) => {
        asked.push(question);
        return answers.shift() ?? "";
      },
    });
    expect(await running.exitCode).toBe(2);
    expect(asked).toEqual([
      "Name of the Worker? [peerloom-edge] ",
      "Which networks may use it, all or private? [all] ",
    ]);
    expect(running.stderr.text).toContain('not "nobody"');
  });
});

describe("an installed package's folder", () => {
  const shippedToml = (tag: string): string =>
    `# ${tag}\nname = "peerloom-edge"\nmain = "worker.js"\n\n[vars]\n# NETWORKS = "all" # who\nSTUN_URLS = "stun:a"\n`;

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
    const settings = { name: "mine", vars: { NETWORKS: "private" } };
    const own = `${writeSettings(await readFile(path, "utf8"), settings)}# my own remark\n`;
    await writeFile(path, own);

    await edgeFolder(folder, note, first);
    expect([await readFile(path, "utf8"), notes]).toEqual([own, []]);

    await edgeFolder(folder, note, second);
    const taken = await readFile(path, "utf8");
    expect(taken).toContain("# two");
    expect(readSettings(taken)).toEqual({ name: "mine", vars: { NETWORKS: "private", STUN_URLS: "stun:a" } });
    expect(await readFile(join(folder, "wrangler.before.toml"), "utf8")).toBe(own);
    expect(notes).toHaveLength(1);
    expect(await readdir(join(folder, "web"))).toEqual(["two.js"]);
    expect(await readFile(join(folder, "worker.js"), "utf8")).toBe("two");
  });
});
