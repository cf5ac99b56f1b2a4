/**
 * The web folder behind the embedded edge's `ASSETS`, as Cloudflare's asset service would hand it out. Miniflare's own puts a Worker
 * in front of the edge, which every request and every WebSocket then passes: half of the work of opening one.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { webName } from "../shared/web-names.ts";

export interface WebFile {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Undefined when there is no such file. @param path of the request's URL */
export async function webFile(folder: string, path: string): Promise<WebFile | undefined> {
  const file = webName(path);
  if (file === undefined) return undefined;
  const bytes = await readFile(join(folder, file.name)).catch(() => undefined);
  return bytes === undefined ? undefined : { bytes, headers: file.headers };
}
