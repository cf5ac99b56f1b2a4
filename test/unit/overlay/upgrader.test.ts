/** What the other side says of where it listens is dialled, and dialled no more often than is any use. */
import { expect, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { Connector, type ConnectorOptions } from "../../../peer/overlay/connector.ts";
import { Upgrader } from "../../../peer/overlay/upgrader.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { peerIdFromKey } from "../../../shared/ids.ts";

const [A, B] = ["tcp://192.0.2.1:4000", "tcp://198.51.100.1:4000"] as const;

/** A session that runs on a relay, as far as it is asked about that here. */
function relayed(): PeerSession {
  const session = Object.assign(new EventTarget(), {
    peerId: peerIdFromKey(new Uint8Array(32).fill(7)),
    role: "dialler",
    path: { kind: "relay" },
    transports: ["relay"],
    sendSignal() {},
    explain() {},
  });
  return session as unknown as PeerSession;
}

/** What is heard in a session, through the connector to the upgrader, as a peer hands it on. */
function world(): { clock: SimClock; hear: (addresses: readonly string[]) => void; dialsMs: number[] } {
  const clock = new SimClock();
  const runtime = simRuntime({ seed: 2, clock });
  const dialsMs: number[] = [];
  const connector = new Connector({ runtime, policy: "any" } as ConnectorOptions);
  const upgrader = new Upgrader({
    runtime,
    policy: "any",
    rtc: undefined,
    sessions: { connectOver: () => Promise.reject(new Error("not used")) },
    connector: {
      connect: () => Promise.reject(new Error("not used")),
      dialAddresses() {
        dialsMs.push(clock.monotonicMs());
        return Promise.reject(new Error("nobody there"));
      },
    },
    listenAddresses: () => [],
  });
  const session = relayed();
  upgrader.watch(session);
  const hear = (addresses: readonly string[]): void => {
    if (connector.told(session, addresses)) upgrader.learned(session);
  };
  return { clock, hear, dialsMs };
}

test("an address that is learned is dialled at once, and one that comes right after it a moment later", async () => {
  const { clock, hear, dialsMs } = world();
  await clock.advance(600_000);
  dialsMs.length = 0;
  hear([A]);
  await clock.advance(500);
  hear([A, B]);
  await clock.advance(1_600);
  expect(dialsMs).toEqual([600_000, 602_000]);
});

test("saying the same again has nothing dialled", async () => {
  const { clock, hear, dialsMs } = world();
  const silent = world();
  for (const each of [hear, silent.hear]) each([A, B]);
  for (let times = 0; times < 600; times++) {
    hear(times % 2 === 0 ? [A, B] : [B, A]);
    await clock.advance(50);
  }
  await silent.clock.advance(30_000);
  expect(dialsMs).toEqual(silent.dialsMs);
});

test("who says something else all the time has it dialled every two seconds at most", async () => {
  const { clock, hear, dialsMs } = world();
  await clock.advance(600_000);
  dialsMs.length = 0;
  for (let times = 0; times < 600; times++) {
    hear([times % 2 === 0 ? A : B]);
    await clock.advance(50);
  }
  expect(dialsMs.length).toBeGreaterThan(10);
  expect(dialsMs.length).toBeLessThanOrEqual(16);
});
