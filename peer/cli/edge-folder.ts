/**
 * The folder from which an installed package deploys: the package's own may be anybody's and is gone with the next update. Worker and page are
 * copied anew each time; wrangler.toml belongs to the user, and is kept as long as the package ships the same.
 */
import { copyFile, cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readSettings, writeSettings } from "./edge-settings.ts";
import { packageRoot } from "./package-info.ts";

/** What the user's file was made from. */
const SHIPPED_NAME = "wrangler.shipped.toml";

/**
 * Makes it, or brings it up to the installed package.
 * @param note told when a newer configuration has taken the place of the user's
 * @returns the folder
 */
export async function edgeFolder(
  folder: string,
  note: (text: string) => void,
  dist: string = join(packageRoot(), "dist"),
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await copyFile(join(dist, "worker.js"), join(folder, "worker.js"));
  await rm(join(folder, "web"), { recursive: true, force: true });
  await cp(join(dist, "web"), join(folder, "web"), { recursive: true });
  const [path, shippedPath] = [join(folder, "wrangler.toml"), join(folder, SHIPPED_NAME)];
  const shipped = await readFile(join(dist, "wrangler.toml"), "utf8");
  const own = await readText(path);
  if (own === undefined) await writeFile(path, shipped);
  else if ((await readText(shippedPath)) !== shipped) {
    const before = join(folder, "wrangler.before.toml");
    await rename(path, before);
    await writeFile(path, writeSettings(shipped, readSettings(own)));
    note(
      `peerloom has a newer wrangler.toml; name and variables were taken over. The one before is ${before}.`,
    );
  }
  await writeFile(shippedPath, shipped);
  return folder;
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}
