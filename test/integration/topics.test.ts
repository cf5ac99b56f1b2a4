/** Topics in networks of real peers and processes: with the edge and without, a third killed, rules, spam, forgeries, the past and questions. */
import { expect, onTestFinished, test } from "vitest";
import type { Peer, Topic, TopicMessage, TopicOptions } from "../../peer/node.ts";
import { sealEnvelope, topicKeyInput } from "../../peer/services/topics/envelope.ts";
import { encodeMessage, TOPIC_PROTOCOL } from "../../peer/services/topics/protocol.ts";
import { generateIdentity } from "../../peer/identity/identity.ts";
import { sha256, writeUint32 } from "../../shared/bytes.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import { Command, finish, temporaryFolder } from "./command.ts";
import { bootstrapOf, codeOf, linkedTo, openEdge, openPeer } from "./peers.ts";

/** The longest that something is waited for. */
const WAIT_MS = 20_000;
/** `sub` processes of which a third is killed; 32 by hand. */
const PROCESSES = Number(process.env["PEERLOOM_TOPIC_PROCESSES"] ?? 4);
/** All of them share two cores: how long each step takes is the machine's matter, so that one deadline stands above them all. */
const PROCESSES_MS = Math.max(170_000, PROCESSES * 15_000);
const MESSAGES_AFTER = 20;

/** Reads a topic, and tells when something has come. */
class Reader {
  readonly messages: TopicMessage[] = [];
  readonly topic: Topic;
  readonly #waitMs: () => number;
  #look: () => void = () => {};

  constructor(topic: Topic, waitMs = () => WAIT_MS) {
    this.topic = topic;
    this.#waitMs = waitMs;
    void (async () => {
      for await (const message of topic) {
        this.messages.push(message);
        this.#look();
      }
    })();
    topic.addEventListener("peers", () => this.#look());
  }

  get values(): unknown[] {
    return this.messages.map(({ value }) => value);
  }

  until(what: string, accept: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Error(`not ${what}: ${JSON.stringify(this.values)}, ${this.topic.peers.length} peers`)),
        this.#waitMs(),
      );
      this.#look = () => {
        if (!accept()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#look();
    });
  }

  has(...values: readonly unknown[]): Promise<void> {
    return this.until(`read ${values.join()}`, () => values.every((value) => this.values.includes(value)));
  }

  peers(count: number): Promise<void> {
    return this.until(`among ${count}`, () => this.topic.peers.length >= count);
  }
}

async function purePeers(count: number): Promise<Peer[]> {
  const first = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const options = { edge: null, listen: "127.0.0.1:0", webrtc: false, bootstrap: bootstrapOf(first) };
  const peers = [first];
  while (peers.length < count) peers.push(await openPeer(options));
  return peers;
}

async function readers(
  name: string,
  options: readonly TopicOptions[],
): Promise<{ peers: Peer[]; all: Reader[] }> {
  const peers = await purePeers(options.length);
  const all = peers.map((peer, i) => new Reader(peer.topic(name, options[i])));
  await Promise.all(all.map((reader) => reader.peers(options.length - 1)));
  return { peers, all };
}

test(
  `${PROCESSES} processes, Deno among them: with the edge gone and a third killed every message reaches the rest`,
  // The steps' own deadline comes first, and says what is missing.
  { timeout: PROCESSES_MS + 10_000 },
  async () => {
    const endMs = Date.now() + PROCESSES_MS;
    const leftMs = (): number => Math.max(0, endMs - Date.now());
    const heard = (sub: Command, value: string): Promise<unknown> =>
      sub.wait("message", (event) => event["value"] === value, leftMs());
    const edge = await openEdge();
    const options = ["--edge", edge.url, "--listen", "127.0.0.1:0", "--no-lan"];
    const subs: Command[] = [];
    for (let i = 0; i < PROCESSES; i++) {
      const data = ["--data", await temporaryFolder()];
      const runtime = i === 1 ? "deno" : "node";
      subs.push(new Command(["sub", "news", "--ordered", ...options, ...data], { runtime }));
      // A start costs a second of processor time: more at once would only wait for one another.
      if (i % 4 === 3) await subs.at(-1)?.wait("subscribed", undefined, leftMs());
    }
    await Promise.all(subs.map((sub) => sub.wait("subscribed", undefined, leftMs())));
    const peer = await openPeer({ edge: edge.url, listen: "127.0.0.1:0", webrtc: false });
    const reader = new Reader(peer.topic("news", { order: "sender" }), leftMs);
    await reader.peers(Math.min(PROCESSES, 8));
    const data = ["--data", await temporaryFolder()];
    const words = ["pub", "news", "from the command line", "--wait", "60", ...options, ...data];
    const pub = await finish(words);
    expect(pub.code).toBe(0);
    const published = await pub.wait("published");
    expect(published).toMatchObject({ topic: "news" });
    expect(published["peers"]).toBeGreaterThanOrEqual(1);
    await Promise.all(subs.map((sub) => heard(sub, "from the command line")));
    await reader.has("from the command line");

    await edge.stop();
    const third = Math.round(PROCESSES / 3);
    const [killed, rest] = [subs.slice(-third), subs.slice(0, -third)];
    await Promise.all(killed.map((sub) => sub.stop("SIGKILL")));
    const expected = Array.from({ length: MESSAGES_AFTER }, (_, i) => `after ${i}`);
    for (const value of expected) await reader.topic.publish(value);
    for (const sub of rest) {
      await heard(sub, `after ${MESSAGES_AFTER - 1}`);
      const got = sub.events.filter(({ event, from }) => event === "message" && from === peer.id);
      expect(got.map(({ value }) => value)).toEqual(expected);
    }
    // One after the other, as each test's end does it, that would take as long again.
    await Promise.all(rest.map((sub) => sub.stop()));
  },
);

test("two peers, a latecomer that asks for the past, order, bytes and structures, questions to all", async () => {
  const answer = ({ value }: TopicMessage): string => `heard ${JSON.stringify(value)}`;
  const { peers, all } = await readers("chat", [{ answer }, { answer }]);
  const [a, b] = all as [Reader, Reader];
  const large = "x".repeat(100_000);
  for (const value of ["one", { two: [2, null] }, large, Uint8Array.of(4)]) await a.topic.publish(value);
  await b.until("read all", () => b.messages.length === 4);
  expect(b.values).toEqual(expect.arrayContaining(["one", { two: [2, null] }, large, Uint8Array.of(4)]));
  expect(b.messages.every(({ from, isPast }) => from === peers[0]?.id && !isPast)).toBe(true);
  expect(a.messages).toEqual([]);

  const late = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(peers[1] as Peer) });
  const c = new Reader(late.topic("chat", { history: 3, order: "sender" }));
  await c.peers(2);
  await a.topic.publish("five");
  await c.has("five");
  expect(c.messages.map(({ value, isPast }) => [value, isPast])).toEqual([
    [{ two: [2, null] }, true],
    [large, true],
    [Uint8Array.of(4), true],
    ["five", false],
  ]);
  const replies: unknown[] = [];
  for await (const { from, value } of c.topic.ask("who?", { limit: 2 })) replies.push([from, value]);
  expect(replies).toHaveLength(2);
  expect(replies).toEqual(expect.arrayContaining(peers.map(({ id }) => [id, 'heard "who?"'])));
  expect(late.status().topics).toMatchObject([{ name: "chat", peers: 2, mesh: 2 }]);

  expect(await codeOf(a.topic.publish("y".repeat(262_144)))).toBe("topics/too-large");
  expect(await codeOf(Promise.resolve().then(() => late.topic("chat")))).toBe("usage/invalid");
  const gone = b.until("alone with c", () => b.topic.peers.length === 1);
  await a.topic.close();
  await a.topic.close();
  expect(await codeOf(a.topic.publish("too late"))).toBe("topics/closed");
  await gone;
});

test("what a validator rejects goes nowhere, and costs whoever passes it on", async () => {
  const validate: TopicOptions["validate"] = async ({ value }) => (value === "bad" ? "reject" : "accept");
  const { peers, all } = await readers("ruled", [{}, { validate }, { validate }, { validate }]);
  const [lawless, ...lawful] = all as [Reader, Reader, Reader, Reader];
  await lawless.topic.publish("good");
  await Promise.all(lawful.map((reader) => reader.has("good")));
  expect(await codeOf(lawful[0]?.topic.publish("bad") ?? Promise.resolve())).toBe("topics/refused");
  for (let i = 0; i < 8; i++) await lawless.topic.publish("bad");
  await lawful[0]?.topic.publish("after");
  await Promise.all(lawful.slice(1).map((reader) => reader.has("after")));
  for (const reader of lawful) expect(reader.values).not.toContain("bad");
  const refused = (): number[] => peers.slice(1).map((peer) => peer.status().topics[0]?.refused ?? 0);
  await expect.poll(() => Math.max(...refused()), { timeout: WAIT_MS }).toBeGreaterThan(0);
  // None of them has it in its mesh any more; the rule's own members go on.
  await expect.poll(() => peers[1]?.status().topics[0]?.mesh, { timeout: WAIT_MS }).toBe(2);
  await lawful[1]?.topic.publish("still here");
  await Promise.all([lawful[0]?.has("still here"), lawful[2]?.has("still here")]);
});

test("a spammer is cut to its rate and left alone, the others are unhurt", async () => {
  const { peers, all } = await readers("busy", [{ rate: 100_000 }, { rate: 10 }, { rate: 10 }, { rate: 10 }]);
  const [spammer, ...others] = all as [Reader, Reader, Reader, Reader];
  const spam = (async () => {
    for (let i = 0; i < 500; i++) await spammer.topic.publish(`spam ${i}`);
  })();
  for (let i = 0; i < 10; i++) await others[0]?.topic.publish(`word ${i}`);
  await spam;
  const words = Array.from({ length: 10 }, (_, i) => `word ${i}`);
  await Promise.all(others.slice(1).map((reader) => reader.has(...words)));
  // Twice ten at once and a second; the test may take some seconds.
  for (const reader of others)
    expect(reader.values.filter((value) => String(value).startsWith("spam")).length).toBeLessThan(250);
  const meshes = (): unknown[] => peers.slice(1).map((peer) => peer.status().topics[0]?.mesh);
  await expect.poll(meshes, { timeout: WAIT_MS }).toEqual([2, 2, 2]);
});

test("forged, changed and replayed messages are found out, and whoever brings them is left alone", async () => {
  const { peers, all } = await readers("safe", [{}, {}]);
  const [a, b] = all as [Reader, Reader];
  const liar = await openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(peers[1] as Peer) });
  await linkedTo(liar, 1);
  const key = await sha256(topicKeyInput(DEFAULT_NETWORK, "safe"));
  const other = await generateIdentity({
    bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    unit: () => 0,
  });
  const nowMs = Date.now();
  const fields = {
    kind: "value",
    publisher: other.id,
    runMs: nowMs,
    seq: 0,
    timeMs: nowMs,
    body: Uint8Array.of(1, 0x61),
  } as const;
  const sign = (bytes: Uint8Array): Promise<Uint8Array> => other.sign(bytes);
  const genuine = await sealEnvelope(key, fields, sign);
  const stale = await sealEnvelope(key, { ...fields, timeMs: nowMs - 400_000 }, sign);
  const changed = {
    ...genuine,
    bytes: Uint8Array.from(genuine.bytes, (byte, i) => (i === 134 ? byte + 1 : byte)),
  };
  const stream = await (await liar.connect(peers[1]?.id ?? "")).open(TOPIC_PROTOCOL);
  onTestFinished(() => stream.reset());
  const writer = stream.writable.getWriter();
  writer.closed.catch(() => {});
  const say = async (envelope: typeof genuine): Promise<void> => {
    const body = encodeMessage({ kind: "message", envelope });
    const frame = new Uint8Array(4 + body.length);
    writeUint32(frame, 0, body.length);
    frame.set(body, 4);
    await writer.write(frame).catch(() => {});
  };
  const status = (): unknown => peers[1]?.status().topics[0];
  await say(genuine);
  await b.has("a");
  await a.has("a");
  expect(b.messages[0]?.from).toBe(other.id);
  await say(genuine);
  await say(stale);
  await expect.poll(status, { timeout: WAIT_MS }).toMatchObject({ delivered: 1, refused: 1 });
  await say(changed);
  await expect.poll(status, { timeout: WAIT_MS }).toMatchObject({ delivered: 1, refused: 2 });
  const again = { ...genuine, bytes: Uint8Array.from(genuine.bytes, (byte, i) => (i === 133 ? 2 : byte)) };
  await say(again);
  // Twice is no accident: its stream has ended, and no other is taken.
  await stream.closed;
  const second = await (await liar.connect(peers[1]?.id ?? "")).open(TOPIC_PROTOCOL);
  await second.closed;
  expect(b.values).toEqual(["a"]);
  expect(a.values).toEqual(["a"]);
  await a.topic.publish("unhurt");
  await b.has("unhurt");
});
