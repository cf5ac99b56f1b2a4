/** What `edge deploy` writes into wrangler.toml changes what was decided, and nothing else. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readSettings, writeSettings } from "../../../peer/cli/edge-settings.ts";

const shipped = readFileSync(new URL("../../../wrangler.toml", import.meta.url), "utf8");

/** Lines of `after` that are not in `before`, and the other way round. */
function difference(before: string, after: string): { readonly gone: string[]; readonly come: string[] } {
  const [a, b] = [before.split("\n"), after.split("\n")];
  return { gone: a.filter((line) => !b.includes(line)), come: b.filter((line) => !a.includes(line)) };
}

test("the shipped file: name and variables change in their places, every comment stays", () => {
  const vars = { RENDEZVOUS_SHARDS: "4", STUN_URLS: "stun:stun.example:3478", NEW_ONE: "x" };
  const written = writeSettings(shipped, { name: "my-edge", vars });
  expect(readSettings(written)).toMatchObject({ name: "my-edge", vars });
  const { gone, come } = difference(shipped, written);
  expect(gone).toEqual([
    'name = "peerloom-edge"',
    'STUN_URLS = "stun:stun.cloudflare.com:3478"',
    expect.stringMatching(/^# RENDEZVOUS_SHARDS = "1" +# objects/) as string,
  ]);
  expect(come).toEqual([
    'name = "my-edge"',
    'NEW_ONE = "x"',
    'STUN_URLS = "stun:stun.example:3478"',
    expect.stringMatching(/^RENDEZVOUS_SHARDS = "4" +# objects/) as string,
  ]);
  expect(writeSettings(written, { name: "my-edge", vars })).toBe(written);
});

/** What Cloudflare takes on the free plan; `--dry-run` does not know, and only a deploy would tell. */
const FREE_TABLES = [
  "assets",
  "build",
  "durable_objects.bindings",
  "migrations",
  "observability",
  "ratelimits",
  "vars",
];
const FREE_KEYS = [
  "name",
  "main",
  "compatibility_date",
  "compatibility_flags",
  "workers_dev",
  "send_metrics",
];

test("the shipped file has nothing in force that needs the paid plan", () => {
  const tables = [...shipped.matchAll(/^\[\[?([\w.]+)\]\]?/gm)].map(([, name]) => name);
  expect(new Set(tables)).toEqual(new Set(FREE_TABLES));
  const top = shipped.slice(0, shipped.search(/^\[/m));
  expect([...top.matchAll(/^(\w+) = /gm)].map(([, key]) => key)).toEqual(FREE_KEYS);
  expect(shipped).not.toMatch(/^new_classes/m); // objects without SQLite
  expect(readSettings(shipped).plan).toBe("free");
});

test("the plan puts the limits in force and takes them out again, and says nothing of the rest", () => {
  const paid = writeSettings(shipped, { name: "peerloom-edge", plan: "paid", vars: {} });
  expect(difference(shipped, paid)).toEqual({
    gone: ["# [limits]", "# cpu_ms = 1000"],
    come: ["[limits]", "cpu_ms = 1000"],
  });
  expect(readSettings(paid).plan).toBe("paid");
  expect(writeSettings(paid, { name: "peerloom-edge", vars: {} })).toBe(paid);
  expect(writeSettings(paid, { name: "peerloom-edge", plan: "free", vars: {} })).toBe(shipped);
});

test("a variable of another table of the same name is not touched", () => {
  const toml = 'name = "a"\n[other]\nX = "1"\n[vars]\nX = "2" # why\n[[more]]\nname = "b"\nX = "3"\n';
  expect(writeSettings(toml, { name: "c", vars: { X: "9" } })).toBe(
    'name = "c"\n[other]\nX = "1"\n[vars]\nX = "9" # why\n[[more]]\nname = "b"\nX = "3"\n',
  );
});

test.each(['say "so"', "back\\slash", "line\nend"])("%j does not get into the file", (value) => {
  expect(() => writeSettings(shipped, { name: "a", vars: { X: value } })).toThrow(
    expect.objectContaining({ code: "usage/invalid" }),
  );
});

test.each(["[vars]\n", 'name = "a"\n'])("%j is not what it writes into", (toml) => {
  expect(() => writeSettings(toml, { name: "a", vars: {} })).toThrow(
    expect.objectContaining({ code: "usage/invalid" }),
  );
});
