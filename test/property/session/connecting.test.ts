/** Whom nobody knows may be at the door already: a connector with no way of its own takes the session that the other side begins. */
import { expect, test } from "vitest";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { Connector } from "../../../peer/overlay/connector.ts";
import { inWorld, type World } from "./world.ts";

/** Bob's, where nothing can be dialled and nobody can be asked. */
function helplessConnector({ bob, clock, seed }: World): Connector {
  return new Connector({
    runtime: { ...simRuntime({ seed: `${seed}/connector`, clock }), clock },
    identity: bob.identity,
    sessions: bob.sessions,
    policy: "any",
    introducer: undefined,
    dialTcp: undefined,
    rtc: undefined,
    listenAddresses: () => [],
    needPeers: () => Promise.resolve(),
    onAttempt: () => {},
  });
}

test("a peer whose hello is being answered is connected to by waiting for it", () =>
  inWorld({ seed: 1 }, async (world) => {
    const connector = helplessConnector(world);
    // Alice has her answer, and Bob not yet her proof.
    await world.until(world.link({ latencyMs: 100 }).connected);
    expect(world.sessionOf("bob")).toBeUndefined();
    const session = await world.until(connector.connect(world.alice.identity.id));
    expect(session).toBe(world.sessionOf("bob"));
    expect(session.path.kind).toBe("direct");
  }));

test("one that says nothing more is no session, and nobody waits for one that never said anything", () =>
  inWorld({ seed: 2 }, async (world) => {
    const connector = helplessConnector(world);
    const connect = (): Promise<unknown> => world.until(connector.connect(world.alice.identity.id));
    const startedMs = world.clock.monotonicMs();
    await expect(connect()).rejects.toMatchObject({ code: "connect/no-path" });
    expect(world.clock.monotonicMs()).toBe(startedMs);
    const link = world.link({ latencyMs: 100 });
    await world.until(link.connected);
    link.cut("neither");
    await expect(connect()).rejects.toMatchObject({ code: "connect/no-path" });
  }));
