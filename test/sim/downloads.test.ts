/** Downloads on a simulated network: readers that pause, links and limits that are slow, sources that come late. */
import { expect, test } from "vitest";
import { type DownloadProgress, type Peer, simulate } from "../../peer/sim.ts";
import { withFiles } from "./files-world.ts";

const CHUNK = 262_144;

/** Everything that is left, in bytes. */
async function readOn(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number> {
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes += value.length;
  }
}

async function share(peer: Peer, bytes: number): Promise<string> {
  return (await peer.files.share(new Blob([new Uint8Array(bytes)]), { name: "content" })).ticket;
}

test("a reader that pauses for five minutes loses nothing, though its source is away meanwhile", async () => {
  await simulate({ seed: 21 }, async (network) => {
    const [source, taker] = [await network.open("source"), await network.open("taker")];
    const ticket = await share(source, 100 * CHUNK);
    const reader = taker.files.get(ticket).readable.getReader();
    const first = (await reader.read()).value?.length;
    await network.sleep(150_000);
    network.split([source], [taker]);
    await network.sleep(100_000);
    network.heal();
    await network.sleep(50_000);
    expect((first ?? 0) + (await readOn(reader))).toBe(100 * CHUNK);
  });
});

test("a limit that lets a chunk pass in a minute and a half makes a download slow, and nothing else", async () => {
  await simulate({ seed: 22 }, async (network) => {
    const source = await network.open("source");
    const taker = await network.open("taker", { downloadLimit: 3_000 });
    const ticket = await share(source, 3 * CHUNK);
    expect((await taker.files.get(ticket).blob()).size).toBe(3 * CHUNK);
    expect(network.nowMs).toBeGreaterThan(150_000);
  });
});

test("a line on which a chunk takes a minute and a half is slow, and nothing else", async () => {
  await simulate({ seed: 23 }, async (network) => {
    const source = await network.open("source", { uplinkBytesPerSecond: 3_000 });
    const taker = await network.open("taker");
    expect((await taker.files.get(await share(source, CHUNK)).blob()).size).toBe(CHUNK);
    expect(network.nowMs).toBeGreaterThan(80_000);
  });
});

test("a source that says nothing is waited for in vain no longer than a minute, whatever the limit", async () => {
  await simulate({ seed: 24 }, async (network) => {
    const source = await network.open("source");
    const taker = await network.open("taker", { downloadLimit: 3_000 });
    const ticket = await share(source, 3 * CHUNK);
    const copy = taker.files.get(ticket).blob();
    await network.sleep(10_000);
    network.crash(source);
    const crashedMs = network.nowMs;
    await expect(copy).rejects.toMatchObject({ code: expect.any(String) as string });
    expect(network.nowMs - crashedMs).toBeLessThan(180_000);
  });
});

test("who has something is asked again when it comes back, though all places are taken by those who have nothing", () =>
  withFiles(25, async (world) => {
    const source = world.open({ upload: 100_000 });
    const takers = Array.from({ length: 19 }, () => world.open());
    const { ticket } = await source.files.share(world.content(8 * CHUNK), { name: "content" });
    const copies = Promise.allSettled(takers.map(({ files }) => files.get(ticket, { seed: true }).blob()));
    await world.clock.advance(5_000);
    source.away();
    await world.clock.advance(30_000);
    source.back();
    const backMs = world.clock.monotonicMs();
    const ends = await world.clock.runUntil(copies, 600_000);
    expect(ends.filter(({ status }) => status === "rejected")).toEqual([]);
    expect(world.clock.monotonicMs() - backMs).toBeLessThan(30_000);
  }));

test("who reads the same at the same time fetches it once from the source, and the rest from each other", () =>
  withFiles(26, async (world) => {
    const source = world.open({ upload: 500_000 });
    const { ticket } = await source.files.share(world.content(24 * CHUNK), { name: "content" });
    const readers = Array.from({ length: 4 }, () => world.open());
    const all = Promise.all(readers.map(({ files }) => readOn(files.get(ticket).readable.getReader())));
    expect(await world.clock.runUntil(all, 120_000)).toEqual(Array(4).fill(24 * CHUNK));
    // Once takes 12.6 s, four times 50.
    expect(world.clock.monotonicMs()).toBeLessThan(25_000);
  }));

test("who comes late to readers that have read on takes what they still have, and the rest when there is a source", () =>
  withFiles(27, async (world) => {
    const source = world.open({ upload: 20_000_000 });
    const { ticket } = await source.files.share(world.content(160 * CHUNK), { name: "content" });
    const ahead = world.open().files.get(ticket).readable.getReader();
    for (let read = 0; read < 90 * CHUNK;)
      read += (await world.clock.runUntil(ahead.read(), 60_000)).value?.length ?? 0;
    source.away();
    const late = world.open().files.get(ticket);
    let bytes = 0;
    late.addEventListener("progress", (event) => {
      bytes = (event as CustomEvent<DownloadProgress>).detail.bytes;
    });
    const copy = late.blob();
    await world.clock.advance(20_000);
    expect(bytes / CHUNK).toBeGreaterThanOrEqual(64);
    expect(bytes / CHUNK).toBeLessThan(160 - 20);
    await world.clock.runUntil(readOn(ahead), 1_000).catch(() => {});
    source.back();
    expect((await world.clock.runUntil(copy, 60_000)).size).toBe(160 * CHUNK);
  }));

test("a small file from a known source is there after two round trips: what it is, and its bytes", async () => {
  await simulate({ seed: 25, rttMsMedian: 200 }, async (network) => {
    const [source, taker] = [await network.open("source"), await network.open("taker")];
    const ticket = await share(source, 1_000);
    const session = await taker.connect(source.id);
    const startedMs = network.nowMs;
    expect((await taker.files.get(ticket).blob()).size).toBe(1_000);
    const tookMs = network.nowMs - startedMs;
    expect(tookMs / (session.path.rttMs ?? 0)).toBeCloseTo(2, 0);
  });
});

test.each([26, 27, 28])(
  "two of four sources crash, and what they owed comes from the others at once (seed %i)",
  async (seed) => {
    await simulate({ seed }, async (network) => {
      const bytes = 160 * CHUNK;
      const sources: Peer[] = [];
      for (let i = 0; i < 4; i++) sources.push(await network.open(`source ${i}`, { uploadLimit: 1_000_000 }));
      const taker = await network.open("taker");
      let ticket: string | undefined;
      for (const source of sources) {
        const content = new Blob([new Uint8Array(bytes)]);
        ticket = (
          await source.files.share(content, { name: "content", ...(ticket !== undefined && { ticket }) })
        ).ticket;
      }
      const startMs = network.nowMs;
      const copy = taker.files.get(ticket ?? "").blob();
      await network.sleep(4_000);
      for (const source of sources.slice(2)) network.crash(source);
      expect((await copy).size).toBe(bytes);
      // 16 MB in the first four seconds at most, and 2 MB a second then.
      const leastMs = 4_000 + (bytes - 16_000_000) / 2_000;
      expect(network.nowMs - startMs).toBeLessThan(leastMs + 6_000);
    });
  },
);
