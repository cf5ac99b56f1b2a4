/**
 * One provider of a share: a stream to it, the manifest and layer it gives, and chunks one after the other. It reports
 * what comes and judges nothing: verification and scheduling are the download's.
 */
import { equalBytes, sha256, utf8Decode } from "../../../shared/bytes.ts";
import { parseErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { short } from "../../../shared/ids.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";
import { chunkCount, HASH_BYTES, merkleRoot } from "./merkle.ts";
import {
  ANSWER_BYTES_MAX,
  FILES_PROTOCOL,
  INDEX_BYTES,
  indexBody,
  indexOf,
  type Message,
  MESSAGE,
  MessageReader,
  shortMessage,
  violation,
} from "./protocol.ts";
import type { TicketProvider } from "./ticket.ts";

/** A provider that says nothing for so long while it owes an answer is given up. */
const ANSWER_TIMEOUT_MS = 20_000;

export class Source {
  readonly session: Session;
  readonly #host: ServiceHost;
  readonly #stream: Stream;
  readonly #reader: MessageReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(host: ServiceHost, session: Session, stream: Stream) {
    this.#host = host;
    this.session = session;
    this.#stream = stream;
    this.#reader = new MessageReader(stream.readable, ANSWER_BYTES_MAX);
    this.#writer = stream.writable.getWriter();
  }

  /** @throws PeerloomError as `ServiceHost.connect` and `Session.open` */
  static async open(host: ServiceHost, provider: TicketProvider, signal: AbortSignal): Promise<Source> {
    const session = await host.connect(provider.id, { signal, addresses: provider.addresses });
    return new Source(host, session, await session.open(FILES_PROTOCOL, { signal, priority: "bulk" }));
  }

  /**
   * The manifest that has this hash.
   * @throws PeerloomError `files/corrupt`, `files/not-found`, `files/protocol`, `wire/malformed`, `files/path-escape`
   */
  async manifest(hash: Uint8Array): Promise<Manifest> {
    await this.#writer.write(shortMessage(MESSAGE.open, hash));
    const { body } = await this.#expect(MESSAGE.manifest);
    if (!equalBytes(await sha256(body), hash)) throw corrupt(this.session, "another manifest");
    return decodeManifest(body);
  }

  /**
   * The hashes of all chunks, proved by the manifest's root.
   * @throws PeerloomError `files/corrupt`, `files/protocol`
   */
  async layer(manifest: Manifest): Promise<Uint8Array> {
    await this.#writer.write(shortMessage(MESSAGE.layerWanted, new Uint8Array(0)));
    const { body } = await this.#expect(MESSAGE.layer);
    const expected = chunkCount(manifest.bytes, manifest.chunkBytes) * HASH_BYTES;
    if (body.length !== expected || !equalBytes(await merkleRoot(body), manifest.root)) {
      throw corrupt(this.session, "other chunk hashes");
    }
    return body;
  }

  /** Asks for a chunk; does not wait for it. */
  async request(index: number): Promise<void> {
    await this.#writer.write(shortMessage(MESSAGE.chunkWanted, indexBody(index)));
  }

  /**
   * The next chunk that comes.
   * @returns its index and its bytes with one free byte before them, for the hash's prefix
   */
  async chunk(): Promise<{ readonly index: number; readonly prefixed: Uint8Array }> {
    const { body } = await this.#expect(MESSAGE.chunk);
    const index = indexOf(body);
    return { index, prefixed: body.subarray(INDEX_BYTES - 1) };
  }

  /** Tells the provider that nothing more is wanted. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#writer.close(), this.#reader.cancel()]);
  }

  drop(): void {
    this.#stream.reset("stream/cancelled");
  }

  async #expect(type: number): Promise<Message> {
    const timer = this.#host.runtime.clock.setTimer(ANSWER_TIMEOUT_MS, () =>
      this.#stream.reset("link/timeout"),
    );
    let message: Message | undefined;
    try {
      message = await this.#reader.next();
    } finally {
      timer.cancel();
    }
    if (message === undefined) throw violation("it ended early");
    if (message.type === MESSAGE.failure)
      throw refusal(this.session, utf8Decode(message.body.subarray(0, 64)));
    if (message.type !== type) throw violation(`message ${message.type} instead of ${type}`);
    return message;
  }
}

function refusal(session: Session, code: string): PeerloomError {
  const reasons: { readonly [code: string]: string } = {
    "files/not-found": "no longer shares that",
    "files/changed": "has changed the file since it was shared; ask for a new ticket",
  };
  const known = parseErrorCode(code, "files/no-source");
  return new PeerloomError(
    known,
    `${short(session.peerId)} ${reasons[known] ?? `cannot give it (${known})`}.`,
  );
}

/** What a source gave does not belong to the hash that was asked for. */
export function corrupt(session: Session, what: string): PeerloomError {
  return new PeerloomError(
    "files/corrupt",
    `${short(session.peerId)} sent ${what} than the ticket names; it is not asked again.`,
  );
}
