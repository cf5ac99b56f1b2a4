/**
 * The web folder behind the embedded edge's `ASSETS`, as Cloudflare's asset service would hand it out. Miniflare's own puts a Worker
 * in front of the edge, which every request and every WebSocket then passes: half of the work of opening one.
 */
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};
/** Names without a leading dot, in folders of such names: nothing outside the web folder. */
const PATH = /^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/;

export interface WebFile {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Undefined when there is no such file. @param path of the request's URL */
export async function webFile(folder: string, path: string): Promise<WebFile | undefined> {
  const name = path === "/" ? "index.html" : path.slice(1);
  if (!PATH.test(name)) return undefined;
  const bytes = await readFile(join(folder, name)).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const contentType = CONTENT_TYPES[extname(name)] ?? "application/octet-stream";
  return {
    bytes,
    headers: { "content-type": contentType, "cache-control": "public, max-age=0, must-revalidate" },
  };
}
