/** Networks without an edge that begin with a list of peers: whoever is on it may come later. */
import { expect, test } from "vitest";
import { type PathAttempt, type Peer, simulate, type Unanswered } from "../../peer/sim.ts";

test("a peer that starts before the one it begins with says so, and meets it once that is there", async () => {
  const unanswered = await simulate({ seed: 5 }, async (network) => {
    const host = await network.open("host");
    await host.close();
    const early = await network.open("early", { bootstrap: [host] });
    const heard: Unanswered[] = [];
    early.addEventListener("unanswered", (event) => {
      heard.push((event as CustomEvent<Unanswered>).detail);
    });
    await network.sleep(15_000);
    expect(early.sessions()).toEqual([]);
    const again = await network.open("host", { bootstrap: [] });
    const met = new Promise<Peer>((resolve) => again.addEventListener("session", () => resolve(again)));
    const atMs = network.nowMs;
    await met;
    expect(network.nowMs - atMs).toBeLessThan(40_000);
    return heard.map(({ id, error }) => ({ isHost: id === host.id, code: error.code }));
  });
  expect(unanswered.length).toBeGreaterThan(0);
  for (const each of unanswered) expect(each).toEqual({ isHost: true, code: "connect/no-path" });
});

test("where a peer was reached is remembered from itself alone, whatever others say of it", async () => {
  const stranger = "tcp://203.0.113.9:4000";
  const dialled = await simulate({ seed: 6 }, async (network) => {
    const host = await network.open("host");
    const silent = await network.open("silent", { nat: "easy" });
    const anna = await network.open("anna", { nat: "easy" });
    await network.sleep(60_000);
    const session = await anna.connect(silent.id, { addresses: [stranger] });
    expect(session.path.kind).toBe("direct");
    await network.sleep(60_000);
    await anna.close();
    const addresses = new Set<string>();
    const again = await network.open("anna", { bootstrap: [] });
    again.addEventListener("attempt", (event) => {
      const attempt = (event as CustomEvent<PathAttempt>).detail;
      if (attempt.transport === "address") addresses.add(attempt.address);
    });
    await network.sleep(60_000);
    return { hosts: host.listenAddresses, addresses: [...addresses] };
  });
  expect(dialled.addresses).toEqual(dialled.hosts);
});
