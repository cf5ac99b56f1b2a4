/** Who is served, in simulated time: getters that have a ticket, strangers that have none, and both when they say nothing. */
import { expect, test } from "vitest";
import { simRuntime } from "../../peer/adapters/sim/runtime.ts";
import { swarmAccess } from "../../peer/services/files/access.ts";
import type { Share } from "../../peer/services/files/files.ts";
import { encodeOpening, FILES_PROTOCOL, MESSAGE, shortMessage } from "../../peer/services/files/protocol.ts";
import type { Stream } from "../../peer/session/contract.ts";
import { fromHex } from "../../shared/bytes.ts";
import { DEFAULT_NETWORK } from "../../shared/ids.ts";
import { type FilesWorld, withFiles, type WorldPeer } from "./files-world.ts";

const CHUNK = 262_144;

interface Scene {
  readonly source: WorldPeer;
  readonly share: Share;
  readonly honest: WorldPeer;
}

async function setScene(world: FilesWorld): Promise<Scene> {
  const source = world.open();
  const share = await source.files.share(world.content(4 * CHUNK), { name: "content" });
  return { source, share, honest: world.open() };
}

/** Streams that nothing is said on. */
async function openMute(peer: WorldPeer, source: WorldPeer, count: number): Promise<Stream[]> {
  const session = await peer.connect(source.id);
  return Promise.all(Array.from({ length: count }, () => session.open(FILES_PROTOCOL)));
}

/** Says on a stream what only a holder of the ticket can say. */
async function prove(world: FilesWorld, stream: Stream, peer: WorldPeer, scene: Scene): Promise<void> {
  const runtime = simRuntime({ seed: world.seed, clock: world.clock });
  const hash = fromHex(scene.share.hash) ?? new Uint8Array(0);
  const access = await swarmAccess({ runtime, network: DEFAULT_NETWORK }, hash);
  const proof = await access.proof("getter", { getter: peer.id, giver: scene.source.id });
  const opening = encodeOpening({ key: access.key, proof, gives: false, addresses: [] });
  await stream.writable.getWriter().write(shortMessage(MESSAGE.open, opening));
}

async function textOf(stream: Stream): Promise<string> {
  let text = "";
  for await (const bytes of stream.readable) text += new TextDecoder().decode(bytes);
  return text;
}

test("strangers without a ticket keep nobody out, however many streams they open", () =>
  withFiles(31, async (world) => {
    const { source, share, honest } = await setScene(world);
    for (let i = 0; i < 20; i++) await openMute(world.open(), source, 16);
    const copy = honest.files.get(share.ticket).blob();
    expect((await world.clock.runUntil(copy, 2_000)).size).toBe(4 * CHUNK);
  }));

test("getters that ask for nothing make room when all places are taken, and are told so", () =>
  withFiles(32, async (world) => {
    const scene = await setScene(world);
    const mute: Stream[] = [];
    for (let i = 0; i < 5; i++) {
      const peer = world.open();
      for (let round = 0; round < 2; round++) {
        const streams = await openMute(peer, scene.source, i < 4 ? 7 : 4);
        await Promise.all(streams.map((stream) => prove(world, stream, peer, scene)));
        await world.clock.advance(0);
        mute.push(...streams);
      }
    }
    expect(mute).toHaveLength(64);
    const copy = scene.honest.files.get(scene.share.ticket).blob();
    await world.clock.advance(5_000);
    expect((await world.clock.runUntil(copy, 15_000)).size).toBe(4 * CHUNK);
    expect(await world.clock.runUntil(textOf(mute[0] as Stream), 1_000)).toContain("files/busy");
  }));
