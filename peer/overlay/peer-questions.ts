/** What one peer asks another through the peers between them, and answers of itself: where it listens, whom it is linked to, and a sealed signal. */
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Identity } from "../identity/identity.ts";
import type { Runtime } from "../runtime.ts";
import { decodeContact, decodeContacts, encodeContact } from "./contact-codec.ts";
import { BODY_BYTES_MAX } from "./mesh/mesh-messages.ts";
import type { MeshKey } from "./mesh/mesh-key.ts";
import type { Mesh } from "./mesh/mesh.ts";
import type { RequestOptions } from "./mesh/requester.ts";
import { ANSWER_NONCE_BYTES, ProvedAnswers, saidIn } from "./proved-answers.ts";

const ASK = { contact: 0, signal: 1, neighbours: 2 } as const;
const NOTHING = new Uint8Array(0);
const ASK_LIMITS = { bytesMax: BODY_BYTES_MAX, depthMax: 1, itemsMax: 4, textBytesMax: 0 } as const;

export interface PeerQuestionsOptions {
  readonly runtime: Pick<Runtime, "random" | "log">;
  readonly identity: Identity;
  readonly network: NetworkName;
  listenAddresses(): readonly string[];
  /** Neighbours, as `decodeContacts` reads them. */
  named(): Uint8Array;
  /** Undefined before the overlay is open. */
  mesh(): Pick<Mesh, "size" | "deliver"> | undefined;
  keyOf(peerId: PeerId): Promise<MeshKey>;
  /** The fields of a signal have come; `answer` goes back by the same way. */
  onSignal(fields: FieldReader, answer: (body: Uint8Array) => void): void;
}

export class PeerQuestions {
  readonly #options: PeerQuestionsOptions;
  readonly #answers: ProvedAnswers;

  constructor(options: PeerQuestionsOptions) {
    this.#options = options;
    this.#answers = new ProvedAnswers(options.identity, options.network);
  }

  /** Where a peer listens; undefined when nobody of that id answers. */
  async find(peerId: PeerId, signal: AbortSignal): Promise<Contact | undefined> {
    const read = (body: Uint8Array): Contact | undefined =>
      decodeContact(body) ?? decodeContact(saidIn(body));
    const isRight = (body: Uint8Array): boolean => read(body)?.id === peerId;
    const answer = await this.#askOfItself(peerId, ASK.contact, signal, { isRight });
    return answer === undefined ? undefined : read(answer);
  }

  /** Whom a peer is linked to, those that can be dialled first; none when nobody of that id answers. */
  async neighboursOf(peerId: PeerId, signal: AbortSignal): Promise<Contact[]> {
    const answer = (await this.#askOfItself(peerId, ASK.neighbours, signal)) ?? NOTHING;
    const named = decodeContacts(saidIn(answer));
    return named.length > 0 ? named : decodeContacts(answer);
  }

  /** Has the fields of a signal carried to a peer. @returns its answer; undefined when nobody of that id answers */
  carry(
    peerId: PeerId,
    fields: readonly unknown[],
    signal: AbortSignal,
    options: RequestOptions,
  ): Promise<Uint8Array | undefined> {
    return this.#ask(peerId, encode([ASK.signal, ...fields]), signal, options);
  }

  /** Somebody's question to this peer. @throws PeerloomError `wire/malformed` */
  receive(body: Uint8Array, answer: (body: Uint8Array) => void): void {
    const { runtime, identity, listenAddresses, named, onSignal } = this.#options;
    const fields = new FieldReader(decode(body, ASK_LIMITS), "request");
    const ask = fields.integer(0, 2);
    if (ask === ASK.signal) {
      onSignal(fields, answer);
      return;
    }
    const said =
      ask === ASK.neighbours ? named() : encodeContact({ id: identity.id, addresses: listenAddresses() });
    if (!fields.hasMore) {
      answer(said);
      return;
    }
    const nonce = fields.bytes(ANSWER_NONCE_BYTES, ANSWER_NONCE_BYTES);
    this.#answers
      .prove(said, nonce)
      .then(answer)
      .catch((error: unknown) => runtime.log.debug("question not answered", { error: String(error) }));
  }

  /** Asks a peer about itself. What it says, it proves, unless it is an older one. */
  #askOfItself(
    peerId: PeerId,
    ask: number,
    signal: AbortSignal,
    options: RequestOptions = {},
  ): Promise<Uint8Array | undefined> {
    const nonce = this.#options.runtime.random.bytes(ANSWER_NONCE_BYTES);
    return this.#ask(peerId, encode([ask, nonce]), signal, {
      ...options,
      isProved: (body, done) => void this.#answers.isProved(peerId, body, nonce).then(done),
    });
  }

  async #ask(
    peerId: PeerId,
    body: Uint8Array,
    signal: AbortSignal,
    options: RequestOptions,
  ): Promise<Uint8Array | undefined> {
    const key = await this.#options.keyOf(peerId);
    signal.throwIfAborted();
    const mesh = this.#options.mesh();
    if (mesh === undefined || mesh.size === 0) return undefined;
    return new Promise((resolve) => {
      mesh.deliver(key, body, (answer) => resolve(answer?.body), options);
    });
  }
}
