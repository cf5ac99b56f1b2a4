/**
 * One source of a share: a stream to it, the manifest and layer it gives, what it has, and chunks one after the other. It reports
 * what comes and judges nothing: verification and scheduling are the download's.
 */
import { equalBytes, sha256, utf8Decode } from "../../../shared/bytes.ts";
import { parseErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { short } from "../../../shared/ids.ts";
import type { Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { PROOF_BYTES, type SwarmAccess } from "./access.ts";
import { Bitfield } from "./bitfield.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";
import { chunkCount, CHUNKS_MAX, HASH_BYTES } from "./chunks.ts";
import { merkleRoot } from "./merkle.ts";
import {
  ANSWER_BYTES_MAX,
  decodePeers,
  encodeOpening,
  FILES_PROTOCOL,
  INDEX_BYTES,
  indexBody,
  indexesOf,
  indexOf,
  type Message,
  MESSAGE,
  MessageReader,
  PEERS_EVERY_MS,
  shortMessage,
  violation,
} from "./protocol.ts";
import type { TicketProvider } from "./ticket.ts";

/** A source from which not a byte comes for so long while it owes an answer is given up. */
const ANSWER_TIMEOUT_MS = 20_000;
/** Chunks wait for their turn among other getters. */
const CHUNK_TIMEOUT_MS = 60_000;
/** A look so late means that this side slept, so that the silence is its own. */
const LOOK_LATE_MS = 5_000;
/** Messages about other members that are listened to, of one source: as often as they may come, and a few at once. */
const PEERS_MESSAGES_AT_ONCE = 8;

/** Of what is known of a share before its chunks. */
export type Part = "manifest" | "layer";

export interface SourceOptions {
  readonly host: ServiceHost;
  readonly access: SwarmAccess;
  readonly provider: TicketProvider;
  readonly signal: AbortSignal;
  /** Once connected: what to ask for in the same breath as the opening, so that it takes no round trip of its own. */
  ahead(): readonly Part[];
}

export interface ManifestBytes {
  readonly manifest: Manifest;
  readonly encoded: Uint8Array;
}

export class Source {
  readonly session: Session;
  /** It has a chunk more, after `begin`; of one that it had, one fewer. */
  onHave: (index: number) => void = () => {};
  onPeers: (peers: readonly TicketProvider[]) => void = () => {};
  /** Something came, if only part of a message, while it owed an answer. */
  onHeard: () => void = () => {};
  readonly #host: ServiceHost;
  readonly #stream: Stream;
  readonly #reader: MessageReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** As it was at the opening, and what came after it. */
  #bits: Uint8Array = new Uint8Array(0);
  #early: number[] | undefined = [];
  /** Types of answers that are on their way; when another source was quicker, they are passed over. */
  readonly #asked = new Set<number>();
  #peersMessages = 0;
  #peersAtMs: number;
  #heardAtMs: number;
  #owes: () => boolean = () => false;

  private constructor(host: ServiceHost, session: Session, stream: Stream) {
    this.#host = host;
    this.session = session;
    this.#stream = stream;
    this.#heardAtMs = this.#peersAtMs = host.runtime.clock.monotonicMs();
    this.#reader = new MessageReader(stream.readable, ANSWER_BYTES_MAX, violation, () => {
      this.#heardAtMs = host.runtime.clock.monotonicMs();
      if (this.#owes()) this.onHeard();
    });
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /**
   * Connects, and proves to each other that both know the share.
   * @throws PeerloomError as `ServiceHost.connect` and `Session.open`; `files/not-found`, `files/busy`, `files/corrupt`, `files/protocol`
   */
  static async open({ host, access, provider, signal, ahead }: SourceOptions): Promise<Source> {
    const session = await host.connect(provider.id, { signal, addresses: provider.addresses });
    const stream = await session.open(FILES_PROTOCOL, { signal, priority: "bulk" });
    const source = new Source(host, session, stream);
    const stop = (): void => source.drop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const pair = { getter: host.id, giver: provider.id };
      const proof = await access.proof("getter", pair);
      const opening = { key: access.key, proof, gives: true, addresses: host.addresses() };
      source.#send(shortMessage(MESSAGE.open, encodeOpening(opening)));
      for (const part of ahead()) source.#ask(part);
      const { body } = await source.#expect(MESSAGE.welcome, ANSWER_TIMEOUT_MS);
      if (!equalBytes(body.subarray(0, PROOF_BYTES), await access.proof("giver", pair)))
        throw corrupt(session, "no proof that it knows the share");
      source.#bits = body.subarray(PROOF_BYTES);
      return source;
    } catch (error) {
      source.drop();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /**
   * The manifest that has this hash.
   * @throws PeerloomError `files/corrupt`, `files/not-found`, `files/protocol`, `wire/malformed`, `files/path-escape`
   */
  async manifest(hash: Uint8Array): Promise<ManifestBytes> {
    this.#ask("manifest");
    const { body } = await this.#expect(MESSAGE.manifest, ANSWER_TIMEOUT_MS);
    if (!equalBytes(await sha256(body), hash)) throw corrupt(this.session, "another manifest");
    return { manifest: decodeManifest(body), encoded: body };
  }

  /**
   * The hashes of all chunks, proved by the manifest's root.
   * @param known what another source gave meanwhile, and was proved: then nothing is proved again
   * @throws PeerloomError `files/corrupt`, `files/protocol`
   */
  async layer(manifest: Manifest, known: () => Uint8Array | undefined): Promise<Uint8Array> {
    this.#ask("layer");
    const { body } = await this.#expect(MESSAGE.layer, ANSWER_TIMEOUT_MS);
    const there = known();
    if (there !== undefined) return there;
    const expected = chunkCount(manifest.bytes, manifest.chunkBytes) * HASH_BYTES;
    if (
      body.length !== expected ||
      !equalBytes(await merkleRoot(this.#host.runtime.hash, body), manifest.root)
    ) {
      throw corrupt(this.session, "other chunk hashes");
    }
    return body;
  }

  /**
   * What it has now, of so many chunks; from here on `onHave` tells what comes to it.
   * @throws PeerloomError `files/protocol`
   */
  begin(count: number): Bitfield {
    const bits = Bitfield.from(this.#bits, count);
    if (bits === undefined) throw violation("what it has does not fit the share");
    for (const index of this.#early ?? []) if (!bits.add(index)) bits.delete(index);
    this.#early = undefined;
    return bits;
  }

  /** Asks for a chunk; does not wait for it. */
  request(index: number): void {
    this.#send(shortMessage(MESSAGE.chunkWanted, indexBody(index)));
  }

  /** Takes a request back. */
  cancel(index: number): void {
    this.#send(shortMessage(MESSAGE.cancel, indexBody(index)));
  }

  /**
   * The next chunk that comes.
   * @param owes whether one is awaited; only then is silence a failure
   * @returns its index and its bytes with one free byte before them, for the hash's prefix
   */
  async chunk(owes: () => boolean): Promise<{ readonly index: number; readonly prefixed: Uint8Array }> {
    const { body } = await this.#expect(MESSAGE.chunk, CHUNK_TIMEOUT_MS, owes);
    const index = indexOf(body);
    return { index, prefixed: body.subarray(INDEX_BYTES - 1) };
  }

  /** Tells the source that nothing more is wanted. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#writer.close(), this.#reader.cancel()]);
  }

  drop(): void {
    this.#stream.reset("stream/cancelled");
  }

  async #expect(type: number, timeoutMs: number, owes: () => boolean = () => true): Promise<Message> {
    const watch = this.#watchSilence(timeoutMs, owes);
    this.#owes = owes;
    try {
      for (;;) {
        const message = await this.#reader.next();
        if (message === undefined)
          throw new PeerloomError("files/no-source", `${short(this.session.peerId)} stopped giving it.`);
        const wasAsked = this.#asked.delete(message.type);
        if (message.type === type) return message;
        if (!wasAsked) this.#aside(message, type);
      }
    } finally {
      watch.cancel();
    }
  }

  /** A second time would be a violation there. */
  #ask(part: Part): void {
    if (this.#asked.has(MESSAGE[part])) return;
    this.#asked.add(MESSAGE[part]);
    this.#send(shortMessage(part === "manifest" ? MESSAGE.manifestWanted : MESSAGE.layerWanted));
  }

  /** What comes unasked. */
  #aside({ type, body }: Message, expected: number): void {
    if (type === MESSAGE.failure) throw refusal(this.session, utf8Decode(body.subarray(0, 64)));
    if (type === MESSAGE.have) {
      for (const index of indexesOf(body)) {
        if (this.#early === undefined) this.onHave(index);
        else if (this.#early.length < CHUNKS_MAX) this.#early.push(index);
      }
    } else if (type === MESSAGE.peers) this.#receivePeers(body);
    else throw violation(`message ${type} instead of ${expected}`);
  }

  #receivePeers(body: Uint8Array): void {
    const nowMs = this.#host.runtime.clock.monotonicMs();
    this.#peersMessages = Math.max(0, this.#peersMessages - (nowMs - this.#peersAtMs) / PEERS_EVERY_MS);
    this.#peersAtMs = nowMs;
    if (this.#peersMessages >= PEERS_MESSAGES_AT_ONCE) return;
    this.#peersMessages += 1;
    this.onPeers(decodePeers(body));
  }

  /** Looks again only when the time is over, not at every byte. */
  #watchSilence(timeoutMs: number, owes: () => boolean): Timer {
    const { clock } = this.#host.runtime;
    let timer: Timer;
    this.#heardAtMs = clock.monotonicMs();
    let dueAtMs = this.#heardAtMs + timeoutMs;
    const look = (): void => {
      const hasSlept = clock.monotonicMs() - dueAtMs > LOOK_LATE_MS;
      if (hasSlept || !owes()) this.#heardAtMs = clock.monotonicMs();
      const silentMs = clock.monotonicMs() - this.#heardAtMs;
      if (silentMs >= timeoutMs) this.#stream.reset("link/timeout");
      else {
        dueAtMs = clock.monotonicMs() + timeoutMs - silentMs;
        timer = clock.setTimer(timeoutMs - silentMs, look);
      }
    };
    timer = clock.setTimer(timeoutMs, look);
    return { cancel: () => timer.cancel() };
  }

  /** Requests are few and short; a failure comes out of the reader. */
  #send(message: Uint8Array): void {
    this.#writer.write(message).catch(() => {});
  }
}

function refusal(session: Session, code: string): PeerloomError {
  const reasons: { readonly [code: string]: string } = {
    "files/not-found": "no longer shares that",
    "files/changed": "has changed the file since it was shared; ask for a new ticket",
    "files/busy": "serves as many as it can; it is asked again later",
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
