/**
 * A network of peers that have no edge: three of four listen on TCP, the fourth can be reached by WebRTC alone. They join
 * through addresses, and find each other by the overlay. What the public library keeps to itself (the overlay of a peer,
 * how many hops an answer took, what was sent) is read where it passes, on the prototypes; nothing is changed.
 */
import { setTimeout as rest } from "node:timers/promises";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { loadNodeWebRtc } from "../../../peer/adapters/node/webrtc.ts";
import { ALL_PARTS } from "../../../peer/api/all-parts.ts";
import { Peer, PING_PROTOCOL } from "../../../peer/api/peer.ts";
import { loadOrCreateIdentity } from "../../../peer/identity/identity-store.ts";
import { Mesh } from "../../../peer/overlay/mesh/mesh.ts";
import { Overlay } from "../../../peer/overlay/overlay.ts";
import { PeerSession } from "../../../peer/session/session.ts";
import { requirePeerId } from "../../../shared/ids.ts";
import type { Finding, Network, NetworkNode } from "../lib/network.ts";

const NETWORK = "bench";
/** Every so many peers, one does not listen. */
const UNDIALLABLE_EVERY = 4;
const BOOTSTRAP_MAX = 4;
const JOIN_MS_MAX = 30_000;
const JOIN_LOOK_MS = 2;
const FIND_MS_MAX = 10_000;

const probe = watchOverlay();

/** @param variant `browser-links`: as many links as a browser has, so that not everybody is everybody's neighbour */
export async function createNetwork(variant: string): Promise<Network> {
  // Loopback and nothing else. Loaded here, so that the binary is not counted as the first peer's memory.
  const webrtc = await loadNodeWebRtc({ bindAddress: "127.0.0.1" });
  return {
    async open(bootstrap, index) {
      const runtime = nodeRuntime({ dataDir: undefined, webrtc });
      const identity = await loadOrCreateIdentity(runtime);
      const host = variant === "browser-links" ? { ...runtime, name: "browser" as const } : runtime;
      const options = {
        edge: null,
        network: NETWORK,
        bootstrap: bootstrap.slice(0, BOOTSTRAP_MAX),
        iceServers: [],
        ...(index % UNDIALLABLE_EVERY === UNDIALLABLE_EVERY - 1 ? {} : { listen: "127.0.0.1:0" }),
      };
      const peer = await Peer.openOn(host, identity, options, ALL_PARTS);
      const node = nodeOf(peer, probe.overlayOpened());
      if (bootstrap.length > 0) await joined(node);
      return node;
    },
    sent: () => ({ ...probe.sent }),
  };
}

function nodeOf(peer: Peer, overlay: Overlay): NetworkNode {
  const [address] = peer.listenAddresses;
  return {
    name: peer.id,
    address: address === undefined ? undefined : `${address}/${peer.id}`,
    size: () => overlay.size,
    isConnected: (name) => peer.sessions().some(({ peerId }) => peerId === name),
    async find(name): Promise<Finding> {
      const contact = await overlay.find(requirePeerId(name), AbortSignal.timeout(FIND_MS_MAX));
      return { found: contact !== undefined, messages: probe.messagesOfLastAnswer() };
    },
    async ping(name, bytes) {
      const session = await peer.connect(name);
      const stream = await session.open(PING_PROTOCOL);
      const writer = stream.writable.getWriter();
      await writer.write(new Uint8Array(bytes).fill(0x5a));
      const reader = stream.readable.getReader();
      for (let left = bytes; left > 0;) left -= (await reader.read()).value?.length ?? left;
      stream.reset();
    },
    records: {
      put: (value) => peer.records.put(value),
      async get(key): Promise<Finding> {
        const before = probe.answerMessages();
        const value = await peer.records.get(key);
        // Of all the ways that it went at once.
        return { found: value !== undefined, messages: probe.answerMessages() - before };
      },
    },
  };
}

/** By then others can look it up, as the other stacks mean it. */
async function joined(node: NetworkNode): Promise<void> {
  const startMs = performance.now();
  while (node.size() === 0) {
    if (performance.now() - startMs > JOIN_MS_MAX) throw new Error(`Not joined after ${JOIN_MS_MAX} ms.`);
    await rest(JOIN_LOOK_MS);
  }
}

interface Probe {
  readonly sent: { forwards: number; acks: number; replies: number };
  /** Of the peer opened last; peers are opened one after the other. */
  overlayOpened(): Overlay;
  /** The answer that the promise just awaited came of: nothing else runs between the two. */
  messagesOfLastAnswer(): number;
  /** Of all answers from keys that this process's peers have had. */
  answerMessages(): number;
}

/** A forward over each hop, and a reply back over each. */
function messagesOf(answer: { readonly hops: number } | undefined): number {
  return 2 * (answer?.hops ?? Number.NaN);
}

function watchOverlay(): Probe {
  const sent = { forwards: 0, acks: 0, replies: 0 };
  let opened: Overlay | undefined;
  let last = Number.NaN;
  let all = 0;

  const remember = (overlay: Overlay): void => {
    opened = overlay;
  };
  const { open } = Overlay.prototype;
  Overlay.prototype.open = function (this: Overlay) {
    remember(this);
    return open.call(this);
  };
  const { deliver } = Mesh.prototype;
  Mesh.prototype.deliver = function (this: Mesh, target, body, done, options) {
    deliver.call(
      this,
      target,
      body,
      (answer) => {
        last = messagesOf(answer);
        done(answer);
      },
      options,
    );
  };
  const { ask } = Mesh.prototype;
  Mesh.prototype.ask = function (this: Mesh, target, body, done, options) {
    ask.call(
      this,
      target,
      body,
      (answer) => {
        if (answer !== undefined) all += messagesOf(answer);
        done(answer);
      },
      options,
    );
  };
  const { sendOverlay } = PeerSession.prototype;
  PeerSession.prototype.sendOverlay = function (this: PeerSession, message) {
    // An array's header, then the kind: see mesh-messages.ts.
    if (message[1] === 4) sent.forwards += 1;
    else if (message[1] === 5) sent.acks += 1;
    else if (message[1] === 6) sent.replies += 1;
    sendOverlay.call(this, message);
  };
  return {
    sent,
    overlayOpened() {
      if (opened === undefined) throw new Error("No overlay has been opened.");
      return opened;
    },
    messagesOfLastAnswer: () => last,
    answerMessages: () => all,
  };
}
