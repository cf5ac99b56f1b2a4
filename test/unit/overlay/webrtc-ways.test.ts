/** Who carries the signals of those whom an edge has named: it carries the first four, peers the rest, and it again where they do not. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import type { Link } from "../../../peer/links/link.ts";
import type { SignalMessage } from "../../../peer/links/signaller.ts";
import type { SendSignal } from "../../../peer/overlay/rtc-negotiations.ts";
import { WebRtcWays } from "../../../peer/overlay/webrtc-ways.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";

const OFFER: SignalMessage = { kind: "meet" };
const LINK = {} as Link;
const PEERS = ["b", "c", "d", "e", "f", "g", "h", "i", "j"].map((letter) =>
  requirePeerId(`${letter.repeat(51)}a`),
);

class Newcomer {
  readonly clock = new SimClock();
  readonly stop = new AbortController();
  /** Peers to whom the edge, and peers, carried an offer, by their place in `PEERS`. */
  readonly byEdge: number[] = [];
  readonly byPeers: number[] = [];
  /** Of the overlay. */
  size = 0;
  isReady = false;
  /** Whether peers say that they carried, and whether the other side has answered. */
  reaches = true;
  isAnswered = false;
  /** Ends the offer to a peer. */
  readonly #opened = new Map<PeerId, (link: Link) => void>();

  constructor() {
    onTestFinished(() => {
      this.stop.abort();
      this.clock.close();
    });
    const ways = new WebRtcWays(
      {
        runtime: simRuntime({ seed: 1, clock: this.clock }),
        introducer: { signal: (to) => this.byEdge.push(PEERS.indexOf(to)) },
        overlay: this,
        rtc: {
          offer: (to, send, signal) => this.#offer(to, send, signal),
          isAnswered: () => this.isAnswered,
        },
      },
      () => Promise.resolve(undefined),
    );
    for (const peer of PEERS) {
      for (const way of ways.introduced(peer, false)) way.link(this.stop.signal).catch(() => {}); // Given up when the test ends.
    }
  }

  /** A link stands now. */
  async linked(index: number): Promise<void> {
    this.size += 1;
    this.#opened.get(PEERS[index] as PeerId)?.(LINK);
    await this.clock.advance(100);
  }

  /** As an overlay. */
  isLinked(): Promise<boolean> {
    return Promise.resolve(this.size > 0);
  }

  signal(to: PeerId): Promise<boolean> {
    this.byPeers.push(PEERS.indexOf(to));
    return Promise.resolve(this.reaches);
  }

  #offer(to: PeerId, send: SendSignal, signal: AbortSignal): Promise<Link> {
    send(OFFER);
    return new Promise((resolve, reject) => {
      this.#opened.set(to, resolve);
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  }
}

test("the edge carries four offers, and once a link stands peers carry the others", async () => {
  const newcomer = new Newcomer();
  await newcomer.clock.advance(500);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3]);
  await newcomer.linked(1);
  newcomer.isAnswered = true;
  await newcomer.clock.advance(20_000);
  expect(newcomer.byPeers).toEqual([4, 5, 6, 7, 8]);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3]);
});

test("four that do not answer hold nobody up", async () => {
  const newcomer = new Newcomer();
  await newcomer.clock.advance(1_500);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test("whom no peer knows may be of a network apart: the edge carries, however many links there are", async () => {
  const newcomer = new Newcomer();
  newcomer.isReady = true;
  newcomer.reaches = false;
  await newcomer.clock.settle();
  await newcomer.linked(0);
  expect(newcomer.byPeers).toEqual([4, 5, 6, 7, 8]);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3]); // Their turns are not over yet.
  await newcomer.clock.advance(5_000);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("whoever says that he carries, and does not, costs three seconds", async () => {
  const newcomer = new Newcomer();
  await newcomer.clock.settle();
  await newcomer.linked(0);
  await newcomer.clock.advance(2_500);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3]);
  await newcomer.clock.advance(5_000);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a peer with links enough does not ask the edge for who is silent", async () => {
  const newcomer = new Newcomer();
  await newcomer.clock.settle();
  newcomer.isReady = true;
  await newcomer.linked(0);
  await newcomer.clock.advance(5_000);
  expect(newcomer.byEdge).toEqual([0, 1, 2, 3]);
});
