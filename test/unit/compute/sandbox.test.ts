/** Node's sandbox, with real threads: what modules give, what they may not do, and that they can be ended. */
import { expect, onTestFinished, test } from "vitest";
import { nodeSandboxes } from "../../../peer/adapters/node/sandbox.ts";
import type { Sandbox } from "../../../peer/runtime.ts";
import { checkModule, PAGE_BYTES } from "../../../peer/services/compute/module-check.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import * as modules from "../../wasm/modules.ts";

const PAGES = 16;
const LIMITS = { outputBytesMax: 100_000, memoryBytesMax: PAGES * PAGE_BYTES };

function start(): Sandbox {
  const sandbox = nodeSandboxes.start();
  onTestFinished(() => sandbox.kill());
  return sandbox;
}

async function loaded(module: Uint8Array): Promise<Sandbox> {
  const sandbox = start();
  await sandbox.load(checkModule(module).bound(PAGES));
  return sandbox;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof PeerloomError ? error.code : String(error)),
  );

test("a module gives what it computes, again and again, from nothing each time", async () => {
  const sandbox = await loaded(modules.increment);
  expect(await sandbox.run(Uint8Array.of(1, 2, 255), LIMITS)).toEqual(Uint8Array.of(2, 3, 0));
  expect(await sandbox.run(new Uint8Array(0), LIMITS)).toEqual(new Uint8Array(0));
  expect(await sandbox.run(new Uint8Array(90_000), LIMITS)).toEqual(new Uint8Array(90_000).fill(1));
  await sandbox.load(checkModule(modules.counter).bound(PAGES));
  for (let i = 0; i < 3; i++) expect(await sandbox.run(new Uint8Array(0), LIMITS)).toEqual(Uint8Array.of(1));
});

test("growth past the bound is refused, up to it is given", async () => {
  const sandbox = await loaded(modules.grower);
  // Two to begin with, and one that the input needs.
  expect(await sandbox.run(Uint8Array.of(PAGES - 2), LIMITS)).toEqual(Uint8Array.of(0));
  expect(await sandbox.run(Uint8Array.of(PAGES - 1), LIMITS)).toEqual(Uint8Array.of(1));
});

test.each([
  ["traps", modules.trap, "compute/trap"],
  ["takes all memory", modules.hog, "compute/memory-limit"],
  ["gives too much", modules.chatterbox, "compute/too-large"],
  ["calls itself for ever", modules.diver, "compute/stack-limit"],
  ["gives what lies outside its memory", modules.liar, "compute/trap"],
])("a module that %s fails by code, and the sandbox lives on", async (_, module, code) => {
  const sandbox = await loaded(module);
  expect(await codeOf(sandbox.run(Uint8Array.of(1), LIMITS))).toBe(code);
  await sandbox.load(checkModule(modules.echo).bound(PAGES));
  expect(await sandbox.run(Uint8Array.of(7), LIMITS)).toEqual(Uint8Array.of(7));
});

test("an input for which there is not memory enough gets no more", async () => {
  const sandbox = await loaded(modules.echo);
  expect(await codeOf(sandbox.run(new Uint8Array(PAGES * PAGE_BYTES), LIMITS))).toBe("compute/memory-limit");
});

test("what is no module, or asks for imports, is not run", async () => {
  const sandbox = start();
  expect(await codeOf(sandbox.load(new Uint8Array(3)))).toBe("compute/module-invalid");
  expect(await codeOf(sandbox.run(Uint8Array.of(1), LIMITS))).toBe("compute/module-invalid");
  // Past the check it would still be given nothing.
  await sandbox.load(modules.importer);
  expect(await codeOf(sandbox.run(Uint8Array.of(1), LIMITS))).toBe("compute/unavailable");
});

test.each([
  ["in a loop", modules.spin],
  ["in a loop that takes memory", modules.glutton],
  ["before it is called", modules.spinAtStart],
])("a module that never ends, %s, is ended with its thread", async (_, module) => {
  const sandbox = await loaded(module);
  const running = codeOf(sandbox.run(Uint8Array.of(1), LIMITS));
  await sandbox.kill();
  expect(await running).toBe("compute/unavailable");
  expect(await codeOf(sandbox.run(Uint8Array.of(1), LIMITS))).toBe("compute/unavailable");
  await sandbox.kill();
});
