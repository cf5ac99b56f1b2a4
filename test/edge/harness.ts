/**
 * Peers as the edge sees them: a key, a socket, and the messages that have come. Every wait has a deadline, because a call into
 * workerd that never resolves would hang the run beyond vitest's own.
 */
import { env, exports } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { bufferSource } from "../../shared/bytes.ts";
import {
  type ChannelId,
  type NetworkName,
  type PeerId,
  peerIdFromKey,
  requireNetworkName,
} from "../../shared/ids.ts";
import { WIRE_VERSION } from "../../shared/limits.ts";
import {
  decodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../shared/messages.ts";

export const ORIGIN = "https://edge.example";
const DEADLINE_MS = 5_000;

let networks = 0;

/** Storage is shared between the tests of a file, so each takes a network of its own. */
export function freshNetwork(): NetworkName {
  networks += 1;
  return requireNetworkName(`net-${networks}-${crypto.randomUUID().slice(0, 8)}`);
}

/** Opens a WebSocket at the Worker. */
export async function request(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return exports.default.fetch(`${ORIGIN}${path}`, { headers: { upgrade: "websocket", ...headers } });
}

type Heard = ArrayBuffer | string;

/** One socket with everything it has heard, in order. */
export class Ear {
  readonly socket: WebSocket;
  readonly #heard: Heard[] = [];
  #closed: { readonly code: number; readonly reason: string } | undefined;
  #wake: () => void = () => {};

  constructor(response: Response) {
    const socket = response.webSocket;
    if (socket === null) throw new Error(`no socket: ${response.status}`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      this.#heard.push(data as Heard);
      this.#wake();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#closed = { code, reason };
      this.#wake();
    });
    socket.accept();
  }

  async next(): Promise<Heard> {
    await this.#until(() => this.#heard.length > 0 || this.#closed !== undefined, "a message");
    const heard = this.#heard.shift();
    if (heard === undefined) throw new Error(`closed instead: ${JSON.stringify(this.#closed)}`);
    return heard;
  }

  async closed(): Promise<{ readonly code: number; readonly reason: string }> {
    await this.#until(() => this.#closed !== undefined, "the close");
    return this.#closed as { readonly code: number; readonly reason: string };
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!isSo()) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`waited ${DEADLINE_MS} ms for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

export interface TestIdentity {
  readonly id: PeerId;
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>;
}

export async function makeIdentity(): Promise<TestIdentity> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const raw = (await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer;
  const sign = async (bytes: Uint8Array): Promise<Uint8Array> =>
    new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, bufferSource(bytes)));
  return { id: peerIdFromKey(new Uint8Array(raw)), sign };
}

/** What a test may falsify in a join. */
export interface JoinForgery {
  readonly origin?: string;
  readonly network?: NetworkName;
  readonly timeMs?: number;
  readonly nonce?: Uint8Array;
  readonly version?: number;
  readonly id?: PeerId;
  readonly beacon?: boolean;
  readonly addresses?: readonly string[];
}

export class TestPeer {
  readonly identity: TestIdentity;
  readonly network: NetworkName;
  readonly ear: Ear;
  readonly challenge: Extract<FromRendezvous, { readonly kind: "challenge" }>;

  private constructor(
    identity: TestIdentity,
    network: NetworkName,
    ear: Ear,
    challenge: TestPeer["challenge"],
  ) {
    this.identity = identity;
    this.network = network;
    this.ear = ear;
    this.challenge = challenge;
  }

  /** Connected and challenged, not joined. */
  static async connect(network: NetworkName, identity?: TestIdentity): Promise<TestPeer> {
    return TestPeer.meet(new Ear(await request(`/v1/net/${network}/join`)), network, identity);
  }

  /** The same on a socket that is open. */
  static async meet(ear: Ear, network: NetworkName, identity?: TestIdentity): Promise<TestPeer> {
    const challenge = decodeFromRendezvous(new Uint8Array((await ear.next()) as ArrayBuffer));
    if (challenge.kind !== "challenge") throw new Error(`expected a challenge, got ${challenge.kind}`);
    return new TestPeer(identity ?? (await makeIdentity()), network, ear, challenge);
  }

  static async joined(
    network: NetworkName,
    forgery: JoinForgery = {},
    identity?: TestIdentity,
  ): Promise<TestPeer> {
    const peer = await TestPeer.connect(network, identity);
    await peer.join(forgery);
    await peer.expect("joined");
    return peer;
  }

  get id(): PeerId {
    return this.identity.id;
  }

  async join(forgery: JoinForgery = {}): Promise<void> {
    const {
      origin = ORIGIN,
      network = this.network,
      timeMs = this.challenge.timeMs,
      nonce = this.challenge.nonce,
    } = forgery;
    const { version = WIRE_VERSION, id = this.id, beacon = true, addresses = [] } = forgery;
    const signature = await this.identity.sign(joinClaim({ nonce, origin, network, timeMs }));
    this.send({ kind: "join", version, id, timeMs, signature, beacon, addresses });
  }

  send(message: ToRendezvous): void {
    this.ear.socket.send(encodeToRendezvous(message));
  }

  async expect<Kind extends FromRendezvous["kind"]>(
    kind: Kind,
  ): Promise<Extract<FromRendezvous, { readonly kind: Kind }>> {
    const message = decodeFromRendezvous(new Uint8Array((await this.ear.next()) as ArrayBuffer));
    if (message.kind !== kind) throw new Error(`expected ${kind}, got ${JSON.stringify(message)}`);
    return message as Extract<FromRendezvous, { readonly kind: Kind }>;
  }
}

/** Throws the rendezvous out of memory, as sleep does; sockets stay. */
export async function sleepRendezvous(network: NetworkName): Promise<void> {
  await evictDurableObject(env.RENDEZVOUS.getByName(`${network}/0`));
}

export async function sleepRelay(channel: ChannelId): Promise<void> {
  await evictDurableObject(env.RELAY.getByName(channel));
}
