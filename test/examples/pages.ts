/** Serves an example's folder as its users would, with the edge of this test in the place of https://edge.example. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { extname, join } from "node:path";
import { onTestFinished } from "vitest";

const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

/** @returns the address of its pages, on an origin of its own */
export async function serveFolder(
  folder: string,
  replace: (text: string) => string = (text) => text,
): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://host");
    const path = join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    readFile(path, "utf8").then(
      (text) =>
        response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/plain" }).end(replace(text)),
      () => response.writeHead(404).end(),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has a port");
  return `http://127.0.0.1:${address.port}/`;
}
