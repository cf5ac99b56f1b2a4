/** One who speaks the wire and keeps to none of its rules: a socket at an edge, and a join where it serves the purpose. */
import { generateKeyPairSync, randomBytes, type KeyObject, sign } from "node:crypto";
import { type ClientOptions, WebSocket } from "ws";
import { type NetworkName, type PeerId, peerIdFromKey } from "../../shared/ids.ts";
import { announcementClaim, encodeAnnouncement, encodeSignedAnnouncement } from "../../shared/listings.ts";
import { WIRE_VERSION } from "../../shared/limits.ts";
import {
  decodeFromRendezvous,
  encodeToRendezvous,
  type FromRendezvous,
  joinClaim,
  type ToRendezvous,
} from "../../shared/messages.ts";

const PATIENCE_MS = 15_000;

export interface Key {
  readonly id: PeerId;
  readonly secret: KeyObject;
}

export function newKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const der = publicKey.export({ type: "spki", format: "der" });
  return { id: peerIdFromKey(Uint8Array.from(der.subarray(-32))), secret: privateKey };
}

export interface ClientAt {
  readonly edge: string;
  readonly network: string;
  /** The address that the edge shall see. workerd takes it from this header, as Cloudflare sets it. */
  readonly address?: string;
  readonly key?: Key;
  readonly pass?: string;
  /** Of a private network. */
  readonly membership?: string;
  /** How long each message is waited for. @default 15,000 ms */
  readonly patienceMs?: number;
}

export class Client {
  readonly socket: WebSocket;
  readonly key: Key;
  readonly messages: FromRendezvous[] = [];
  /** Status of a refused upgrade, or 101. */
  status = 0;
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly #at: ClientAt;
  #wake: () => void = () => {};

  constructor(at: ClientAt, path?: string) {
    this.#at = at;
    this.key = at.key ?? newKey();
    const url = `${at.edge.replace("http", "ws")}${path ?? `/v1/net/${at.network}/join?back=${at.pass ?? ""}&pass=${at.membership ?? ""}`}`;
    this.socket = new WebSocket(url, optionsFor(at.address));
    this.socket.on("upgrade", () => this.#now(() => (this.status = 101)));
    this.socket.on("unexpected-response", (_request, response) => {
      response.resume();
      this.#now(() => {
        this.status = response.statusCode ?? 0;
        this.closed ??= { code: this.status, reason: "refused" };
      });
      this.socket.terminate();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", (code, reason) =>
      this.#now(() => (this.closed ??= { code, reason: reason.toString() })),
    );
    this.socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary && path === undefined) this.#now(() => this.messages.push(decodeFromRendezvous(data)));
    });
  }

  send(message: ToRendezvous): void {
    this.socket.send(encodeToRendezvous(message));
  }

  /** The first message of a kind, or undefined when the socket ended before. */
  async heard<K extends FromRendezvous["kind"]>(
    kind: K,
  ): Promise<Extract<FromRendezvous, { readonly kind: K }> | undefined> {
    const find = (): FromRendezvous | undefined => this.messages.find((message) => message.kind === kind);
    await this.until(() => find() !== undefined || this.closed !== undefined);
    return find() as Extract<FromRendezvous, { readonly kind: K }> | undefined;
  }

  /** Answers the challenge. @returns whether it was let in */
  async join(): Promise<boolean> {
    const challenge = await this.heard("challenge");
    if (challenge === undefined) return false;
    const { edge: origin, network } = this.#at;
    const { nonce, timeMs } = challenge;
    const claim = joinClaim({ nonce, origin, network: network as NetworkName, timeMs });
    this.send({
      kind: "join",
      version: WIRE_VERSION,
      id: this.key.id,
      timeMs,
      signature: Uint8Array.from(sign(null, claim, this.key.secret)),
      beacon: true,
      addresses: [],
    });
    return (await this.heard("joined")) !== undefined;
  }

  async until(isSo: () => boolean): Promise<void> {
    const { patienceMs = PATIENCE_MS } = this.#at;
    const signal = AbortSignal.timeout(patienceMs);
    while (!isSo()) {
      if (signal.aborted)
        throw new Error(`nothing for ${patienceMs} ms; closed: ${JSON.stringify(this.closed)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** In a word, why it is not in: an error's code, the end of its socket, or that nothing came. */
  get refusal(): string {
    const error = this.messages.find((message) => message.kind === "error");
    if (error !== undefined) return error.code;
    if (this.closed === undefined) return this.status === 101 ? "silence" : "no answer to the upgrade";
    return `${this.closed.code} ${this.closed.reason}`.trim();
  }

  close(): void {
    this.socket.terminate();
  }

  #now(change: () => void): void {
    change();
    this.#wake();
  }
}

/** @param address that the edge shall see */
export function optionsFor(address: string | undefined): ClientOptions {
  return {
    perMessageDeflate: false,
    ...(address !== undefined && { headers: { "cf-connecting-ip": address } }),
  };
}

/** A quick join, for those who only want to be many. */
export async function joinOnce(at: ClientAt): Promise<boolean> {
  const client = new Client(at);
  try {
    return await client.join();
  } finally {
    client.close();
  }
}

/** Lists so many things that nobody else has, signed as it should be. @returns the status */
export async function announceOnce(at: ClientAt, listings: number): Promise<number> {
  const { edge, address, key = newKey() } = at;
  const network = at.network as NetworkName;
  const things = Array.from({ length: listings }, (_, index) => ({
    hash: Uint8Array.from(randomBytes(32)),
    name: `thing ${index} of many`,
    bytes: 1,
    words: "",
    ticket: `peerloom:get/${index}`,
  }));
  const body = encodeAnnouncement({ id: key.id, timeMs: Date.now(), listings: things });
  const signature = Uint8Array.from(sign(null, announcementClaim(edge, network, body), key.secret));
  const response = await fetch(`${edge}/v1/net/${network}/listings`, {
    method: "POST",
    body: Uint8Array.from(encodeSignedAnnouncement(body, signature)),
    headers: address === undefined ? {} : { "cf-connecting-ip": address },
  });
  await response.arrayBuffer();
  return response.status;
}
