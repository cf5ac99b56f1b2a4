import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // Top-level await, WebCrypto's Ed25519, and what else peerloom needs of a browser.
  build: { target: "es2023" },
  resolve: {
    // Only in peerloom's own checkout, where the package is not installed.
    alias: { peerloom: fileURLToPath(new URL("../../../peer/browser.ts", import.meta.url)) },
  },
});
