/** Liars among those who carry: what a peer is told of a signal to another that it is not linked to. A fifth of 400 peers answer whatever they should forward. */
import { expect, onTestFinished, test } from "vitest";
import { orderHostWork } from "../../peer/adapters/sim/host-work.ts";
import { simRuntime } from "../../peer/adapters/sim/runtime.ts";
import { SyncClock } from "../../peer/adapters/sim/sync-clock.ts";
import { identityFromSeed } from "../../peer/identity/identity.ts";
import type { SignalMessage } from "../../peer/links/signaller.ts";
import { LINK_BUDGETS } from "../../peer/overlay/mesh/link-table.ts";
import { PeerSignals } from "../../peer/overlay/peer-signals.ts";
import { buildNetwork } from "../../peer/simulation/oracle.ts";
import { type SimPeer, World } from "../../peer/simulation/world.ts";
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { DEFAULT_NETWORK, type PeerId } from "../../shared/ids.ts";

const LIMITS = { bytesMax: 4_096, depthMax: 1, itemsMax: 4, textBytesMax: 0 };
const STEP_MS = 20;
const ROUNDS = 3;
const MEET: SignalMessage = { kind: "meet" };
const OFFER: SignalMessage = {
  kind: "rtc",
  connectionId: new Uint8Array(8),
  signal: { kind: "offer", sdp: "v=0\r\n" },
};
const ANSWER: SignalMessage = { ...OFFER, signal: { kind: "answer", sdp: "v=0\r\n" } };

interface Signalling {
  readonly id: PeerId;
  readonly signals: PeerSignals;
  /** Signals that came. */
  heard: number;
}

type Pair = readonly [from: Signalling, to: Signalling];

class Liars {
  readonly network: World;
  readonly #work = orderHostWork();
  readonly #all = new Map<SimPeer, Signalling>();
  readonly #peers = new Map<PeerId, SimPeer>();

  constructor() {
    this.network = new World({ seed: 3, clock: new SyncClock(), malicious: 0.2, malice: ["lie"] });
    buildNetwork(this.network, 400, LINK_BUDGETS.browser);
    this.network.deliver = (peer, body, _, answer) => {
      const fields = new FieldReader(decode(body, LIMITS), "question");
      this.#all.get(peer)?.signals.receive(fields, answer);
    };
    this.network.clock.advance(5_000);
    onTestFinished(() => this.#work.release());
  }

  /** Honest ones that are not linked, each asker once. */
  async pairs(): Promise<Pair[]> {
    const honest = this.network.alive.filter(({ malice }) => malice === undefined);
    for (const [i, peer] of honest.entries()) this.#all.set(peer, await this.#signalling(peer, i));
    return honest.flatMap((peer, i) => {
      const other = honest[(i * 7 + 101) % honest.length] as SimPeer;
      if (other === peer || peer.links.has(other.key)) return [];
      return [[this.#all.get(peer) as Signalling, this.#all.get(other) as Signalling] as const];
    });
  }

  /** Has each asker signal, and lets time pass until all know whether it arrived. */
  async signal(pairs: readonly Pair[], message: SignalMessage): Promise<boolean[]> {
    let over = false;
    const all = Promise.all(pairs.map(([from, to]) => from.signals.send(to.id, message)));
    void all.then(() => (over = true));
    await this.#work.settle();
    while (!over) {
      this.network.clock.advance(STEP_MS);
      await this.#work.settle();
    }
    return all;
  }

  async #signalling(peer: SimPeer, i: number): Promise<Signalling> {
    const seed = new Uint8Array(32);
    new DataView(seed.buffer).setUint32(0, i);
    const identity = await identityFromSeed(seed);
    const signals = new PeerSignals({
      runtime: simRuntime({ seed: i, clock: this.network.clock }),
      identity,
      network: DEFAULT_NETWORK,
      question: (to, fields, options) =>
        new Promise((resolve) => {
          const { key } = this.#peers.get(to) as SimPeer;
          peer.mesh.deliver(key, encode(fields), (answer) => resolve(answer?.body), options);
        }),
    });
    this.#peers.set(identity.id, peer);
    const made: Signalling = { id: identity.id, signals, heard: 0 };
    signals.onSignal = (_, message, answer) => {
      made.heard += 1;
      if (message.kind === "rtc" && message.signal.kind === "offer") answer(ANSWER);
    };
    return made;
  }
}

test("who carries a signal cannot say in another's stead that it has arrived, and keeps none from arriving", async () => {
  const liars = new Liars();
  const pairs = await liars.pairs();
  expect(pairs.length).toBeGreaterThan(250);
  const deceived = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    const before = pairs.map(([, to]) => to.heard);
    const said = await liars.signal(pairs, MEET);
    for (const [i, [, to]] of pairs.entries())
      if (said[i] === true && to.heard === before[i]) deceived.add(i);
  }
  expect([...deceived]).toEqual([]);
  expect(pairs.filter(([, to]) => to.heard < ROUNDS)).toEqual([]);
  const before = pairs.map(([from]) => from.heard);
  await liars.signal(pairs, OFFER);
  expect(pairs.filter(([from], i) => from.heard === before[i])).toEqual([]);
});
