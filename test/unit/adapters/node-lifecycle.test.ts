/** How Node finds out that its machine's network is another one. */
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { LOOK_EVERY_MS, nodeLifecycle } from "../../../peer/adapters/node/lifecycle.ts";
import { SyncClock } from "../../../peer/adapters/sim/sync-clock.ts";

const LOOPBACK = infoOf("127.0.0.1", { internal: true });

function infoOf(address: string, more: Partial<NetworkInterfaceInfo> = {}): NetworkInterfaceInfo {
  const common = { netmask: "255.255.255.0", mac: "00:00:00:00:00:00", internal: false, cidr: null };
  return { ...common, address, family: "IPv4", ...more } as NetworkInterfaceInfo;
}

function watched(interfaces: typeof networkInterfaces): {
  clock: SyncClock;
  backs: () => number;
  stop: () => void;
} {
  const clock = new SyncClock();
  let count = 0;
  const stop = nodeLifecycle(clock, interfaces).watch({ back: () => (count += 1), away: () => {} });
  return { clock, backs: () => count, stop };
}

test("an address that comes, goes or changes is told once, within a second", () => {
  let wifi = [infoOf("192.168.1.5")];
  const { clock, backs, stop } = watched(() => ({ lo: [LOOPBACK], wifi }));
  clock.advance(10 * LOOK_EVERY_MS);
  expect(backs()).toBe(0);
  const changes = [
    [infoOf("192.168.1.77")],
    [],
    [infoOf("10.0.0.2"), infoOf("2001:db8::1", { family: "IPv6" })],
  ];
  for (const [i, change] of changes.entries()) {
    wifi = change;
    clock.advance(LOOK_EVERY_MS);
    expect(backs()).toBe(i + 1);
    clock.advance(LOOK_EVERY_MS);
    expect(backs()).toBe(i + 1);
  }
  stop();
  wifi = [];
  clock.advance(10 * LOOK_EVERY_MS);
  expect(backs()).toBe(3);
});

test("what no other machine dials says nothing, nor does the order", () => {
  let interfaces: ReturnType<typeof networkInterfaces> = {
    a: [infoOf("192.168.1.5")],
    b: [infoOf("192.168.2.5")],
  };
  const { clock, backs } = watched(() => interfaces);
  interfaces = {
    b: [infoOf("192.168.2.5"), LOOPBACK, infoOf("fe80::1", { family: "IPv6", scopeid: 2 })],
    a: [infoOf("192.168.1.5")],
  };
  clock.advance(3 * LOOK_EVERY_MS);
  expect(backs()).toBe(0);
});

test("where it may not be asked nothing is told", () => {
  const { clock, backs } = watched(() => {
    throw new Error("NotCapable: Requires sys access");
  });
  clock.advance(3 * LOOK_EVERY_MS);
  expect(backs()).toBe(0);
});
