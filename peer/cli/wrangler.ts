/** One run of wrangler, Cloudflare's own deployer: its words go to the user as they are, and what it reports of the deploy comes back. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { PeerloomError } from "../../shared/errors.ts";
import { ADMIN_TOKEN_VARIABLE } from "./admin-token.ts";
import type { CommandContext } from "./command.ts";

export interface WranglerRun {
  readonly words: readonly string[];
  /** Secrets of the Worker by name. They come by a file of this run's own, which is gone when it ends: arguments are visible to every user. */
  readonly secrets: Readonly<Record<string, string>>;
}

/**
 * Resolves with the address that wrangler reports, if it reports one.
 * @throws PeerloomError `edge/tools-missing`, `edge/unreachable` when wrangler fails
 */
export async function runWrangler(
  { words, secrets }: WranglerRun,
  { output, host, signal }: CommandContext,
): Promise<string | undefined> {
  const program = host.wranglerPath();
  const folder = await mkdtemp(join(tmpdir(), "peerloom-deploy-"));
  const onExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", onExit);
  try {
    const report = join(folder, "report.ndjson");
    const secretsWords = await secretsFile(join(folder, "secrets.json"), secrets);
    const { [ADMIN_TOKEN_VARIABLE]: _secret, ...environment } = host.environment;
    const child = spawn(process.execPath, [program, ...words, ...secretsWords], {
      // Under --json standard output belongs to our events; wrangler's words go to standard error.
      stdio: ["inherit", output.json ? 2 : "inherit", "inherit"],
      env: {
        ...environment,
        WRANGLER_SEND_METRICS: "false",
        // Its log files would hold what it sends.
        WRANGLER_LOG_SANITIZE: "true",
        WRANGLER_OUTPUT_FILE_PATH: report,
      },
      signal,
      killSignal: "SIGTERM",
    });
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) {
      throw new PeerloomError(
        "edge/unreachable",
        `wrangler ended with code ${code ?? "none"}; its own words are above.`,
      );
    }
    return deployedUrl(await readFile(report, "utf8").catch(() => ""));
  } finally {
    await rm(folder, { recursive: true, force: true });
    process.off("exit", onExit);
  }
}

/** As JSON: wrangler puts the environment's values into what it reads as dotenv. */
async function secretsFile(path: string, secrets: WranglerRun["secrets"]): Promise<readonly string[]> {
  if (Object.keys(secrets).length === 0) return [];
  await writeFile(path, JSON.stringify(secrets), { mode: 0o600 });
  return ["--secrets-file", path];
}

/** wrangler's report is one JSON object a line; the one of type `deploy` holds the addresses. */
function deployedUrl(report: string): string | undefined {
  for (const line of report.split("\n")) {
    if (!line.includes('"deploy"')) continue;
    try {
      const entry = JSON.parse(line) as { readonly type?: unknown; readonly targets?: unknown };
      const target: unknown = Array.isArray(entry.targets) ? entry.targets[0] : undefined;
      if (entry.type === "deploy" && typeof target === "string")
        return target.startsWith("http") ? target : `https://${target}`;
    } catch {
      continue; // a line that is not JSON says nothing about the address
    }
  }
  return undefined;
}
