/**
 * Names that come from a stranger and become paths. What could leave the target folder, mean something else on another
 * system, or hide another file is refused whole; nothing is repaired.
 */
import { PeerloomError } from "../../../shared/errors.ts";

export const NAME_BYTES_MAX = 255;
export const PATH_SEGMENTS_MAX = 32;

/** Device names that Windows opens whatever folder they are in. */
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/**
 * One segment of a path: no separators, no control characters, nothing that Windows or macOS would read otherwise.
 * @throws PeerloomError `files/path-escape`
 */
export function checkName(name: string): void {
  const isSound =
    name !== "" &&
    name !== "." &&
    name !== ".." &&
    new TextEncoder().encode(name).length <= NAME_BYTES_MAX &&
    name.isWellFormed() &&
    !/[/\\:*?"<>|\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(name) &&
    !/[. ]$/.test(name) &&
    !RESERVED.test(name);
  if (!isSound)
    throw new PeerloomError(
      "files/path-escape",
      `The name ${JSON.stringify(name.slice(0, 100))} is not safe to write.`,
    );
}

/**
 * Paths of one folder: every segment sound, no two that fall together where case or Unicode form do not count, none
 * below another file.
 * @throws PeerloomError `files/path-escape`
 */
export function checkPaths(paths: readonly string[]): void {
  const files = new Set<string>();
  for (const path of paths) {
    const segments = path.split("/");
    if (segments.length > PATH_SEGMENTS_MAX) throw clash(path);
    for (const segment of segments) checkName(segment);
    const folded = fold(path);
    if (files.has(folded)) throw clash(path);
    files.add(folded);
  }
  for (const path of paths) {
    const segments = fold(path).split("/");
    for (let depth = 1; depth < segments.length; depth++) {
      if (files.has(segments.slice(0, depth).join("/"))) throw clash(path);
    }
  }
}

function fold(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

function clash(path: string): PeerloomError {
  return new PeerloomError(
    "files/path-escape",
    `The path ${JSON.stringify(path.slice(0, 100))} is too deep or hides another.`,
  );
}
