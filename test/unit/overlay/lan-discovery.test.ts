/** Discovery on the local network, on virtual time and a network that keeps what is said. */
import { describe, expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { checkOptions, type PeerOptions } from "../../../peer/api/options.ts";
import {
  LAN_CONTACTS_MAX,
  LAN_DIALS_BURST,
  LAN_DIALS_MAX,
  mergeHeard,
} from "../../../peer/overlay/lan-contacts.ts";
import { LAN_SETTLE_MS, LAN_TTL_SECONDS, LanDiscovery } from "../../../peer/overlay/lan-discovery.ts";
import { contactOfNotice, lanNotice, lanTag } from "../../../peer/overlay/lan-notice.ts";
import type { LanEvents, LanHost, LanNotice, LanReach } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";
import { webCryptoHash } from "../../../peer/adapters/web-crypto-hash.ts";

const NETWORK = requireNetworkName("demo");
const TAG = await lanTag(webCryptoHash, NETWORK);
const SOURCE = "192.168.1.7";

function idOf(number: number): PeerId {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return peerIdFromKey(key);
}

const SELF = idOf(0);

/** One peer's host, which keeps what is asked and said, and speaks as others do. */
class Lan implements LanHost {
  readonly asked: { readonly atMs: number; readonly tag: string }[] = [];
  readonly said: { readonly atMs: number; readonly notice: LanNotice }[] = [];
  reach: LanReach | undefined;
  isOpen = false;
  readonly #clock: SimClock;
  readonly #failure: Error | undefined;
  #events: LanEvents | undefined;

  constructor(clock: SimClock, failure?: Error) {
    this.#clock = clock;
    this.#failure = failure;
  }

  get events(): LanEvents {
    if (this.#events === undefined) throw new Error("It was not opened.");
    return this.#events;
  }

  open({ reach, ...events }: Parameters<LanHost["open"]>[0]): ReturnType<LanHost["open"]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    Object.assign(this, { reach, isOpen: true });
    this.#events = events;
    return Promise.resolve({
      ask: (tag: string) => void this.asked.push({ atMs: this.#clock.monotonicMs(), tag }),
      say: (notice: LanNotice) => void this.said.push({ atMs: this.#clock.monotonicMs(), notice }),
      close: () => {
        this.isOpen = false;
        return Promise.resolve();
      },
    });
  }

  /** A peer says where it listens; only that it does so at once is not as on a real network. */
  hear(
    id: PeerId,
    {
      address = "tcp://192.168.1.7:4000",
      tag = TAG,
      ttlSeconds = 120,
      source = SOURCE,
    }: { address?: string; tag?: string; ttlSeconds?: number; source?: string } = {},
  ): void {
    this.events.onNotice({ texts: [`tag=${tag}`, `id=${id}`, `a0=${address}`], ttlSeconds }, source);
  }
}

interface Setting {
  readonly listen?: readonly string[];
  readonly reach?: LanReach;
  readonly failure?: Error;
  /** What a dial comes to. @default it stands */
  readonly connect?: (id: PeerId, signal: AbortSignal) => Promise<unknown>;
}

async function discovery({ listen = [], reach = "lan", failure, connect }: Setting = {}): Promise<{
  readonly clock: SimClock;
  readonly lan: Lan;
  readonly discovery: LanDiscovery;
  readonly dials: { readonly atMs: number; readonly id: PeerId }[];
  readonly linked: Set<PeerId>;
  readonly remembered: Map<PeerId, readonly string[]>;
  readonly wants: { links: boolean };
  readonly logged: string[];
}> {
  const clock = new SimClock();
  onTestFinished(() => clock.close());
  const logged: string[] = [];
  const log = { debug: (event: string) => void logged.push(event), warn: () => {} };
  const lan = new Lan(clock, failure);
  const dials: { atMs: number; id: PeerId }[] = [];
  const linked = new Set<PeerId>();
  const remembered = new Map<PeerId, readonly string[]>();
  const wants = { links: true };
  const made = new LanDiscovery({
    runtime: simRuntime({ seed: 11, clock, log }),
    host: lan,
    id: SELF,
    network: NETWORK,
    reach,
    listenAddresses: () => listen,
    linkCount: () => (wants.links ? 0 : 8),
    isLinked: (id) => linked.has(id),
    remember: (id, addresses) => void remembered.set(id, addresses),
    connect: async (id, signal) => {
      dials.push({ atMs: clock.monotonicMs(), id });
      await connect?.(id, signal);
      linked.add(id);
    },
  });
  made.open();
  await clock.settle();
  return { clock, lan, discovery: made, dials, linked, remembered, wants, logged };
}

const refuse = (): Promise<never> => Promise.reject(new PeerloomError("link/failed", "Nobody listens."));

describe("speaking", () => {
  const listen = ["tcp://192.168.1.2:4000", "tcp://[fd00::2]:4000", "tcp://127.0.0.1:4000"];

  test("a peer that listens says so twice, a second apart, and farewell at the end", async () => {
    const { clock, lan, discovery: made } = await discovery({ listen });
    await clock.advance(10_000);
    expect(lan.said.map(({ atMs }) => atMs)).toEqual([0, 1_000]);
    expect(lan.said[0]?.notice).toEqual({
      label: SELF,
      tag: TAG,
      endpoints: [
        { host: "192.168.1.2", port: 4_000 },
        { host: "fd00::2", port: 4_000 },
      ],
      texts: [`tag=${TAG}`, `id=${SELF}`, "a0=tcp://192.168.1.2:4000", "a1=tcp://[fd00::2]:4000"],
      ttlSeconds: LAN_TTL_SECONDS,
    });
    await made.close();
    expect(lan.said.map(({ notice }) => notice.ttlSeconds)).toEqual([LAN_TTL_SECONDS, LAN_TTL_SECONDS, 0]);
    expect(lan.isOpen).toBe(false);
    expect(clock.timersPending).toBe(0);
  });

  test("the name of the network is not to be read, and differs from network to network", async () => {
    expect(TAG).toMatch(/^[0-9a-f]{16}$/);
    expect(await lanTag(webCryptoHash, requireNetworkName("demo2"))).not.toBe(TAG);
  });

  test("a peer that does not listen says nothing, not even farewell", async () => {
    const { clock, lan, discovery: made } = await discovery();
    lan.events.onQuestion(TAG);
    await clock.advance(10_000);
    await made.close();
    expect(lan.said).toEqual([]);
    expect(clock.timersPending).toBe(0);
  });

  test("it asks soon after the start, then ever more seldom, and not while it has links enough", async () => {
    const { clock, lan, wants, discovery: made } = await discovery();
    await clock.advance(3_600_000);
    const times = lan.asked.map(({ atMs }) => atMs);
    expect(times[0]).toBeGreaterThanOrEqual(20);
    expect(times[0]).toBeLessThanOrEqual(120);
    const waits = times.slice(1).map((atMs, index) => Math.round(atMs - (times[index] ?? 0)));
    expect(waits.slice(0, 11)).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000,
    ]);
    expect(new Set(lan.asked.map(({ tag }) => tag))).toEqual(new Set([TAG]));
    wants.links = false;
    await clock.advance(600_000);
    expect(lan.asked).toHaveLength(times.length);
    await made.close();
  });

  test("questions for its network are answered once for all who ask, a second apart, others not at all", async () => {
    const { clock, lan, discovery: made } = await discovery({ listen });
    await clock.advance(5_000);
    lan.said.length = 0;
    lan.events.onQuestion("0123456789abcdef");
    await clock.advance(2_000);
    expect(lan.said).toEqual([]);
    for (let i = 0; i < 1_000; i++) lan.events.onQuestion(i % 2 === 0 ? TAG : undefined);
    await clock.advance(120);
    expect(lan.said).toHaveLength(1);
    for (let tenth = 0; tenth < 100; tenth++) {
      lan.events.onQuestion(TAG);
      await clock.advance(100);
    }
    expect(lan.said.length).toBeGreaterThan(8);
    const waits = lan.said.slice(1).map(({ atMs }, index) => atMs - (lan.said[index]?.atMs ?? 0));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    await made.close();
  });

  test("on loopback only loopback is said, and only loopback is heard", async () => {
    const { clock, lan, dials, discovery: made } = await discovery({ listen, reach: "loopback" });
    expect(lan.reach).toBe("loopback");
    expect(lan.said[0]?.notice.endpoints).toEqual([{ host: "127.0.0.1", port: 4_000 }]);
    lan.hear(idOf(1));
    lan.hear(idOf(2), { address: "tcp://127.0.0.1:4002", source: "127.0.0.1" });
    await clock.advance(1);
    expect(dials.map(({ id }) => id)).toEqual([idOf(2)]);
    await made.close();
  });

  test("a new interface is spoken on as at the start", async () => {
    const { clock, lan, discovery: made } = await discovery({ listen });
    await clock.advance(100_000);
    const [said, asked] = [lan.said.length, lan.asked.length];
    lan.events.onInterface();
    await clock.advance(1_200);
    expect(lan.said.length - said).toBe(2);
    expect(lan.asked.length - asked).toBe(2);
    await made.close();
  });

  test("a machine that cannot multicast has no discovery, and no error", async () => {
    const failure = new PeerloomError("link/unavailable", "No multicast DNS here.");
    const { clock, logged, discovery: made } = await discovery({ listen, failure });
    await clock.advance(10_000);
    expect(logged).toEqual(["no discovery on the local network"]);
    await made.close();
    expect(clock.timersPending).toBe(0);
  });

  test("closed while it opens, it leaves nothing open", async () => {
    const clock = new SimClock();
    onTestFinished(() => clock.close());
    const lan = new Lan(clock);
    const none = (): void => {};
    const made = new LanDiscovery({
      runtime: simRuntime({ seed: 1, clock }),
      host: lan,
      id: SELF,
      network: NETWORK,
      reach: "lan",
      listenAddresses: () => listen,
      linkCount: () => 0,
      isLinked: () => false,
      remember: none,
      connect: () => Promise.resolve(),
    });
    made.open();
    await made.close();
    expect(lan.isOpen).toBe(false);
    expect(lan.said).toEqual([]);
    expect(clock.timersPending).toBe(0);
  });
});

describe("hearing", () => {
  test("a peer of the same network is remembered and dialled; of another, or itself, not", async () => {
    const { clock, lan, dials, remembered, discovery: made } = await discovery();
    lan.hear(idOf(1));
    lan.hear(idOf(2), { tag: "0123456789abcdef" });
    lan.hear(SELF);
    await clock.advance(1);
    expect(dials.map(({ id }) => id)).toEqual([idOf(1)]);
    expect([...remembered]).toEqual([[idOf(1), ["tcp://192.168.1.7:4000"]]]);
    await made.close();
  });

  test("a peer with links enough remembers and does not dial, until it has too few again", async () => {
    const { clock, lan, dials, wants, remembered, discovery: made } = await discovery();
    wants.links = false;
    lan.hear(idOf(1), { ttlSeconds: LAN_TTL_SECONDS });
    await clock.advance(10_000);
    expect(dials).toEqual([]);
    expect(remembered.size).toBe(1);
    wants.links = true;
    await clock.advance(300_000);
    expect(dials).toHaveLength(1);
    await made.close();
  });

  test("whoever is linked already is neither dialled nor has its addresses taken from strangers", async () => {
    const { clock, lan, dials, linked, remembered, discovery: made } = await discovery();
    linked.add(idOf(1));
    lan.hear(idOf(1));
    await clock.advance(30_000);
    expect(dials).toEqual([]);
    expect(remembered.size).toBe(0);
    linked.delete(idOf(1));
    await clock.advance(60_000);
    expect(dials).toHaveLength(1);
    await made.close();
  });

  test("one that fails is dialled ever more seldom, whatever is said, and again at once after a farewell", async () => {
    const { clock, lan, dials, discovery: made } = await discovery({ connect: refuse });
    for (let second = 0; second < 3_600; second++) {
      lan.hear(idOf(1));
      await clock.advance(1_000);
    }
    expect(dials.length).toBeGreaterThan(5);
    expect(dials.length).toBeLessThan(60);
    const before = dials.length;
    lan.hear(idOf(1), { ttlSeconds: 0 });
    lan.hear(idOf(1));
    await clock.advance(1);
    expect(dials).toHaveLength(before + 1);
    await made.close();
    expect(clock.timersPending).toBe(0);
  });

  test("one that has gone, or is not heard of any more, is not dialled", async () => {
    const { clock, lan, dials, wants, discovery: made } = await discovery();
    wants.links = false;
    lan.hear(idOf(1));
    lan.hear(idOf(2), { ttlSeconds: 4_294_967_295 });
    lan.hear(idOf(1), { ttlSeconds: 0 });
    await clock.advance((LAN_TTL_SECONDS + 1) * 1_000);
    wants.links = true;
    await clock.advance(600_000);
    expect(dials).toEqual([]);
    await made.close();
  });

  test("a flood of ids costs a bounded memory and one dial a second", async () => {
    const { clock, lan, dials, remembered, discovery: made } = await discovery({ connect: refuse });
    for (let i = 1; i <= 1_000; i++) lan.hear(idOf(i));
    expect(remembered.size).toBe(LAN_CONTACTS_MAX);
    await clock.advance(1);
    expect(dials.length).toBeLessThanOrEqual(LAN_DIALS_BURST);
    let next = 1_001;
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 100; i++) {
        // The farewells of the flood make no more room than its failures do.
        lan.hear(idOf(next - 50), { ttlSeconds: 0 });
        lan.hear(idOf(next++));
      }
      await clock.advance(1_000);
    }
    expect(dials.length).toBeLessThanOrEqual(LAN_DIALS_BURST + 61);
    expect(dials.length).toBeGreaterThan(50);
    expect(remembered.size).toBeLessThanOrEqual(LAN_CONTACTS_MAX + 61);
    await made.close();
  });

  test("dials that hang are few at once, and are given up", async () => {
    let running = 0;
    let most = 0;
    const hang = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>(() => {});
    };
    const { clock, lan, dials, discovery: made } = await discovery({ connect: hang });
    for (let i = 1; i <= 20; i++) lan.hear(idOf(i), { ttlSeconds: LAN_TTL_SECONDS });
    await clock.advance(14_000);
    expect(most).toBe(LAN_DIALS_MAX);
    expect(dials).toHaveLength(LAN_DIALS_MAX);
    await clock.advance(2_000);
    expect(dials).toHaveLength(2 * LAN_DIALS_MAX);
    await made.close();
    expect(clock.timersPending).toBe(0);
  });
});

describe("waiting for whom one wants to connect to", () => {
  const patient = { timeoutMs: 20_000 };

  test("ends when that peer is heard of, or anybody is linked", async () => {
    const { clock, lan, wants, discovery: made } = await discovery({ connect: refuse });
    const [heard, linked] = [made.settle(idOf(1), patient), made.settle(idOf(2), patient)];
    await clock.advance(100);
    lan.hear(idOf(1));
    await clock.runUntil(heard, 40);
    wants.links = false;
    await clock.runUntil(linked, 40);
    await made.close();
  });

  test("ends when nobody has answered, in the time the caller has, and never begins later", async () => {
    const { clock, discovery: made } = await discovery();
    const waited = async (timeoutMs: number): Promise<number> => {
      const fromMs = clock.monotonicMs();
      await clock.runUntil(made.settle(idOf(1), { timeoutMs }), 20_000);
      return clock.monotonicMs() - fromMs;
    };
    expect(await waited(200)).toBe(200);
    expect(await waited(20_000)).toBe(LAN_SETTLE_MS - 200);
    expect(await waited(20_000)).toBe(0);
    await made.close();
  });

  test("does not happen for oneself, without multicast, after the end or when given up", async () => {
    const { discovery: made } = await discovery();
    await made.settle(SELF, patient);
    await made.settle(idOf(1), { ...patient, signal: AbortSignal.abort() });
    await made.close();
    await made.settle(idOf(1), patient);
    const deaf = await discovery({ failure: new Error("no multicast") });
    await deaf.discovery.settle(idOf(1), patient);
    await deaf.discovery.close();
  });
});

describe("a notice", () => {
  const good = [`tag=${TAG}`, `id=${idOf(1)}`, "a0=tcp://10.1.2.3:4000"];

  test("that a peer says is understood by another", () => {
    const notice = lanNotice(
      { id: idOf(1), tag: TAG, reach: "lan", addresses: ["tcp://192.168.1.7:1", "tcp://[fd00::1]:2"] },
      120,
    );
    expect(contactOfNotice(notice?.texts ?? [], TAG, SOURCE)).toEqual({
      id: idOf(1),
      addresses: ["tcp://192.168.1.7:1", "tcp://[fd00::1]:2"],
    });
  });

  test.each([
    ["nothing", []],
    ["no id", [good[0] ?? ""]],
    ["a bad id", [`tag=${TAG}`, "id=nobody", "a0=tcp://10.1.2.3:4000"]],
    ["no tag", good.slice(1)],
    ["no keys", ["", "=", "=x", TAG, idOf(1)]],
  ])("with %s is dropped", (_, texts) => {
    expect(contactOfNotice(texts, TAG, SOURCE)).toBeUndefined();
  });

  test.each([
    ["tcp://172.16.0.1:1", true],
    ["tcp://172.32.0.1:1", false],
    ["tcp://169.254.3.4:1", true],
    ["tcp://192.168.1.7:1", true],
    ["tcp://8.8.8.8:1", false],
    ["tcp://127.0.0.1:1", false],
    ["tcp://[::1]:1", false],
    ["tcp://[fd12:3456::1]:1", true],
    ["tcp://[fe80::1]:1", false],
    ["tcp://[2001:db8::1]:1", false],
    ["tcp://[::ffff:8.8.8.8]:1", false],
    ["tcp://localhost:1", false],
    ["tcp://router.lan:1", false],
    ["tcp://010.0.0.1:1", false],
    ["tcp://10.1:1", false],
    ["tcp://10.0.0.300:1", false],
    ["tcp://10.0.0.1", false],
    ["ws://10.0.0.1:1/", false],
    [`tcp://10.0.0.1:1/${"x".repeat(300)}`, false],
    ["", false],
  ])("that names %s is believed: %s", (address, believed) => {
    const contact = contactOfNotice([...good.slice(0, 2), `a0=${address}`], TAG, SOURCE);
    expect(contact?.addresses).toEqual(believed ? [address] : []);
  });

  test("may name its source wherever that is, and loopback when it comes from there", () => {
    const addressesFrom = (address: string, source: string): readonly string[] | undefined =>
      contactOfNotice([...good.slice(0, 2), `a0=${address}`], TAG, source)?.addresses;
    expect(addressesFrom("tcp://203.0.113.9:1", "203.0.113.9")).toHaveLength(1);
    expect(addressesFrom("tcp://203.0.113.9:1", "203.0.113.8")).toEqual([]);
    expect(addressesFrom("tcp://127.0.0.1:1", "127.0.0.1")).toHaveLength(1);
  });

  test("carries eight addresses at most, and the first of a repeated key", () => {
    const many = Array.from({ length: 20 }, (_, index) => `a${index}=tcp://10.0.0.${index}:1`);
    const contact = contactOfNotice([...good, ...many, `id=${idOf(2)}`], TAG, SOURCE);
    expect(contact?.id).toBe(idOf(1));
    expect(contact?.addresses).toHaveLength(8);
    expect(contact?.addresses[0]).toBe("tcp://10.1.2.3:4000");
    const addresses = many.map((text) => text.slice(text.indexOf("=") + 1));
    const said = lanNotice({ id: SELF, tag: TAG, reach: "lan", addresses }, 1);
    expect(said?.endpoints).toHaveLength(8);
  });

  test("does not push out what is known otherwise", () => {
    const heard = Array.from({ length: 8 }, (_, index) => `tcp://10.0.0.${index}:1`);
    const known = ["tcp://192.0.2.1:1", "tcp://10.9.9.9:1"];
    const merged = mergeHeard({ heard, before: ["tcp://10.9.9.9:1"], known });
    expect(merged).toEqual([...heard.slice(0, 7), "tcp://192.0.2.1:1"]);
    expect(mergeHeard({ heard, before: heard, known: merged })).toEqual(merged);
  });
});

describe("where discovery is on", () => {
  test.each<[PeerOptions, LanReach | undefined]>([
    [{}, "lan"],
    [{ edge: null }, "lan"],
    [{ edge: "https://edge.test" }, undefined],
    [{ edge: "https://edge.test", listen: "0.0.0.0:0" }, "lan"],
    [{ edge: null, listen: ":4000" }, "lan"],
    [{ edge: null, listen: "127.0.0.1:0" }, undefined],
    [{ listen: "[::1]:0" }, undefined],
    [{ listen: "localhost:0" }, undefined],
    [{ listen: "127.0.0.1:0", lan: true }, "loopback"],
    [{ edge: "https://edge.test", lan: true }, "lan"],
    [{ listen: "0.0.0.0:0", lan: false }, undefined],
    [{ listen: "0.0.0.0:0", only: "relay", lan: true }, undefined],
    [{ overlay: false }, undefined],
  ])("%j: %s", (options, reach) => {
    expect(checkOptions(options).lanReach).toBe(reach);
  });
});
