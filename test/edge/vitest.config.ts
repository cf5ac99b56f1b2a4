/** Edge tests run inside workerd, with the Worker's own configuration. */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";

const root = fileURLToPath(new URL("../..", import.meta.url));
// The configuration names it; these tests ask for no page.
mkdirSync(`${root}dist/web`, { recursive: true });

/** Of a network with several objects. */
const SHARDED = "test/edge/shards.test.ts";

function project(
  name: string,
  files: { readonly include: string[]; readonly exclude?: string[] },
  bindings: Readonly<Record<string, string>> = {},
): TestProjectConfiguration {
  return {
    root,
    plugins: [
      cloudflareTest({
        wrangler: { configPath: `${root}wrangler.toml` },
        miniflare: {
          cf: false,
          bindings: {
            PUBLIC_ORIGINS: "https://also.example",
            // More than one, so that most messages cross from object to object.
            PEERJS_SHARDS: "4",
            PEERJS_KEYS: "peerjs, listed, hidden, small",
            PEERJS_DISCOVERY: "listed, elsewhere",
            PEERJS_SOCKETS_MAX: "100",
            ...bindings,
          },
          // Lower than in wrangler.toml, so that the test which reaches it is short.
          ratelimits: { LIMIT: { namespace_id: "1001", simple: { limit: 320, period: 60 } } },
        },
      }),
    ],
    test: { name, testTimeout: 10_000, hookTimeout: 10_000, ...files },
  };
}

export default defineConfig({
  root,
  test: {
    silent: "passed-only",
    projects: [
      project("edge", { include: ["test/edge/*.test.ts"], exclude: [SHARDED] }),
      project("edge in shards", { include: [SHARDED] }, { RENDEZVOUS_SHARDS: "3" }),
    ],
  },
});
