/**
 * The cheapest thing that a rendezvous takes for a peer: one WebSocket that speaks the real join protocol and comes back as a real peer
 * does, without anything above it. Thousands fit into a process.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { WebSocket } from "ws";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { afterLoss, type RendezvousState, type Welcome } from "../../../peer/overlay/rendezvous-state.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type PeerId, peerIdFromKey, requireNetworkName } from "../../../shared/ids.ts";
import { JOIN_TIMEOUT_MS, WIRE_VERSION } from "../../../shared/limits.ts";
import { decodeFromRendezvous, encodeToRendezvous, joinClaim } from "../../../shared/messages.ts";
import { VERSION_QUERY } from "../../../shared/wire-version.ts";

/** How often a dead edge is looked for by a thousand clients is what is measured, so they look as peers do. */
const { random } = nodeRuntime({ dataDir: undefined, webrtc: undefined });

export interface JoinClientEvents {
  /** Wall clock, ms. */
  joined(atMs: number): void;
  dialled(atMs: number): void;
  /** The edge did not get round to one that comes back. */
  timedOut(): void;
}

export class JoinClient {
  readonly id: PeerId;
  readonly #key: KeyObject;
  readonly #network: string;
  readonly #events: JoinClientEvents;
  #socket: WebSocket | undefined;
  #state: RendezvousState = { phase: "idle" };
  #members = 0;
  /** The last dial was not answered in time. */
  #tooSlow = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(network: string, events: JoinClientEvents) {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    this.id = peerIdFromKey(Uint8Array.from(raw));
    this.#key = privateKey;
    this.#network = network;
    this.#events = events;
  }

  get isJoined(): boolean {
    return this.#state.phase === "joined";
  }

  /**
   * @returns members of its shard, itself among them
   * @throws PeerloomError what the edge refused it with, `edge/unreachable`
   */
  async join(edge: string): Promise<number> {
    const url = `${edge.replace(/^http/, "ws")}/v1/net/${this.#network}/join?${VERSION_QUERY}=${WIRE_VERSION}`;
    this.#events.dialled(Date.now());
    const socket = new WebSocket(url, { perMessageDeflate: false });
    this.#socket = socket;
    const { promise, resolve, reject } = Promise.withResolvers<Welcome>();
    const gone = (why: string): void => reject(new PeerloomError("edge/unreachable", why));
    const tooSlow = (): void => {
      this.#tooSlow = true;
      gone("no answer in time");
    };
    this.#tooSlow = false;
    let timer = setTimeout(tooSlow, JOIN_TIMEOUT_MS);
    socket.on("message", (data: Buffer) => {
      const message = decodeFromRendezvous(Uint8Array.from(data));
      if (message.kind === "challenge") {
        clearTimeout(timer);
        timer = setTimeout(tooSlow, JOIN_TIMEOUT_MS);
        socket.send(this.#answer(edge, message.nonce));
      } else if (message.kind === "joined") resolve(message);
      else if (message.kind === "error") reject(new PeerloomError("edge/unreachable", message.code));
    });
    socket.on("unexpected-response", (_request, response) => gone(`HTTP ${response.statusCode}`));
    socket.on("error", (error) => gone(error.message));
    socket.on("close", (code) => gone(`closed: ${code}`));
    try {
      const welcome = await promise;
      this.#members = welcome.members;
      this.#tooSlow = false;
      this.#state = { phase: "joined", attempt: 0, sinceMs: performance.now(), welcome };
      this.#events.joined(Date.now());
      return welcome.members;
    } catch (error) {
      socket.terminate();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** From now on it comes back by itself, after the waits of a real peer. */
  comeBack(edge: string): void {
    this.#socket?.once("close", () => this.#again(edge));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#state = { phase: "closed" };
    this.#socket?.removeAllListeners("close");
    this.#socket?.terminate();
  }

  #again(edge: string): void {
    if (this.#state.phase === "closed") return;
    const error = new PeerloomError("edge/unreachable", "the socket was lost");
    // Long joined: the waits begin with the first.
    const nowMs = performance.now() + (this.#state.phase === "joined" ? 3_600_000 : 0);
    const next = afterLoss(
      this.#state,
      { error, nowMs, everJoined: true, members: this.#members, tooSlow: this.#tooSlow },
      random,
    );
    if (next.phase === "stopped") return;
    this.#state = { phase: "joining", attempt: next.attempt };
    this.#timer = setTimeout(() => {
      this.join(edge).then(
        () => this.comeBack(edge),
        () => {
          if (this.#tooSlow) this.#events.timedOut();
          this.#again(edge);
        },
      );
    }, next.delayMs);
  }

  #answer(edge: string, nonce: Uint8Array): Uint8Array {
    const timeMs = Date.now();
    const network = requireNetworkName(this.#network);
    const signature = Uint8Array.from(
      sign(null, joinClaim({ nonce, origin: edge, network, timeMs }), this.#key),
    );
    return encodeToRendezvous({
      kind: "join",
      version: WIRE_VERSION,
      id: this.id,
      timeMs,
      signature,
      beacon: true,
      addresses: [],
    });
  }
}
