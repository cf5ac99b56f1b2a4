/** A neighbour that lies about a peer which it knows and which this one asks for: where it is, and whom it is linked to. Sessions are scripted. */
import { expect, onTestFinished, test } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import { encodeContact } from "../../../peer/overlay/contact-codec.ts";
import {
  decodeMesh,
  encodeMesh,
  type Forward,
  type MeshMessage,
} from "../../../peer/overlay/mesh/mesh-messages.ts";
import { type MeshKey, meshKeyOf } from "../../../peer/overlay/mesh/mesh-key.ts";
import { Overlay } from "../../../peer/overlay/overlay.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { sha256 } from "../../../shared/bytes.ts";
import { decode, encode } from "../../../shared/codec.ts";
import { type PeerId, publicKeyOf, requireNetworkName } from "../../../shared/ids.ts";
import type { Contact } from "../../../shared/messages.ts";
import { seedOf } from "../identity/support.ts";

const ONE_WAY_MS = 10;
const LIMITS = { bytesMax: 4_096, depthMax: 1, itemsMax: 4, textBytesMax: 0 };
const PLACE = { x: 0, y: 0, height: 0 };
const WHERE = ["tcp://192.0.2.1:4000"];
const ELSEWHERE = ["tcp://203.0.113.9:1"];

const keyOf = async (id: PeerId): Promise<MeshKey> => meshKeyOf(await sha256(publicKeyOf(id)));

/** One end of a scripted session: what is sent comes to `take` a little later. */
function sessionTo(peerId: PeerId, clock: SimClock, take: (message: Uint8Array) => void): PeerSession {
  const session = {
    peerId,
    remoteHost: undefined,
    path: { kind: "direct" },
    closing: false,
    streamCount: 0,
    sendOverlay: (message: Uint8Array) => {
      const sent = message.slice();
      clock.setTimer(ONE_WAY_MS, () => take(sent));
    },
    close: () => Promise.resolve(),
  };
  // The rest of a session is not the overlay's business.
  return session as unknown as PeerSession;
}

/** The asker is linked to a liar, who looks like the best way, and to one who is linked to the peer asked for. */
class Scene {
  readonly clock = new SimClock();
  readonly asker: Overlay;
  readonly target: Overlay;
  readonly #ids: readonly PeerId[];
  /** Questions that came to the liar. */
  lies = 0;

  constructor(identities: readonly Identity[]) {
    this.#ids = identities.map(({ id }) => id);
    const [asker, between, target] = identities.map((identity, i) => this.#overlay(identity, i));
    this.asker = asker as Overlay;
    this.target = target as Overlay;
    this.#link(this.asker, 0, between as Overlay, 1);
    this.#link(between as Overlay, 1, this.target, 2);
  }

  static async open(
    lie: (answer: { readonly ask: unknown; readonly about: PeerId }) => Uint8Array,
  ): Promise<Scene> {
    const scene = new Scene(await Promise.all([1, 2, 3, 4].map((seed) => identityFromSeed(seedOf(seed)))));
    for (const overlay of scene.#overlays) await overlay.open();
    onTestFinished(() => {
      for (const overlay of scene.#overlays) overlay.close();
      scene.clock.close();
    });
    for (const link of scene.#links) link();
    const [, , about, liar] = scene.#ids as [PeerId, PeerId, PeerId, PeerId];
    const key = await keyOf(about);
    const session = sessionTo(liar, scene.clock, (bytes) => {
      const message = decodeMesh(bytes);
      if (message.kind === "forward" && message.exact && message.target === key) {
        const [ask] = decode(innerOf(message), LIMITS) as unknown[];
        scene.lies += 1;
        say({ kind: "ack", mids: [message.mid] });
        const { mid, origin } = message;
        say({ kind: "reply", mid, origin, path: [], hops: 2, found: true, body: lie({ ask, about }) });
      } else if (message.kind === "ping") say({ kind: "pong", id: message.id, place: PLACE, error: 1 });
    });
    const say = (message: MeshMessage): void => scene.asker.receive(session, encodeMesh(message));
    scene.asker.update(session);
    await scene.clock.advance(100);
    say({
      kind: "greet",
      version: 1,
      beacon: false,
      place: PLACE,
      error: 1,
      entries: [{ key, rttMs: 0, ...PLACE }],
    });
    await scene.clock.advance(2_000);
    return scene;
  }

  readonly #overlays: Overlay[] = [];
  readonly #links: (() => void)[] = [];

  #overlay(identity: Identity, i: number): Overlay {
    const overlay = new Overlay({
      runtime: simRuntime({ seed: `overlay ${i}`, clock: this.clock }),
      identity,
      network: requireNetworkName("demo"),
      listenAddresses: () => WHERE,
      addressesOf: () => [],
      connectDirect: () => Promise.reject(new Error("no further links here")),
    });
    this.#overlays.push(overlay);
    return overlay;
  }

  #link(a: Overlay, aIndex: number, b: Overlay, bIndex: number): void {
    this.#links.push(() => {
      const [aId, bId] = [this.#ids[aIndex] as PeerId, this.#ids[bIndex] as PeerId];
      const toB: PeerSession = sessionTo(bId, this.clock, (message) => b.receive(toA, message));
      const toA: PeerSession = sessionTo(aId, this.clock, (message) => a.receive(toB, message));
      a.update(toB);
      b.update(toA);
    });
  }

  async found(): Promise<Contact | undefined> {
    return this.clock.runUntil(this.asker.find(this.#ids[2] as PeerId, new AbortController().signal));
  }

  async named(): Promise<readonly PeerId[]> {
    const named = this.asker.neighboursOf(this.#ids[2] as PeerId, new AbortController().signal);
    return (await this.clock.runUntil(named)).map(({ id }) => id);
  }

  get between(): PeerId {
    return this.#ids[1] as PeerId;
  }
}

function innerOf({ body }: Forward): Uint8Array {
  const [, inner] = decode(body, LIMITS) as [number, Uint8Array];
  return inner;
}

test.each([
  ["as a peer of before would", 0],
  ["with a signature that is none", 64],
])("a false address, told %s, is not believed while the peer itself says another", async (_, signature) => {
  const scene = await Scene.open(({ about }) => {
    const said = encodeContact({ id: about, addresses: ELSEWHERE });
    return Uint8Array.from([...said, ...new Uint8Array(signature)]);
  });
  for (let i = 0; i < 3; i++) expect((await scene.found())?.addresses).toEqual(WHERE);
  expect(scene.lies).toBeGreaterThanOrEqual(3);
});

test("nor is whom it is linked to", async () => {
  const scene = await Scene.open(({ about }) => encode([encodeContact({ id: about, addresses: [] })]));
  expect(await scene.named()).toEqual([scene.between]);
  expect(scene.lies).toBeGreaterThan(0);
});
