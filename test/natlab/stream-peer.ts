/**
 * One end of a stream under observation, as a process of its own. `receive` says what comes, when nothing came, and over which path; `send ID` sends
 * bytes that follow from a seed, at a pace until SIGUSR2 takes the brake off; `hold ID` has a session and nothing to say. The first two hash. Every line on standard output is one JSON object.
 */
import { createCipheriv, createHash } from "node:crypto";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Peer, type Session } from "../../peer/node.ts";

const PROTOCOL = "stream-peer/1";
const CHUNK_BYTES: number = 64 * 1024;
/** The longest silence that is not worth a line. */
const GAP_MS = 50;
const PROGRESS_EVERY_MS = 200;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    edge: { type: "string" },
    listen: { type: "string" },
    seed: { type: "string", default: "1" },
    bytes: { type: "string", default: "0" },
    /** Bytes a second before SIGUSR2. */
    pace: { type: "string", default: "0" },
    network: { type: "string", default: "lab" },
    "no-overlay": { type: "boolean", default: false },
  },
});

function say(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  console.log(JSON.stringify({ event, wallMs: Date.now(), ...fields }));
}

function tellPaths(session: Session): void {
  const tell = (): void => say("path", { ...session.path });
  session.addEventListener("path", tell);
  session.addEventListener("close", (event) => say("lost", { code: (event as CustomEvent<string>).detail }));
  tell();
}

function openPeer(): Promise<Peer> {
  const { listen, edge } = values;
  return Peer.open({
    edge: edge ?? null,
    network: values.network,
    lan: false,
    overlay: !values["no-overlay"],
    ...(listen === undefined ? {} : { listen }),
  });
}

async function receive(): Promise<void> {
  const peer = await openPeer();
  peer.handle(PROTOCOL, async (stream, session) => {
    tellPaths(session);
    const hash = createHash("sha256");
    let [bytes, saidAtMs, cameAtMs] = [0, 0, Date.now()];
    try {
      for await (const chunk of stream.readable) {
        const nowMs = Date.now();
        if (nowMs - cameAtMs > GAP_MS) say("gap", { fromMs: cameAtMs, ms: nowMs - cameAtMs });
        cameAtMs = nowMs;
        hash.update(chunk);
        bytes += chunk.length;
        if (nowMs - saidAtMs < PROGRESS_EVERY_MS) continue;
        saidAtMs = nowMs;
        say("progress", { bytes });
      }
      say("done", { bytes, sha256: hash.digest("hex") });
      await stream.writable.close();
    } catch (error) {
      say("stream-error", { message: String(error) });
    }
  });
  say("ready", { id: peer.id });
}

async function hold(id: string): Promise<void> {
  const peer = await openPeer();
  tellPaths(await peer.connect(id));
}

async function send(id: string): Promise<void> {
  const peer = await openPeer();
  const session = await peer.connect(id);
  tellPaths(session);
  const key = createHash("sha256").update(values.seed).digest();
  const source = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const hash = createHash("sha256");
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const chunkMs = Number(values.pace) === 0 ? 0 : (CHUNK_BYTES / Number(values.pace)) * 1_000;
  let isBraked = chunkMs > 0;
  process.on("SIGUSR2", () => {
    isBraked = false;
  });
  const total = Number(values.bytes);
  let saidAtMs = 0;
  try {
    const stream = await session.open(PROTOCOL, { priority: "bulk" });
    const writer = stream.writable.getWriter();
    for (let left = total; left > 0; left -= CHUNK_BYTES) {
      const chunk = source.update(zeros.subarray(0, Math.min(left, CHUNK_BYTES)));
      hash.update(chunk);
      await writer.write(chunk);
      if (Date.now() - saidAtMs >= PROGRESS_EVERY_MS) {
        saidAtMs = Date.now();
        say("progress", { bytes: total - left + chunk.length });
      }
      if (isBraked) await sleep(chunkMs);
    }
    await writer.close();
    say("sent", { sha256: hash.digest("hex") });
  } catch (error) {
    say("stream-error", { message: String(error) });
  }
}

process.on("SIGTERM", () => process.exit(0));
// Timers of a peer keep nobody alive.
setInterval(() => {}, 60_000);
const [role, id = ""] = positionals;
await (role === "send" ? send(id) : role === "hold" ? hold(id) : receive());
