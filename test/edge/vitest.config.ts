/** Edge tests run inside workerd, with the Worker's own configuration. */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("../..", import.meta.url));
// The configuration names it; these tests ask for no page.
mkdirSync(`${root}dist/web`, { recursive: true });

export default defineConfig({
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
        },
        // Lower than in wrangler.toml, so that the test which reaches it is short.
        ratelimits: { LIMIT: { namespace_id: "1001", simple: { limit: 320, period: 60 } } },
      },
    }),
  ],
  test: {
    name: "edge",
    silent: "passed-only",
    include: ["test/edge/*.test.ts"],
    testTimeout: 10_000,
    hookTimeout: 10_000,
  },
});
