/** Installs the packages of `anchors/` when they are not there, into that folder and nowhere else. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const FOLDER = fileURLToPath(new URL("../anchors/", import.meta.url));
const INSTALL_MS_MAX = 300_000;

export async function installAnchors(): Promise<void> {
  if (await areInstalled()) return;
  // Nothing measured needs an install script; the native part of hyperdht is prebuilt inside its package.
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  await promisify(execFile)("npm", args, { cwd: FOLDER, timeout: INSTALL_MS_MAX });
}

/** Each at the version asked for: a package that was added later is missing from an older folder. */
async function areInstalled(): Promise<boolean> {
  const { dependencies } = (await readPackage("package.json")) ?? {};
  const wanted = Object.entries(dependencies ?? {});
  const found = await Promise.all(wanted.map(([name]) => readPackage(`node_modules/${name}/package.json`)));
  return wanted.every(([, version], index) => found[index]?.version === version);
}

interface PackageJson {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Undefined when it is not there. */
async function readPackage(path: string): Promise<PackageJson | undefined> {
  const text = await readFile(FOLDER + path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as PackageJson);
}
