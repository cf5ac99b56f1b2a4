/** Installs the packages of `anchors/` when they are not there, into that folder and nowhere else. */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const FOLDER = fileURLToPath(new URL("../anchors/", import.meta.url));
const INSTALL_MS_MAX = 300_000;

export async function installAnchors(): Promise<void> {
  const installed = await access(`${FOLDER}node_modules/libp2p/package.json`).then(
    () => true,
    () => false,
  );
  if (installed) return;
  // Nothing measured needs an install script; the native part of hyperdht is prebuilt inside its package.
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  await promisify(execFile)("npm", args, { cwd: FOLDER, timeout: INSTALL_MS_MAX });
}
