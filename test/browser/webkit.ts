/**
 * A real WebKitGTK for the browser tests, by WebDriver (https://www.w3.org/TR/webdriver2/): the engine of Safari, though Debian builds it without
 * WebRTC and without an origin's file system. It needs a display, so one is made that nobody sees.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { Builder, Capabilities, type WebDriver } from "selenium-webdriver";
import { freePort } from "../integration/peers.ts";

export const WEBKIT_NAMES = { driver: ["WebKitWebDriver"], display: ["Xvfb"] } as const;

const MINI_BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
const CAPABILITIES = new Capabilities({
  browserName: "MiniBrowser",
  "webkitgtk:browserOptions": { binary: MINI_BROWSER, args: ["--automation"] },
});
const START_TIMEOUT_MS = 30_000;
const SCRIPT_TIMEOUT_MS = 60_000;

export interface WebKit {
  readonly driver: WebDriver;
  close(): Promise<void>;
}

export async function startWebKit(driverPath: string, displayPath: string): Promise<WebKit> {
  const display = spawn(
    displayPath,
    ["-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
    {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    },
  );
  const number = await firstLine(display.stdio[3] as Readable);
  const port = await freePort();
  const service = spawn(driverPath, [`--port=${port}`], {
    stdio: "ignore",
    env: { ...process.env, DISPLAY: `:${number}` },
  });
  const url = `http://127.0.0.1:${port}`;
  await answering(url);
  const driver = await new Builder().usingServer(url).withCapabilities(CAPABILITIES).build();
  await driver.manage().setTimeouts({ script: SCRIPT_TIMEOUT_MS });
  return {
    driver,
    async close() {
      await driver.quit();
      await Promise.all([ended(service), ended(display)]);
    },
  };
}

async function firstLine(input: Readable): Promise<string> {
  for await (const line of createInterface({ input })) return line;
  throw new Error("the display ended before it had a number");
}

async function answering(url: string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (
    !(await fetch(`${url}/status`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (performance.now() > deadlineMs) throw new Error("WebKitWebDriver does not answer");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill();
  await exit;
}
