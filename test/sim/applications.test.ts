/** Applications on a simulated network: whole peers, and time that goes by itself. */
import { expect, test } from "vitest";
import { type Peer, type Session, simulate, type SimNat, type SimulatedNetwork } from "../../peer/sim.ts";

const NATS: readonly SimNat[] = ["none", "easy", "hard"];

/** The first three take links; the others are behind NATs of every kind. */
async function openMany(network: SimulatedNetwork, count: number): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (let i = 0; i < count; i++) {
    peers.push(await network.open(`peer ${i}`, { nat: i < 3 ? "none" : NATS[i % 3]! }));
    await network.sleep(500);
  }
  await network.sleep(5_000);
  return peers;
}

/** One message to all, some of which have just crashed; who heard it when. */
function news(seed: number): Promise<string[]> {
  return simulate({ seed, lossShare: 0.02 }, async (network) => {
    const peers = await openMany(network, 12);
    const topics = peers.map((peer) => peer.topic("news"));
    await network.sleep(5_000);
    for (const peer of peers.slice(8, 10)) network.crash(peer);
    const sentMs = network.nowMs;
    const heard = [1, 2, 3, 4, 5, 6, 7, 10, 11].map(async (i) => {
      for await (const { value } of topics[i]!)
        return `${i} ${JSON.stringify(value)} ${network.nowMs - sentMs}`;
      return "nothing";
    });
    await topics[0]!.publish("hello");
    const lines = await Promise.all(heard);
    return [...lines, ...peers.slice(0, 8).map((peer) => String(network.bytesSent(peer)))];
  });
}

test("a message reaches all who live, and a seed repeats the run to the byte", async () => {
  const [first, again, other] = [await news(1), await news(1), await news(2)];
  expect(first.slice(0, 9).map((line) => line.split(" ")[1])).toEqual(Array(9).fill('"hello"'));
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});

test("two behind hard NATs meet through others, and one that they let through is met directly", async () => {
  await simulate({ seed: 3 }, async (network) => {
    const [, , , , easy, hard, , , harder] = await openMany(network, 9);
    const session = await hard!.connect(harder!.id);
    expect(session.path.kind).toBe("overlay");
    expect((await easy!.connect(hard!.id)).path).toMatchObject({ kind: "direct", transport: "webrtc" });
    harder!.serve("calc/1", { add: (a: number, b: number) => a + b });
    const calc = hard!.rpc<{ add: (a: number, b: number) => number }>(harder!.id, "calc/1");
    expect(await calc.add(2, 3)).toBe(5);
  });
});

test("what is kept before a cut is found on both sides of it, and both are one network afterwards", async () => {
  await simulate({ seed: 4 }, async (network) => {
    const peers = await openMany(network, 10);
    const key = await peers[0]!.records.put("kept");
    const [left, right] = [peers.slice(0, 5), peers.slice(5)];
    network.split(left, right);
    await network.sleep(120_000);
    expect(await left[1]!.records.get(key)).toBe("kept");
    expect(await right[1]!.records.get(key)).toBe("kept");
    await expect(left[0]!.connect(right[4]!.id, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(connect\/|peer\/not-found)/) as string,
    });
    network.heal();
    await network.sleep(60_000);
    expect((await left[0]!.connect(right[4]!.id)).path.kind).toBe("direct");
  });
});

test("a stream goes on when the machine under it has slept for five minutes", async () => {
  await simulate({ seed: 5 }, async (network) => {
    const [anna, ben] = [await network.open("anna"), await network.open("ben", { nat: "easy" })];
    ben.handle("echo/1", (stream) => stream.readable.pipeTo(stream.writable));
    const stream = await (await anna.connect(ben.id)).open("echo/1");
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    const echo = async (byte: number): Promise<number | undefined> => {
      await writer.write(Uint8Array.of(byte));
      return (await reader.read()).value?.[0];
    };
    expect(await echo(1)).toBe(1);
    network.suspend(ben);
    const later = echo(2);
    await network.sleep(300_000);
    network.resume(ben);
    const wokenMs = network.nowMs;
    expect(await later).toBe(2);
    expect(network.nowMs - wokenMs).toBeLessThan(10_000);
  });
});

test("a swarm is as fast as its uplinks, and a machine opened again is who it was", async () => {
  await simulate({ seed: 6 }, async (network) => {
    const uplinkBytesPerSecond = 1_000_000;
    const source = await network.open("source", { uplinkBytesPerSecond });
    const takers: Peer[] = [];
    for (let i = 0; i < 3; i++) takers.push(await network.open(`taker ${i}`, { uplinkBytesPerSecond }));
    await network.sleep(5_000);
    const content = new Uint8Array(32 * 1024 * 1024).fill(7);
    const share = await source.files.share(new Blob([content]), { name: "content" });
    const startMs = network.nowMs;
    const blobs = await Promise.all(takers.map((peer) => peer.files.get(share.ticket).blob()));
    const leastMs = (content.length / uplinkBytesPerSecond) * 1_000;
    for (const blob of blobs) expect(blob.size).toBe(content.length);
    // Three copies by the source alone would take three times as long; with all it chose early it took 1.25 times.
    expect((network.nowMs - startMs) / leastMs).toBeLessThan(1.25);
    network.crash(source);
    expect((await network.open("source")).id).toBe(source.id);
  });
});

test("a download goes on when the machine under it has slept for five minutes", async () => {
  await simulate({ seed: 11 }, async (network) => {
    const source = await network.open("source", { uplinkBytesPerSecond: 1_000_000 });
    const taker = await network.open("taker", { nat: "easy" });
    const { ticket } = await source.files.share(new Blob([new Uint8Array(16_000_000)]), { name: "content" });
    const copy = taker.files.get(ticket).blob();
    await network.sleep(5_000);
    network.suspend(taker);
    await network.sleep(300_000);
    network.resume(taker);
    const wokenMs = network.nowMs;
    expect((await copy).size).toBe(16_000_000);
    expect(network.nowMs - wokenMs).toBeLessThan(30_000);
  });
});

test("what a feed's writer has appended is there when its machine is switched on again", async () => {
  await simulate({ seed: 12 }, async (network) => {
    const alone = await network.open("writer");
    await (await alone.feeds.open("diary")).append("nobody else has seen this");
    network.crash(alone);
    const again = await network.open("writer");
    const feed = await again.feeds.open("diary");
    expect(feed.length).toBe(1);
    expect((await feed.append("nor this")).seq).toBe(1);
  });
});

test("a private network lets in who was invited, until the owner bans it", async () => {
  await simulate({ seed: 10 }, async (network) => {
    const own = network.networks("owner");
    const name = await own.create();
    const owner = await network.open("owner", { network: name });
    const { url } = await own.invite(name, { uses: 1 });
    const guest = await network.open("guest", { invite: url, nat: "easy" });
    expect((await owner.connect(guest.id)).path.kind).toBe("direct");
    await expect(network.open("stranger", { network: name })).rejects.toMatchObject({
      code: "network/not-member",
    });
    await owner.membership.ban(guest.id);
    await network.sleep(5_000);
    expect(owner.sessions()).toEqual([]);
  });
});

test("bans that are made at once are all in force", async () => {
  await simulate({ seed: 11 }, async (network) => {
    const own = network.networks("owner");
    const name = await own.create();
    const owner = await network.open("owner", { network: name });
    const guests: string[] = [];
    for (const guest of ["one", "two", "three"]) {
      const { url } = await own.invite(name, { uses: 1 });
      const peer = await network.open(guest, { invite: url, nat: "easy" });
      guests.push(peer.id);
      await owner.connect(peer.id);
    }
    const receipts = await Promise.all(guests.map((id) => owner.membership.ban(id)));
    expect(receipts.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(owner.membership.banned).toEqual(guests.toSorted());
    await network.sleep(5_000);
    expect(owner.sessions()).toEqual([]);
  });
});

test("an application that asks its host for the time gets the simulated one", async () => {
  const before = { setTimeout, Date };
  const ticks = await simulate({ seed: 7, globalTimers: true }, async () => {
    const startMs = Date.now();
    const seen: number[] = [];
    const interval = setInterval(() => seen.push(Date.now() - startMs), 1_000);
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    clearInterval(interval);
    expect(new Date().getFullYear()).toBe(2026);
    expect(new Date(0).getTime()).toBe(0);
    expect(new Date()).toBeInstanceOf(Date);
    await expect(simulate({ seed: 8, globalTimers: true }, () => Promise.resolve())).rejects.toMatchObject({
      code: "usage/invalid",
    });
    return seen;
  });
  expect(ticks).toEqual([1_000, 2_000, 3_000]);
  expect({ setTimeout, Date }).toEqual(before);
});

test("what a scenario throws is thrown, and one that waits for what cannot come is told so", async () => {
  const failed = simulate({ seed: 9 }, async (network) => {
    await network.open("anna");
    throw new Error("the application failed");
  });
  await expect(failed).rejects.toThrow("the application failed");
  const stuck = simulate({ seed: 9, limitMs: 60_000 }, async (network) => {
    await network.open("anna");
    await new Promise(() => {});
  });
  await expect(stuck).rejects.toMatchObject({ code: "simulation/stuck" });
  const twice = simulate({ seed: 9 }, async (network) => {
    const anna = await network.open("anna");
    await expect(network.open("anna")).rejects.toMatchObject({ code: "usage/invalid" });
    network.crash(anna);
    network.suspend(anna);
  });
  await expect(twice).rejects.toMatchObject({ code: "usage/invalid" });
});

test("who has started again is met at the first call, though its session from before is kept", async () => {
  await simulate({ seed: 31 }, async (network) => {
    // Nobody can dial her, so that it is she who comes back.
    const [anna, ben] = [await network.open("anna", { nat: "hard" }), await network.open("ben")];
    const kept = await anna.connect(ben.id, { addresses: ben.listenAddresses });
    network.crash(ben);
    await network.sleep(60_000);
    expect(kept.path.kind).toBe("none");
    const again = await network.open("ben");
    again.serve("calc/1", { add: (a: number, b: number) => a + b });
    // Whoever asks at the moment when the old session has just been refused waits for the new one, too.
    const meanwhile = new Promise<Session>((resolve, reject) =>
      kept.addEventListener("close", () => void anna.connect(again.id).then(resolve, reject), { once: true }),
    );
    const session = await anna.connect(again.id, { addresses: again.listenAddresses });
    expect(session).not.toBe(kept);
    expect(await meanwhile).toBe(session);
    expect(await anna.rpc<{ add: (a: number, b: number) => number }>(again.id, "calc/1").add(2, 3)).toBe(5);
  });
});
