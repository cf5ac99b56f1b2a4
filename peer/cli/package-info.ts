/** Where this package lies and what its package.json says: in a checkout two folders up, in dist three. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../shared/errors.ts";

/** The folder that holds package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    assert(parent !== folder, "the command line lies inside its package");
    folder = parent;
  }
  return folder;
}

export function packageVersion(): string {
  return readString(readManifest(), "version");
}

/** `NAME@VERSION` of one of the edge's tools, exactly as tested. */
export function toolSpec(name: "miniflare" | "wrangler"): string {
  const peers = readManifest()["peerDependencies"];
  assert(typeof peers === "object" && peers !== null, "package.json names the edge's tools");
  return `${name}@${readString(peers as Readonly<Record<string, unknown>>, name)}`;
}

/** True in a checkout, where TypeScript runs as it is; false in an installed package. */
export function isCheckout(): boolean {
  return import.meta.url.endsWith(".ts");
}

function readManifest(): Readonly<Record<string, unknown>> {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  assert(typeof manifest === "object" && manifest !== null, "package.json is an object");
  return manifest as Readonly<Record<string, unknown>>;
}

function readString(record: Readonly<Record<string, unknown>>, key: string): string {
  const value = record[key];
  assert(typeof value === "string", `package.json has ${key}`);
  return value;
}
