/** TCP ports over sessions: who may come, halves and resets, slow readers, many connections, and a web server in two processes. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Peer, PortConnection } from "../../peer/node.ts";
import { Command, finish, startEdge, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, freePort, openEdge, openPeer } from "./peers.ts";

/** A program that others are to reach; closed with its connections. */
async function program(
  serve: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly server: Server }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => open.delete(socket));
    serve(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** Connects; what becomes of it is the test's to see. */
function knock(listen: string): Socket {
  const socket = connect({ host: "127.0.0.1", port: Number(listen.split(":").at(-1)), allowHalfOpen: true });
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  return socket;
}

async function dial(listen: string): Promise<Socket> {
  const socket = knock(listen);
  await once(socket, "connect");
  return socket;
}

/** Resolves when it is over, however it ended. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

async function pair(): Promise<{ near: Peer; far: Peer }> {
  const far = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const near = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(far) });
  return { near, far };
}

/** The next event of that kind. */
async function next(target: EventTarget, type: "connection" | "end"): Promise<PortConnection> {
  const [event] = (await once(target, type)) as [CustomEvent<PortConnection>];
  return event.detail;
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

describe("bytes", () => {
  test("come as they were sent, each half with its own end, over a direct session and the relay", async () => {
    const edge = await openEdge();
    const direct = await pair();
    const relayed = {
      far: await openPeer({ edge: edge.url, only: "relay" }),
      near: await openPeer({ edge: edge.url, only: "relay" }),
    };
    const { port } = await program(echo);
    for (const { near, far } of [direct, relayed]) {
      far.ports.expose(port, { allow: [near.id], name: "echo" });
      for (const target of [port, "echo"]) {
        const forward = await near.ports.forward(far.id, target);
        expect(forward.listen).toMatch(/^127\.0\.0\.1:\d+$/);
        const socket = await dial(forward.listen);
        const sent = randomBytes(3_000_000);
        socket.end(sent);
        // The echo comes to its end after this side's half has ended.
        expect((await buffer(socket)).equals(sent)).toBe(true);
        await forward.close();
        await expect(dial(forward.listen)).rejects.toThrow("ECONNREFUSED");
      }
    }
  });

  test("the far program may end its half first", async () => {
    const { near, far } = await pair();
    const heard = Promise.withResolvers<string>();
    const { port } = await program((socket) => {
      socket.end("greeting");
      void buffer(socket).then((bytes) => heard.resolve(bytes.toString()));
    });
    far.ports.expose(port, { public: true });
    const forward = await near.ports.forward(far.id, port);
    const ended = next(forward, "end");
    const socket = await dial(forward.listen);
    expect((await buffer(socket)).toString()).toBe("greeting");
    socket.end("answer");
    expect(await heard.promise).toBe("answer");
    expect(await ended).toMatchObject({ number: 1, peerId: far.id, code: undefined });
  });

  test("a reset on either end is a reset on the other, and the others go on", async () => {
    const { near, far } = await pair();
    const accepted: Socket[] = [];
    const { port } = await program((socket) => {
      accepted.push(socket);
      echo(socket);
    });
    far.ports.expose(port, { allow: [near.id] });
    const forward = await near.ports.forward(far.id, port);
    const [lasting, first, second] = [
      await dial(forward.listen),
      await dial(forward.listen),
      await dial(forward.listen),
    ];
    for (const socket of [lasting, first, second]) {
      socket.write("hello");
      await once(socket, "data");
    }
    const reset = async (end: Socket, other: Socket | undefined): Promise<void> => {
      const over = other && closed(other);
      const ended = next(forward, "end");
      end.resetAndDestroy();
      await over;
      expect((await ended).code).toBeDefined();
    };
    await reset(first, accepted[1]);
    await reset(accepted[2] as Socket, second);
    lasting.write("again");
    expect(String((await once(lasting, "data"))[0])).toBe("again");
  });

  test("a session that ends resets its connections, and the next one connects again", async () => {
    const { near, far } = await pair();
    const { port } = await program(echo);
    far.ports.expose(port, { allow: [near.id] });
    const forward = await near.ports.forward(far.id, port);
    const socket = await dial(forward.listen);
    socket.write("hello");
    await once(socket, "data");
    const [over, ended] = [closed(socket), next(forward, "end")];
    await far.sessions()[0]?.close();
    await over;
    expect((await ended).code).toBeDefined();
    const again = await dial(forward.listen);
    again.end("again");
    expect((await buffer(again)).toString()).toBe("again");
  });

  test("a program that does not read stops the one that writes", async () => {
    const { near, far } = await pair();
    const resume = Promise.withResolvers<void>();
    let received = 0;
    const { port } = await program((socket) => {
      socket.on("data", (bytes: Buffer) => (received += bytes.length));
      socket.pause();
      socket.on("end", () => socket.end("done"));
      void resume.promise.then(() => socket.resume());
    });
    far.ports.expose(port, { allow: [near.id] });
    const forward = await near.ports.forward(far.id, port);
    const socket = await dial(forward.listen);
    const total = 64 * 1024 * 1024;
    const piece = new Uint8Array(256 * 1024);
    let written = 0;
    const writing = (async () => {
      for (; written < total; written += piece.length) {
        if (!socket.write(piece)) await once(socket, "drain");
      }
      socket.end();
    })();
    const session = near.sessions()[0];
    const ping = await session?.open("ping/1", { priority: "interactive" });
    const [pings, pongs] = [ping?.writable.getWriter(), ping?.readable.getReader()];
    // At rest: nothing more is taken during many round trips on the same session.
    for (let last = -1; last !== written;) {
      last = written;
      for (let i = 0; i < 100; i++) {
        await pings?.write(new Uint8Array(8));
        await pongs?.read();
      }
    }
    expect(written).toBeLessThan(total / 2);
    resume.resolve();
    await writing;
    expect((await buffer(socket)).toString()).toBe("done");
    expect(received).toBe(total);
  });
});

describe("who may come", () => {
  test("only what is exposed, and only those who are named", async () => {
    const { near, far } = await pair();
    const stranger = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(far) });
    const { port } = await program(echo);
    const other = await program(echo);
    expect(await codeOf(near.ports.forward(far.id, port))).toBe("ports/not-exposed");
    const exposure = far.ports.expose(port, { allow: [near.id] });
    expect(await codeOf(near.ports.forward(far.id, other.port))).toBe("ports/not-exposed");
    expect(await codeOf(near.ports.forward(far.id, "name"))).toBe("ports/not-exposed");
    // Who is allowed nothing does not even learn what there is.
    expect(await codeOf(stranger.ports.forward(far.id, port))).toBe("ports/refused");
    expect(await codeOf(stranger.ports.forward(far.id, other.port))).toBe("ports/refused");
    const forward = await near.ports.forward(far.id, port);
    const socket = await dial(forward.listen);
    socket.write("x");
    await once(socket, "data");
    const over = closed(socket);
    await exposure.close();
    await over;
    const ended = next(forward, "end");
    knock(forward.listen);
    expect((await ended).code).toBe("ports/not-exposed");
    far.ports.expose(port, { public: true });
    await stranger.ports.forward(far.id, port);
  });

  test("junk instead of a request is refused, and the session goes on", async () => {
    const { near, far } = await pair();
    const { port } = await program(echo);
    far.ports.expose(port, { public: true });
    const session = await near.connect(far.id);
    for (const bytes of [
      [9, 1, 49],
      [1, 0],
      [1, 200],
      [1, 3, 255, 255, 255],
      [1, 2, 48, 49],
      [0, 9, 49],
    ]) {
      const stream = await session.open("ports/1");
      const writer = stream.writable.getWriter();
      await writer.write(Uint8Array.from(bytes));
      await writer.close().catch(() => {}); // It may be refused before.
      await stream.closed;
    }
    const forward = await near.ports.forward(far.id, port);
    const socket = await dial(forward.listen);
    socket.end("still here");
    expect((await buffer(socket)).toString()).toBe("still here");
  });

  test("nothing that answers there, too many connections and wrong use have names", async () => {
    const { near, far } = await pair();
    const nobody = await freePort();
    far.ports.expose(nobody, { allow: [near.id] });
    const dead = await near.ports.forward(far.id, nobody);
    const ended = next(dead, "end");
    knock(dead.listen);
    expect((await ended).code).toBe("ports/unavailable");

    const { port } = await program(echo);
    far.ports.expose(port, { allow: [near.id] });
    const forward = await near.ports.forward(far.id, port);
    let standing = 0;
    const full = Promise.withResolvers<void>();
    forward.addEventListener("connection", () => {
      if (++standing === 128) full.resolve();
    });
    const sockets = await Promise.all(Array.from({ length: 128 }, () => dial(forward.listen)));
    await full.promise;
    const tooMany = next(forward, "end");
    knock(forward.listen);
    expect((await tooMany).code).toBe("ports/busy");
    expect(forward.open).toBe(128);
    const allOver = Promise.all(sockets.map(closed));
    await forward.close();
    expect(forward.open).toBe(0);
    await allOver;

    expect(await codeOf(near.ports.forward(far.id, port, { listen: dead.listen }))).toBe("link/failed");
    expect(await codeOf(near.ports.forward(far.id, "Not a name"))).toBe("usage/invalid");
    expect(await codeOf(near.ports.forward("nobody", port))).toBe("id/invalid");
    expect(await codeOf(near.ports.forward(far.id, port, { signal: AbortSignal.abort() }))).not.toBe("none");
    expect(() => far.ports.expose(port, { allow: [near.id] })).toThrow("exposed already");
    expect(() => far.ports.expose(80, {})).toThrow("who may connect");
    expect(() => far.ports.expose(80, { allow: [near.id], public: true })).toThrow("who may connect");
    expect(() => far.ports.expose(0, { public: true })).toThrow("whole number");
    expect(() => far.ports.expose(80, { public: true, name: "80" })).toThrow("no name");
    await far.close();
    expect(() => far.ports.expose(80, { public: true })).toThrow("closed");
  });
});

describe("the command line", () => {
  async function webServer(): Promise<number> {
    const server = createHttpServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () =>
        response.end(`${request.method} ${request.url} ${Buffer.concat(chunks).length}`),
      );
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  }

  test.for(["node", "deno"] as const)("a web server behind expose and forward, on %s", async (runtime) => {
    const port = await webServer();
    const pure = ["--edge", "none", "--no-lan"];
    const [farData, nearData] = [await temporaryFolder(), await temporaryFolder()];
    const nearId = String((await finish(["id", "--data", nearData])).events.at(-1)?.["id"]);
    const exposing = new Command(
      [
        "expose",
        String(port),
        "--allow",
        nearId,
        "--name",
        "web",
        "--listen",
        "127.0.0.1:0",
        "--data",
        farData,
        ...pure,
      ],
      { runtime },
    );
    const ready = await exposing.wait("ready");
    expect(ready).toMatchObject({ port, name: "web" });
    const words = [
      "--bootstrap",
      `${(ready["listen"] as string[])[0]}/${String(ready["id"])}`,
      "--data",
      nearData,
      ...pure,
    ];
    const forwarding = new Command(
      ["forward", `${String(ready["id"])}/web`, "--listen", "127.0.0.1:0", ...words],
      {
        runtime,
      },
    );
    const { listen } = await forwarding.wait("ready");
    const [got, posted] = await Promise.all([
      fetch(`http://${String(listen)}/some/path`),
      fetch(`http://${String(listen)}/`, { method: "POST", body: new Uint8Array(2_000_000) }),
    ]);
    expect(await got.text()).toBe("GET /some/path 0");
    expect(await posted.text()).toBe("POST / 2000000");
    expect(await exposing.wait("connection")).toMatchObject({ id: nearId, number: 1 });
    expect(await forwarding.wait("connection")).toMatchObject({ id: ready["id"] });
    expect(await forwarding.stop("SIGINT")).toBe(0);
    expect(await exposing.stop()).toBe(0);
    const refused = await finish([
      "forward",
      `${String(ready["id"])}/web`,
      "--data",
      await temporaryFolder(),
      ...pure,
    ]);
    expect(refused.code).toBe(1);
  });

  test.for([
    { by: "any way", only: [] },
    { by: "the relay alone", only: ["--only", "relay"] },
  ])("an exposer that was killed is reached at once when it is started again, by $by", async ({ only }) => {
    const port = await webServer();
    const edge = ["--edge", await startEdge(), "--no-lan", ...only];
    const words = ["expose", String(port), "--public", "--data", await temporaryFolder(), ...edge];
    const exposing = new Command(words);
    const { id } = await exposing.wait("ready");
    const forwarding = new Command([
      "forward",
      `${String(id)}/${port}`,
      "--listen",
      "127.0.0.1:0",
      "--data",
      await temporaryFolder(),
      ...edge,
    ]);
    const { listen } = await forwarding.wait("ready");
    const get = async (): Promise<string> =>
      (await fetch(`http://${String(listen)}/`, { headers: { connection: "close" } })).text();
    expect(await get()).toBe("GET / 0");
    await exposing.stop("SIGKILL");
    await new Command(words).wait("ready");
    expect(await get()).toBe("GET / 0");
  });

  test("wrong use says what to do", async () => {
    const data = ["--data", await temporaryFolder(), "--edge", "none"];
    for (const words of [
      ["expose", "80"],
      ["expose", "80", "--allow", "nobody"],
      ["expose", "80x", "--public"],
      ["expose", "99999", "--public"],
      ["forward", "80"],
      ["forward", `${"a".repeat(51)}q/`],
    ]) {
      const { code, stderr } = await finish([...words, ...data]);
      expect({ words, code }).toEqual({ words, code: 2 });
      expect(stderr).not.toBe("");
    }
  });
});
