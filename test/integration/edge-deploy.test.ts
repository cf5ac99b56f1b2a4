/** `edge deploy` as far as it goes without an account: the very configuration it would deploy, checked by wrangler itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Command, ROOT } from "./command.ts";

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
