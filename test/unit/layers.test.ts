/**
 * Imports point one way. The table below is the whole rule: an area sees itself and what it lists, and of packages only
 * those it lists. Types count like values, for they carry the same knowledge.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Area {
  readonly name: string;
  readonly owns: RegExp;
  readonly sees: readonly string[];
  /** Packages, `node:` for all of Node's own. */
  readonly packages?: readonly string[];
}

const CORE = ["shared", "runtime", "identity", "links", "session", "overlay", "services", "api"];
const below = (name: string): string[] => CORE.slice(0, CORE.indexOf(name));

const AREAS: readonly Area[] = [
  { name: "shared", owns: /^shared\//, sees: [], packages: ["msgpackr"] },
  { name: "runtime", owns: /^peer\/runtime(-udp)?\.ts$/, sees: below("runtime") },
  ...CORE.slice(2).map((name) => ({
    name,
    owns: new RegExp(`^peer/${name}/`),
    sees: below(name),
    packages: name === "services" ? ["client-zip"] : [],
  })),
  // What processes of one machine keep from each other, for the adapter's part files and the commands' data folders.
  { name: "processes", owns: /^peer\/adapters\/node\/process-lock\.ts$/, sees: [], packages: ["node:"] },
  {
    name: "adapters",
    owns: /^peer\/adapters\//,
    sees: ["shared", "runtime", "processes"],
    packages: ["node:", "ws", "node-datachannel", "multicast-dns"],
  },
  // Beside the services: it has ids and connections of its own, so it sees no peer, and no peer sees it.
  { name: "peerjs", owns: /^peer\/peerjs\//, sees: below("services") },
  {
    name: "entries",
    owns: /^peer\/(node|deno|browser|sim|peerjs-node|peerjs-browser)\.ts$/,
    sees: [...CORE, "peerjs", "adapters", "simulation"],
  },
  { name: "simulation", owns: /^peer\/simulation\//, sees: [...CORE, "adapters"] },
  {
    name: "cli",
    owns: /^peer\/cli\//,
    sees: [...CORE, "entries", "simulation", "infra", "processes"],
    packages: ["node:"],
  },
  { name: "web", owns: /^peer\/web\//, sees: [...CORE, "entries"], packages: ["uqr"] },
  { name: "edge", owns: /^edge\//, sees: ["shared"], packages: ["hono", "cloudflare:workers"] },
  {
    name: "infra",
    owns: /^infra\//,
    sees: ["shared", "edge"],
    packages: ["node:", "esbuild", "miniflare", "vite", "wrangler"],
  },
];

/** What an import of `path` in the file `from` breaks, or undefined. Pure, so that the rule itself is tested. */
function breach(from: string, specifier: string): string | undefined {
  const area = AREAS.find(({ owns }) => owns.test(from));
  if (area === undefined) return `${from} lies in no area of the table`;
  if (!specifier.startsWith(".")) {
    const allowed = (area.packages ?? []).some((name) =>
      name.endsWith(":")
        ? specifier.startsWith(name)
        : specifier === name || specifier.startsWith(`${name}/`),
    );
    return allowed ? undefined : `${from} imports "${specifier}", a package that ${area.name} does not see`;
  }
  const target = join(dirname(from), specifier).split(sep).join("/");
  const targetArea = AREAS.find(({ owns }) => owns.test(target));
  if (targetArea === undefined) return `${from} imports "${specifier}", which lies in no area`;
  if (targetArea === area || area.sees.includes(targetArea.name)) return undefined;
  return `${from} (${area.name}) imports "${specifier}" (${targetArea.name}), which lies above it or beside it`;
}

/** Specifiers of static, dynamic, type and re-export imports; comments and strings elsewhere do not count. */
function importsOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
  const found = code.matchAll(
    /(?:^|[\s;}])(?:import|export)\s*(?:type\s*)?(?:[\w$*{},\s]+?\s*from\s*)?"([^"\n]+)"|\bimport\(\s*"([^"\n]+)"/g,
  );
  return Array.from(found, (match) => match[1] ?? match[2] ?? "");
}

function sourceFiles(): string[] {
  const files: string[] = [];
  for (const top of ["shared", "edge", "peer", "infra"]) {
    const folder = join(root, top);
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.m?ts$/.test(entry.name) || entry.name.endsWith(".d.ts")) continue;
      files.push(relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
    }
  }
  return files;
}

test("every import points downwards", () => {
  const breaches = sourceFiles().flatMap((file) =>
    importsOf(readFileSync(join(root, file), "utf8")).flatMap((specifier) => breach(file, specifier) ?? []),
  );
  expect(breaches).toEqual([]);
});

test("no file is called utils, and no layer has a barrel", () => {
  const found = sourceFiles().filter(
    (file) => /\/(utils?|helpers?)\.ts$/.test(file) || /^(peer|shared)\/.*\bindex\.ts$/.test(file),
  );
  expect(found).toEqual([]);
});

test.each([
  ["shared/codec.ts", "../peer/runtime.ts"],
  ["peer/links/tcp.ts", "../session/session.ts"],
  ["peer/links/tcp.ts", "../adapters/node/tcp.ts"],
  ["peer/session/session.ts", "node:crypto"],
  ["peer/adapters/node/tcp.ts", "../../links/link.ts"],
  ["edge/index.ts", "../peer/runtime.ts"],
  ["peer/services/files/store.ts", "ws"],
  ["peer/peerjs/door.ts", "../api/peer.ts"],
  ["peer/peerjs/door.ts", "../services/rpc/rpc.ts"],
  ["peer/services/rpc/rpc.ts", "../../peerjs/door.ts"],
  ["peer/api/peer.ts", "../peerjs/door.ts"],
  ["peer/simulation/simulated-network.ts", "../node.ts"],
  ["edge/peerjs-room.ts", "../peer/peerjs/server-messages.ts"],
])("%s may not import %s", (file, specifier) => {
  expect(breach(file, specifier)).toContain(specifier);
});

test("imports of every form are found, comments are not", () => {
  const source = [
    'import { a } from "./a.ts";',
    'import type { B,\n  C } from "./b.ts";',
    'export * from "./c.ts"; import "./d.ts";',
    'const e = await import("./e.ts"); // import "./no.ts"',
    '/* import x from "./no.ts" */ const from = "./no.ts";',
  ].join("\n");
  expect(importsOf(source)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
});
