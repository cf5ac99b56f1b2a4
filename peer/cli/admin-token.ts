/**
 * The token that makes somebody an edge's operator: it shows what the edge spends, and opens its page `/admin`. It is the operator's own, or one that is
 * made here and kept, readable by its owner only.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { PeerloomError } from "../../shared/errors.ts";

/** The secret, by the environment: arguments are visible to every user of a machine. */
export const ADMIN_TOKEN_VARIABLE = "PEERLOOM_ADMIN_TOKEN";
/** What a header carries as it is, and as much of it as the edge reads. */
const TOKEN = /^[\x21-\x7e]{1,256}$/;

/**
 * What the environment says, else what is kept in the file, else a new one, which is then kept there.
 * @param file undefined: it is kept nowhere
 * @throws PeerloomError `usage/invalid` for one that no header carries, `data/unwritable`
 */
export async function adminToken(
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
): Promise<string> {
  const given = (environment[ADMIN_TOKEN_VARIABLE] ?? "").trim();
  if (given !== "") return checked(given, ADMIN_TOKEN_VARIABLE);
  const made = randomBytes(24).toString("base64url");
  if (file === undefined) return made;
  const kept = (await readFile(file, "utf8").catch(() => "")).trim();
  if (kept !== "") return checked(kept, file);
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, `${made}\n`, { mode: 0o600 });
  } catch (cause) {
    throw new PeerloomError(
      "data/unwritable",
      `${file}, which keeps the edge's admin token, cannot be written. Give a token by ${ADMIN_TOKEN_VARIABLE}.`,
      { cause },
    );
  }
  return made;
}

/** The page of the edge's operator. The token stays in the fragment, which browsers send to nobody. */
export function adminUrl(edge: string, token: string): string {
  return `${new URL("/admin", edge).href}#token=${encodeURIComponent(token)}`;
}

function checked(token: string, from: string): string {
  if (TOKEN.test(token)) return token;
  throw new PeerloomError(
    "usage/invalid",
    `The admin token in ${from} takes 1 to 256 letters, digits and signs of ASCII, without spaces.`,
  );
}
