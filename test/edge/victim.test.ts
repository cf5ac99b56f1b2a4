/** What others may have one member of a rendezvous sent: it may read nothing, and what waits for it is in the memory that all share. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RECEIVED_BURST } from "../../edge/members.ts";
import { SIGNAL_BYTES_MAX } from "../../shared/limits.ts";
import { freshNetwork, makeIdentity, TestPeer } from "./harness.ts";

const SEALED = new Uint8Array(SIGNAL_BYTES_MAX);
const FITTING: number = Math.floor(RECEIVED_BURST / SIGNAL_BYTES_MAX);

/** Time stands still, so nothing is refilled. */
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: Date.now() }));
afterEach(() => void vi.useRealTimers());

/** Resolves when the edge has seen all that the peer has sent. */
async function settled(peer: TestPeer): Promise<void> {
  peer.send({ kind: "find", request: 99, id: (await makeIdentity()).id });
  await peer.expect("found");
}

test("is bounded, others are sent on, and after a while it is sent on too", async () => {
  const network = freshNetwork();
  const [victim, other, rude] = [
    await TestPeer.joined(network),
    await TestPeer.joined(network),
    await TestPeer.joined(network),
  ];
  const say = (to: TestPeer, sealed: Uint8Array): void =>
    rude.send({ kind: "signal", request: 1, to: to.id, sealed });
  for (let index = 0; index < FITTING + 30; index++) say(victim, SEALED);
  say(other, new Uint8Array([1]));
  expect(await other.expect("signal")).toMatchObject({ sealed: new Uint8Array([1]) });
  await settled(rude); // whoever sends is not told that nobody is there
  vi.setSystemTime(Date.now() + 1_000);
  say(victim, new Uint8Array([2]));
  await settled(rude);
  let heard = 0;
  for (; ; heard++) {
    const { sealed } = await victim.expect("signal");
    if (sealed.length === 1) break;
  }
  expect(heard).toBeGreaterThan(FITTING - 5);
  expect(heard).toBeLessThanOrEqual(FITTING);
});
