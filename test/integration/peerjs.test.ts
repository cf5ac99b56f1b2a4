/** PeerJS clients on real sockets against the embedded edge: crowds, floods, junk, and a restart. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { startEmbeddedEdge } from "../../infra/embedded-edge.ts";
import { openEdge } from "./peers.ts";

const DEADLINE_MS = 30_000;

/** One socket with all that it has been told, in order. */
class Client {
  readonly id: string;
  readonly socket: WebSocket;
  readonly #heard: unknown[] = [];
  #closed: { readonly code: number; readonly reason: string } | undefined;
  #wake = (): void => {};

  constructor(edgeUrl: string, id: string, token = "token") {
    this.id = id;
    const query = new URLSearchParams({ key: "peerjs", id, token, version: "1.5.5" });
    this.socket = new WebSocket(`${edgeUrl.replace("http", "ws")}/peerjs/peerjs?${query.toString()}`, {
      perMessageDeflate: false,
    });
    this.socket.on("error", () => {}); // "close" follows
    this.socket.on("message", (data: Buffer) => {
      this.#heard.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.socket.on("close", (code, reason) => {
      this.#closed = { code, reason: reason.toString() };
      this.#wake();
    });
    onTestFinished(() => this.socket.terminate());
  }

  static async opened(edgeUrl: string, id: string, token?: string): Promise<Client> {
    const client = new Client(edgeUrl, id, token);
    await client.expect({ type: "OPEN" });
    return client;
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  async next(): Promise<unknown> {
    await this.#until(() => this.#heard.length > 0 || this.#closed !== undefined);
    if (this.#heard.length === 0) throw new Error(`closed instead: ${JSON.stringify(this.#closed)}`);
    return this.#heard.shift();
  }

  async expect(message: unknown): Promise<void> {
    expect(await this.next()).toEqual(message);
  }

  async closed(): Promise<{ readonly code: number; readonly reason: string }> {
    await this.#until(() => this.#closed !== undefined);
    return this.#closed as { readonly code: number; readonly reason: string };
  }

  async #until(isSo: () => boolean): Promise<void> {
    const deadlineMs = Date.now() + DEADLINE_MS;
    while (!isSo()) {
      const leftMs = deadlineMs - Date.now();
      if (leftMs <= 0) throw new Error(`${this.id} waited ${DEADLINE_MS} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

test.for([{ shards: "1" }, { shards: "5" }])(
  "a crowd behind one address is let in, 300 ids and 200 sockets at once, over $shards objects",
  async ({ shards }) => {
    const { url } = await openEdge(0, { PEERJS_SHARDS: shards });
    const ids = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const response = await fetch(`${url}/peerjs/peerjs/id?ts=1&version=1.5.5`);
        expect(response.status).toBe(200);
        return response.text();
      }),
    );
    const crowd = await Promise.all(ids.slice(0, 200).map((id) => Client.opened(url, id)));
    // Everybody calls the next one, with all that a call takes.
    for (const [index, client] of crowd.entries()) {
      const dst = crowd[(index + 1) % crowd.length]?.id;
      client.send({ type: "OFFER", dst, payload: { sdp: "x".repeat(1_500) } });
      for (let n = 0; n < 10; n++) client.send({ type: "CANDIDATE", dst, payload: { n } });
    }
    for (const [index, client] of crowd.entries()) {
      const src = crowd.at(index - 1)?.id;
      await client.expect({ type: "OFFER", src, dst: client.id, payload: { sdp: "x".repeat(1_500) } });
      for (let n = 0; n < 10; n++)
        await client.expect({ type: "CANDIDATE", src, dst: client.id, payload: { n } });
    }
  },
);

test("junk and floods cost their sender at most its own socket", async () => {
  const { url } = await openEdge();
  const [a, b, rude] = await Promise.all(["a", "b", "rude"].map((id) => Client.opened(url, id)));
  if (a === undefined || b === undefined || rude === undefined) throw new Error("three were opened");
  for (const junk of ["", "null", "42", '"x"', "{", "[".repeat(200_000), Buffer.alloc(1_000, 0xff)])
    rude.socket.send(junk);
  rude.send({ type: "OFFER", dst: "a", payload: 1 });
  await a.expect({ type: "OFFER", src: "rude", dst: "a", payload: 1 });
  for (let n = 0; n < 25_000; n++) rude.socket.send("{}");
  await rude.expect({ type: "ERROR", payload: { msg: expect.any(String), code: "edge/rate-limited" } });
  expect(await rude.closed()).toEqual({ code: 1008, reason: "edge/rate-limited" });
  a.send({ type: "OFFER", dst: "b", payload: 2 });
  await b.expect({ type: "OFFER", src: "a", dst: "b", payload: 2 });
  await Client.opened(url, "rude", "another token");
});

test("who is not there is told by EXPIRE, about five seconds later and not earlier", async () => {
  const { url } = await openEdge();
  const client = await Client.opened(url, "a");
  const startMs = performance.now();
  client.send({ type: "OFFER", dst: "absent", payload: 1 });
  await client.expect({ type: "EXPIRE", src: "absent", dst: "a" });
  expect(performance.now() - startMs).toBeGreaterThan(4_900);
});

test("a socket that falls silent is closed, one that says anything is not", async () => {
  const { url } = await openEdge(0, { PEERJS_ALIVE_SECONDS: "1" });
  const [silent, alive] = [await Client.opened(url, "silent"), await Client.opened(url, "alive")];
  silent.send({ type: "HEARTBEAT" });
  await silent.expect({ type: "HEARTBEAT" });
  const timer = setInterval(() => alive.send({ type: "CANDIDATE", dst: "alive", payload: 1 }), 100);
  onTestFinished(() => clearInterval(timer));
  expect((await silent.closed()).code).toBe(1005);
  const other = new Client(url, "alive", "another token");
  await other.expect({ type: "ID-TAKEN", payload: { msg: "ID is taken" } });
  await Client.opened(url, "silent", "another token");
});

test("what waits survives a restart: delivered to who comes, expired for who does not", async () => {
  const stateDir = await mkdtemp(join(tmpdir(), "peerloom-peerjs-"));
  onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
  const vars = { PEERJS_SHARDS: "3", PEERJS_EXPIRE_SECONDS: "20" };
  const before = await startEmbeddedEdge({ stateDir, vars });
  onTestFinished(() => before.stop());
  const sender = await Client.opened(before.url, "sender");
  const names = ["one", "two", "three", "four", "five", "six"];
  for (const dst of names) sender.send({ type: "OFFER", dst, payload: dst });
  // The rooms are asked in turn, so that an answer to a message behind them shows that they have all of it.
  for (const dst of names) {
    const probe = await Client.opened(before.url, `${dst}-probe`);
    sender.send({ type: "OFFER", dst: probe.id, payload: 0 });
    await probe.expect({ type: "OFFER", src: "sender", dst: probe.id, payload: 0 });
  }
  await before.stop();
  const after = await startEmbeddedEdge({ stateDir, vars });
  onTestFinished(() => after.stop());
  for (const dst of names.slice(0, 3)) {
    const late = await Client.opened(after.url, dst);
    await late.expect({ type: "OFFER", src: "sender", dst, payload: dst });
  }
  const back = await Client.opened(after.url, "sender");
  const told: unknown[] = [];
  while (told.length < 3) told.push(((await back.next()) as { src: unknown }).src);
  expect(new Set(told)).toEqual(new Set(["four", "five", "six"]));
});
