/**
 * One project per kind of test. Unit and property tests are many and short; integration and browser tests start processes, so they run in processes of their
 * own, where native addons are loaded: integration tests wait for theirs half of the time, so two files at once; a browser takes all there is.
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Simulations and properties compute for seconds, and longer where others share the machine. */
const short = {
  testTimeout: 60_000,
  hookTimeout: 30_000,
  // One core would stay idle otherwise, which is half of a small machine.
  maxWorkers: "100%",
};
const long = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  // Hundreds of processes start from the same sources: compiled once, they start with a third of the work.
  env: { NODE_COMPILE_CACHE: fileURLToPath(new URL("node_modules/.cache/node", import.meta.url)) },
};

const IN_FIREFOX = [
  "chat",
  "compute",
  "doctor",
  "elements",
  "origin-files",
  "overlay",
  "page",
  "peerjs-door",
];

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/contract/**/*.test.ts", "test/sim/**/*.test.ts"],
          ...short,
        },
      },
      {
        extends: true,
        test: {
          name: "property",
          include: ["test/property/**/*.test.ts"],
          setupFiles: ["test/property/seed.ts"],
          ...short,
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts", "test/examples/**/*.test.ts"],
          ...long,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: { name: "browser", include: ["test/browser/**/*.test.ts"], ...long, maxWorkers: 1 },
      },
      {
        extends: true,
        test: {
          name: "firefox",
          // What leans on the browser most; PEERLOOM_TEST_BROWSER=firefox makes the project "browser" run all in it.
          include: [`test/browser/{${IN_FIREFOX.join()}}.test.ts`],
          ...long,
          env: { ...long.env, PEERLOOM_TEST_BROWSER: "firefox" },
          maxWorkers: 1,
        },
      },
    ],
  },
});
