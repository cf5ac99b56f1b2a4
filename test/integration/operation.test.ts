/** An edge as its operator meets it: what its log says, and how it refuses what would be its end. */
import { expect, onTestFinished, test } from "vitest";
import WebSocket from "ws";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { requireNetworkName } from "../../shared/ids.ts";
import { openPeer } from "./peers.ts";

const ADDRESS = "203.0.113.7";
const SECRET = "a secret that must not be told";
/** Low, so that the test is short: workerd itself has about 90 open when it has just started. */
const DESCRIPTORS_MAX = 150;

async function startLogged(
  vars: Readonly<Record<string, string>>,
): Promise<{ readonly url: string; readonly lines: string[] }> {
  const lines: string[] = [];
  const edge = await startEmbeddedEdge({ vars, onLog: (line) => lines.push(line) });
  onTestFinished(() => edge.stop());
  return { url: edge.url, lines };
}

interface Attempt {
  readonly socket: WebSocket;
  /** 101, or the status of the refusal. */
  readonly status: number;
  readonly body: string;
}

/** From an address that the edge limits and must not tell. */
async function attempt(url: string, path: string): Promise<Attempt> {
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, {
    headers: { "cf-connecting-ip": ADDRESS },
    perMessageDeflate: false,
  });
  onTestFinished(() => socket.terminate());
  const { promise, resolve, reject } = Promise.withResolvers<Attempt>();
  socket.once("open", () => resolve({ socket, status: 101, body: "" }));
  socket.once("error", reject);
  socket.once("unexpected-response", (_request, response) => {
    let body = "";
    response.on("data", (chunk: Buffer) => (body += chunk.toString()));
    response.on("end", () => resolve({ socket, status: response.statusCode ?? 0, body }));
  });
  return promise;
}

test("every line of the log is an event, and none holds an id, an address, a name or a secret", async () => {
  const { url, lines } = await startLogged({ EDGE_SECRET: SECRET, TURN_SECRET: SECRET });
  const network = requireNetworkName("kept-to-ourselves");
  const options = { edge: url, network, only: "relay" } as const;
  const [a, b] = [await openPeer(options), await openPeer(options)];
  b.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
  const stream = await (await a.connect(b.id)).open("echo/1");
  const writer = stream.writable.getWriter();
  await writer.write(new TextEncoder().encode("through the relay"));
  expect((await stream.readable.getReader().read()).value?.length).toBe("through the relay".length);

  const rude = await attempt(url, `/v1/net/${network}/join`);
  const closed = new Promise((resolve) => rude.socket.once("close", resolve));
  rude.socket.send("my name is mallory");
  await closed;
  for (const path of [
    "/v1/net/MALLORY/join",
    "/v1/relay/mallory?ticket=mallory",
    `/v1/relay/${"a".repeat(26)}`,
  ])
    expect((await attempt(url, path)).status).toBeGreaterThanOrEqual(400);
  const peerjs = await attempt(url, "/peerjs/peerjs?key=peerjs&id=mallory&token=mallory");
  peerjs.socket.send("{ mallory");
  await fetch(`${url}/v1/net/${network}/search?q=mallory`);
  await fetch(`${url}/health?mallory`);
  await a.close();
  await b.close();
  await expect.poll(() => lines.filter((line) => line.includes('"relay"')).length).toBeGreaterThan(0);

  const events = lines.map((line) => JSON.parse(line) as { readonly event: string });
  expect(new Set(events.map(({ event }) => event))).toEqual(new Set(["report", "refused"]));
  const text = lines.join("\n").toLowerCase();
  for (const word of [a.id, b.id, network, ADDRESS, "203.0.113", "mallory", SECRET, "127.0.0.1"])
    expect(text).not.toContain(word.toLowerCase());
  // Whatever else is long enough to be an id, a ticket or a key.
  expect(text.match(/[a-z0-9_-]{26,}/g) ?? []).toEqual([]);
});

test("sockets are refused before descriptors run out, and room is given again", async () => {
  const { url } = await startLogged({ DESCRIPTORS_MAX: String(DESCRIPTORS_MAX) });
  const open: WebSocket[] = [];
  let refusal: Attempt | undefined;
  for (let count = 0; count < DESCRIPTORS_MAX && refusal === undefined; count++) {
    const one = await attempt(
      url,
      count % 2 === 0 ? "/v1/net/main/join" : `/peerjs/peerjs?key=peerjs&id=${count}&token=b`,
    );
    if (one.status === 101) open.push(one.socket);
    else refusal = one;
  }
  expect(open.length).toBeGreaterThan(5);
  expect([refusal?.status, JSON.parse(refusal?.body ?? "{}")]).toMatchObject([
    503,
    { code: "edge/over-capacity" },
  ]);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  for (const socket of open) socket.terminate();
  await expect
    .poll(async () => (await attempt(url, "/v1/net/main/join")).status, { timeout: 10_000 })
    .toBe(101);
});
