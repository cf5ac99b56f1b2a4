/**
 * How much of the runtime travels to a page, and how much may: gzipped, as the edge sends it. The core is what `import "/peer.js"` loads; every
 * part besides is what its first use loads on top.
 */
import { gzipSync } from "node:zlib";
import type { Metafile } from "esbuild";

/**
 * What was reached, and a little room to work in. A change that needs more says in ARCHITECTURE.md what it buys.
 * The aims are 25 and 60 KiB; ARCHITECTURE.md says what the rest is.
 */
export const WEB_BUDGET: { readonly coreGzipBytesMax: number; readonly allGzipBytesMax: number } = {
  coreGzipBytesMax: 63 * 1024,
  allGzipBytesMax: 188.5 * 1024,
};

export interface PartSize {
  readonly name: string;
  readonly bytes: number;
  readonly gzipBytes: number;
  readonly files: number;
}

export interface WebSizes {
  /** What a page loads first. */
  readonly core: PartSize;
  /** Each with what it needs besides the core. */
  readonly parts: readonly PartSize[];
  /** The core and every capability of the runtime; neither elements nor page. */
  readonly all: PartSize;
}

type Outputs = Metafile["outputs"];

/**
 * @param entries source file of each module by the name it is served under; `peer` is the core
 * @param read an output by its path, as it is served
 */
export async function sizesOf(
  { outputs }: Metafile,
  entries: Readonly<Record<string, string>>,
  read: (path: string) => Promise<Uint8Array>,
): Promise<WebSizes> {
  const files = new Map<string, { readonly bytes: number; readonly gzipBytes: number }>();
  for (const path of Object.keys(outputs)) {
    const content = await read(path);
    files.set(path, { bytes: content.length, gzipBytes: gzipSync(content).length });
  }
  const sizeOf = (name: string, paths: ReadonlySet<string>): PartSize => {
    const list = [...paths];
    return {
      name,
      bytes: list.reduce((sum, path) => sum + (files.get(path)?.bytes ?? 0), 0),
      gzipBytes: list.reduce((sum, path) => sum + (files.get(path)?.gzipBytes ?? 0), 0),
      files: list.length,
    };
  };
  const outputOf = (source: string | undefined): string =>
    Object.keys(outputs).find((path) => outputs[path]?.entryPoint === source) ?? "";
  const core = reached(outputs, outputOf(entries["peer"]), "static");
  const all = reached(outputs, outputOf(entries["peer"]), "all");
  const parts: PartSize[] = [];
  for (const [path, { entryPoint }] of Object.entries(outputs)) {
    if (entryPoint === undefined || core.has(path)) continue;
    const own = new Set([...reached(outputs, path, "static")].filter((each) => !core.has(each)));
    parts.push(sizeOf(entryPoint.replace(/^peer\//, ""), own));
  }
  parts.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { core: sizeOf("core", core), parts, all: sizeOf("all", all) };
}

/** Files that one loads at once, or ever. */
function reached(outputs: Outputs, from: string, how: "static" | "all"): Set<string> {
  const found = new Set<string>();
  const waiting = [from];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const output = outputs[path];
    if (output === undefined || found.has(path)) continue;
    found.add(path);
    for (const { path: to, kind } of output.imports)
      if (how === "all" || kind === "import-statement") waiting.push(to);
  }
  return found;
}
