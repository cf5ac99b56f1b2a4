/** What is asked of the edge for WebRTC: when, and as whom. */
import { afterEach, expect, test, vi } from "vitest";
import { IceServers } from "../../../peer/overlay/ice-servers.ts";
import type { Runtime } from "../../../peer/runtime.ts";
import { FakeClock } from "../rendezvous/fake-clock.ts";

const TEN_MINUTES_MS = 600_000;

afterEach(() => void vi.unstubAllGlobals());

/** An edge that answers everybody, and what it was asked. */
function edge(): { readonly asked: string[]; readonly runtime: Runtime; readonly clock: FakeClock } {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: URL) => {
    asked.push(url.href);
    return Response.json({ iceServers: [{ urls: [`stun:server-${asked.length}`] }] });
  });
  const clock = new FakeClock();
  const runtime = { clock, log: { debug: () => {}, warn: () => {} } } as unknown as Runtime;
  return { asked, runtime, clock };
}

test("a peer asks once in ten minutes, and again as soon as the edge has let it in", async () => {
  const { asked, runtime, clock } = edge();
  const member = { network: "demo", back: "", proof: () => Promise.resolve(`back=${member.back}`) };
  const servers = new IceServers(runtime, "https://edge.example", member);
  expect(await servers.get()).toEqual([{ urls: ["stun:server-1"] }]);
  expect(await servers.get()).toEqual([{ urls: ["stun:server-1"] }]);
  member.back = "pass";
  expect(await servers.get()).toEqual([{ urls: ["stun:server-2"] }]);
  await clock.advance(TEN_MINUTES_MS);
  expect(await servers.get()).toEqual([{ urls: ["stun:server-2"] }]);
  await clock.advance(1);
  await servers.get();
  const url = "https://edge.example/v1/ice?network=demo&back=";
  expect(asked).toEqual([url, `${url}pass`, `${url}pass`]);
});

test("who is no peer of a network, as a door to PeerJS or the doctor, asks as anybody", async () => {
  const { asked, runtime } = edge();
  await new IceServers(runtime, "https://edge.example/page").get();
  expect(asked).toEqual(["https://edge.example/v1/ice"]);
});
