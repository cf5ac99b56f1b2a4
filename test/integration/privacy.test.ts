/** What the edge can see and do: every byte that passes it is recorded, and it is made to lie. */
import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeRandom } from "../../peer/adapters/node/random.ts";
import { nodeRuntime } from "../../peer/adapters/node/runtime.ts";
import { loadOrCreateIdentity } from "../../peer/identity/identity-store.ts";
import { sealSignal } from "../../peer/links/sealed-signal.ts";
import { FRAME } from "../../shared/frame.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import {
  decodeFromRendezvous,
  decodeToRendezvous,
  encodeFromRendezvous,
  type FromRendezvous,
} from "../../shared/messages.ts";
import { temporaryFolder } from "./command.ts";
import { checkEcho, codeOf, openPeer, Transfer } from "./peers.ts";
import { type Recorded, WebSocketProxy } from "./websocket-proxy.ts";

/**
 * Fails when one of the words stands anywhere in what the proxy saw, message borders or not. A word has at least
 * five bytes: sealed bytes are random, and a shorter one would sooner or later stand in them by chance.
 */
function checkUnseen(proxy: WebSocketProxy, words: readonly (string | Buffer)[]): void {
  const runs = proxy.runs();
  for (const word of words) {
    expect(word.length, `${String(word)} is too short to look for`).toBeGreaterThanOrEqual(5);
    for (const run of runs) expect(run.includes(word), `the edge has seen ${String(word)}`).toBe(false);
  }
}

describe("what the edge sees", () => {
  test("of a relayed transfer and a relayed file: neither content, names, addresses nor keys", async () => {
    const proxy = await WebSocketProxy.open();
    const folder = await temporaryFolder();
    const plaintext = Buffer.alloc(4_000_000, "PLAINTEXT-MARKER");
    const name = "very-secret-file-name.txt";
    await writeFile(join(folder, name), plaintext);
    const common = { edge: proxy.url, only: "relay", listen: "127.0.0.1:0" } as const;
    const a = await openPeer({ ...common, dataDir: join(folder, "a") });
    const b = await openPeer({ ...common, dataDir: join(folder, "b") });
    const session = await a.connect(b.id);
    const transfer = await Transfer.begin(session, b, "secret-protocol-name/1");
    await transfer.writeBytes(plaintext);
    await transfer.finish();
    // Listed, its name would stand in the edge's search index.
    const { ticket, hash } = await b.files.share(join(folder, name), { listed: false });
    const download = a.files.get(ticket);
    await download.saveTo(join(folder, "copy"));
    expect((await readFile(join(folder, "copy"))).equals(plaintext)).toBe(true);

    // The proxy does record: ids, which the edge must know, and as many bytes as were moved.
    const all = Buffer.concat(proxy.recorded.map(({ bytes }) => bytes));
    expect(all.includes(a.id)).toBe(true);
    expect(all.length).toBeGreaterThan(2 * 2 * plaintext.length);
    const seeds = await Promise.all(["a", "b"].map((each) => readFile(join(folder, each, "identity-seed"))));
    for (const seed of seeds) expect(seed).toHaveLength(32);
    checkUnseen(proxy, [
      ...["PLAINTEXT", "MARKER", "secret-protocol", "secret-file", "ping/1", "files", "tcp://", "ws://"],
      ...[ticket, hash, Buffer.from(hash, "hex"), ...seeds],
    ]);
  });

  test("of a WebRTC negotiation: neither description, fingerprint nor candidate", async () => {
    const proxy = await WebSocketProxy.open();
    const a = await openPeer({ edge: proxy.url, only: "direct" });
    const b = await openPeer({ edge: proxy.url, only: "direct" });
    const session = await a.connect(b.id);
    expect(session.path.transport).toBe("webrtc");
    await checkEcho(session, randomBytes(100_000));
    const signals = proxy.recorded.filter(
      ({ direction, bytes }) => direction === "to-peer" && kindOf(bytes) === "signal",
    );
    expect(signals.length).toBeGreaterThanOrEqual(2);
    expect(proxy.opened.filter((path) => path.includes("/relay/"))).toEqual([]);
    const lines = ["v=0\r\n", "a=fingerprint", "a=ice-", "a=candidate", "a=setup", "m=application"];
    const words = ["fingerprint", "sha-256", "ice-ufrag", "candidate", " typ host", "UDP/DTLS", "sctp-port"];
    checkUnseen(proxy, [...lines, ...words, "offer", "answer", "webrtc"]);
  });
});

describe("a relay that changes frames", () => {
  /** Flips one bit in the middle of a sealed frame. */
  const flipped = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    const at = copy.length >> 1;
    copy[at] = (copy[at] ?? 0) ^ 4;
    return copy;
  };
  // On the second half of the way only: what is flipped twice is whole again.
  const isRelayed = ({ path, direction }: Recorded): boolean =>
    path.includes("/relay/") && direction === "to-peer";
  const isData = (message: Recorded): boolean => isRelayed(message) && message.bytes[0] === FRAME.data;

  test("now and then: the transfer recovers, and every byte is right", async () => {
    const proxy = await WebSocketProxy.open();
    let frames = 0;
    let changed = 0;
    proxy.change = (message) => {
      if (!isData(message)) return message.bytes;
      frames += 1;
      if (frames % 20 !== 19 || changed === 3) return message.bytes;
      changed += 1;
      return flipped(message.bytes);
    };
    const a = await openPeer({ edge: proxy.url, only: "relay" });
    const b = await openPeer({ edge: proxy.url, only: "relay" });
    const transfer = await Transfer.begin(await a.connect(b.id), b);
    await transfer.write(20);
    await transfer.finish();
    expect(changed).toBe(3);
  });

  test("always: nothing wrong comes out, and the end has a name", async () => {
    const proxy = await WebSocketProxy.open();
    const a = await openPeer({ edge: proxy.url, only: "relay" });
    const b = await openPeer({ edge: proxy.url, only: "relay" });
    const session = await a.connect(b.id);
    const transfer = await Transfer.begin(session, b);
    const content = randomBytes(6_000_000);
    await transfer.writeBytes(content.subarray(0, 2_000_000));
    await transfer.arrived(2_000_000);
    let changed = 0;
    const enough = new Promise<void>((resolve) => {
      proxy.change = (message) => {
        if (!isData(message)) return message.bytes;
        changed += 1;
        if (changed > 3) resolve();
        return flipped(message.bytes);
      };
    });
    // While the channel is dialled again the edge carries a little of it as signals, unchanged.
    const checkRight = (): void => {
      expect(transfer.bytesReceived).toBeLessThan(content.length);
      const sent = content.subarray(0, transfer.bytesReceived);
      expect(transfer.digest).toBe(createHash("sha256").update(sent).digest("hex"));
    };
    const writing = codeOf(transfer.writeBytes(content.subarray(2_000_000)));
    await enough;
    checkRight();
    await a.close();
    expect(await writing).toMatch(/^(session|peer)\//);
    await b.close();
    expect(await codeOf(transfer.received)).toMatch(/^(session|peer)\//);
    checkRight();
  });

  test("in the handshake: the channel carries nothing, and what signals carry is right, however late it comes", async () => {
    const proxy = await WebSocketProxy.open();
    const isRefusal = (message: Recorded): boolean => isRelayed(message) && message.bytes[0] === FRAME.refuse;
    let answering = -1;
    let refused = (): void => {};
    const refusal = new Promise<void>((resolve) => (refused = resolve));
    proxy.change = async (message, isBinary) => {
      const isAnswer = message.connection === answering && message.direction === "to-edge";
      if (isAnswer && kindOf(message.bytes, decodeToRendezvous) === "signal") await refusal;
      if (isRefusal(message)) refused();
      return isBinary && isRelayed(message) ? flipped(message.bytes) : message.bytes;
    };
    const a = await openPeer({ edge: proxy.url, only: "relay" });
    answering = proxy.opened.length;
    const b = await openPeer({ edge: proxy.url, only: "relay" });
    await checkEcho(await a.connect(b.id), randomBytes(1_000));
    expect(proxy.recorded.some(isRefusal)).toBe(true);
  });

  const isSignal = ({ direction, bytes }: Recorded): boolean =>
    direction === "to-peer" && kindOf(bytes) === "signal";

  test("in the handshake, on signals: the channel carries it, as for who knows no such signals", async () => {
    const proxy = await WebSocketProxy.open();
    let changed = 0;
    proxy.change = (message) => {
      if (!isSignal(message)) return message.bytes;
      changed += 1;
      return flipped(message.bytes);
    };
    const a = await openPeer({ edge: proxy.url, only: "relay" });
    const b = await openPeer({ edge: proxy.url, only: "relay" });
    await checkEcho(await a.connect(b.id), randomBytes(1_000_000));
    expect(changed).toBeGreaterThan(0);
  });

  test("in the handshake, signals too: no session", async () => {
    const proxy = await WebSocketProxy.open();
    proxy.change = (message, isBinary) =>
      isBinary && (isRelayed(message) || isSignal(message)) ? flipped(message.bytes) : message.bytes;
    const a = await openPeer({ edge: proxy.url, only: "relay" });
    const b = await openPeer({ edge: proxy.url, only: "relay" });
    expect(await codeOf(a.connect(b.id, { timeoutMs: 4_000 }))).toMatch(/^connect\/(no-path|timeout)$/);
    expect([a.sessions(), b.sessions()]).toEqual([[], []]);
  });
});

type Carried = Extract<FromRendezvous, { readonly kind: "signal" | "relay-offer" }>;
const mallory = await loadOrCreateIdentity(nodeRuntime({ dataDir: undefined, webrtc: undefined }));

describe("a rendezvous that lies", () => {
  const lies: { readonly name: string; readonly lie: (message: Carried, to: string) => Promise<Carried> }[] =
    [
      { name: "about who sent it", lie: async (message) => ({ ...message, from: mallory.id }) },
      {
        name: "by a bit of the sealed signal",
        lie: async (message) => {
          const sealed = message.sealed.slice();
          sealed[sealed.length >> 1] = (sealed[sealed.length >> 1] ?? 0) ^ 1;
          return { ...message, sealed };
        },
      },
      {
        name: "with a signal of its own in the sender's place",
        lie: async (message, to) => {
          const signal = { kind: "dial", dialId: randomBytes(8), addresses: [] } as const;
          const id = to as Carried["from"];
          return {
            ...message,
            sealed: await sealSignal(mallory, id, DEFAULT_NETWORK, signal, Date.now(), nodeRandom),
          };
        },
      },
    ];

  test.each(lies)("$name: refused, relayed or direct", async ({ lie }) => {
    const proxy = await WebSocketProxy.open();
    for (const only of ["relay", "direct"] as const) {
      // Nothing is under way yet when the lies begin.
      const options = { edge: proxy.url, only, overlay: false } as const;
      const [a, b] = [await openPeer(options), await openPeer(options)];
      let told = 0;
      proxy.change = async ({ path, direction, bytes }, isBinary) => {
        if (!isBinary || direction === "to-edge" || path.includes("/relay/")) return bytes;
        const message = decodeFromRendezvous(bytes);
        if (message.kind !== "signal" && message.kind !== "relay-offer") return bytes;
        told += 1;
        return Buffer.from(encodeFromRendezvous(await lie(message, b.id)));
      };
      const relaysBefore = proxy.opened.filter((path) => path.includes("/relay/")).length;
      expect(await codeOf(a.connect(b.id, { timeoutMs: 2_000 }))).toMatch(/^connect\/(no-path|timeout)$/);
      expect(told).toBeGreaterThan(0);
      expect([a.sessions(), b.sessions()]).toEqual([[], []]);
      const relays = proxy.opened.filter((path) => path.includes("/relay/")).length - relaysBefore;
      expect(relays, "the one who was lied to opens no relay").toBeLessThanOrEqual(only === "relay" ? 1 : 0);
      proxy.change = ({ bytes }) => bytes;
      await a.close();
      await b.close();
    }
  });
});

function kindOf(
  bytes: Buffer,
  decode: (bytes: Uint8Array) => { readonly kind: string } = decodeFromRendezvous,
): string {
  try {
    return decode(bytes).kind;
  } catch {
    return "none";
  }
}
