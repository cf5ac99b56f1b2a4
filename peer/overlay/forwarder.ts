/**
 * Forwarding for two peers that cannot reach each other and have no edge: this peer, linked directly to both, passes the bytes of a stream of
 * the one to a stream of the other. What it passes is sealed from end to end. It lends a bounded share of itself, to
 * peers it is linked to, and only while this peer consents.
 */
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { type PeerId, peerIdFromKey, PUBLIC_KEY_BYTES, publicKeyOf, short } from "../../shared/ids.ts";
import type { Link } from "../links/link.ts";
import type { Runtime } from "../runtime.ts";
import type { Session, Stream } from "../session/contract.ts";
import { ForwardedLink } from "./forwarded-link.ts";

/** Asked of a forwarder: the target's key, answered by one byte, then frames. */
export const FORWARD_PROTOCOL = "forward/1";
/** Brought to the target: the asker's key, then frames. */
export const FORWARDED_PROTOCOL = "forwarded/1";
/** Pairs served at once; past that others are refused. */
const CIRCUITS_MAX = 16;
/** Of them for one asker. */
const CIRCUITS_OF_ONE_MAX = 4;
/** Each way of each pair. */
const BYTES_PER_SECOND: number = 512 * 1024;
const BURST_BYTES: number = 512 * 1024;
/** A pair that says nothing for this long has found a better path. */
const IDLE_MS = 60_000;
/** For the first bytes of a stream, and for an answer. */
const ANSWER_TIMEOUT_MS = 5_000;
const READY = 1;

export interface ForwarderOptions {
  readonly runtime: Runtime;
  /** This peer's session with another, if it is on a direct path. */
  directSession(peerId: PeerId): Session | undefined;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #circuits = new Map<Stream, PeerId>();
  /** Bytes passed on for others. */
  bytes = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Pairs served now. */
  get size(): number {
    return this.#circuits.size;
  }

  /** The handler of `forward/1`. A refusal resets the stream with `stream/refused` or `peer/not-found`. */
  async serve(near: Stream, asker: Session): Promise<void> {
    const reader = near.readable.getReader();
    const first = await this.#firstBytes(near, reader, PUBLIC_KEY_BYTES);
    if (first === undefined) return;
    const target = peerIdFromKey(first.bytes);
    const session = this.#options.directSession(target);
    const refusal =
      session === undefined || target === asker.peerId ? "peer/not-found" : this.#refusalOf(asker.peerId);
    if (session === undefined || refusal !== undefined) {
      near.reset(refusal);
      return;
    }
    this.#circuits.set(near, asker.peerId);
    try {
      const far = await session.open(FORWARDED_PROTOCOL, { priority: "bulk" });
      const [toFar, toNear] = [far.writable.getWriter(), near.writable.getWriter()];
      await Promise.all([toFar.write(publicKeyOf(asker.peerId)), toNear.write(Uint8Array.of(READY))]);
      if (first.rest.length > 0) await toFar.write(first.rest);
      await this.#join({ stream: near, reader, writer: toNear }, { stream: far, writer: toFar });
    } catch (error) {
      near.reset(toPeerloomError(error, "stream/reset", "").code);
    } finally {
      this.#circuits.delete(near);
    }
  }

  /** The handler of `forwarded/1`: somebody reaches this peer through another. */
  async accept(stream: Stream, forwarder: Session, take: (link: Link) => void): Promise<void> {
    const reader = stream.readable.getReader();
    const first = await this.#firstBytes(stream, reader, PUBLIC_KEY_BYTES);
    if (first === undefined) return;
    const from = short(peerIdFromKey(first.bytes));
    const description = `${from} through ${short(forwarder.peerId)}`;
    take(new ForwardedLink(stream, { description, reader, first: first.rest }));
    await stream.closed;
  }

  /**
   * A link to a peer through another that both are linked to.
   * @throws PeerloomError `link/timeout`, `link/failed`, `aborted`, and why the stream was reset
   */
  async dial(through: Session, target: PeerId, signal: AbortSignal): Promise<Link> {
    signal.throwIfAborted();
    // Not with the signal: it would end the stream as soon as the race is over that this link has won.
    const stream = await through.open(FORWARD_PROTOCOL);
    const writer = stream.writable.getWriter();
    await writer.write(publicKeyOf(target));
    writer.releaseLock();
    const reader = stream.readable.getReader();
    const first = await this.#firstBytes(stream, reader, 1, signal);
    if (first?.bytes[0] !== READY) {
      stream.reset("stream/refused");
      throw new PeerloomError("link/failed", `${short(through.peerId)} does not forward to that peer now.`);
    }
    const description = `${short(target)} through ${short(through.peerId)}`;
    return new ForwardedLink(stream, { description, reader, first: first.rest });
  }

  #refusalOf(asker: PeerId): "stream/refused" | undefined {
    const own = [...this.#circuits.values()].filter((each) => each === asker).length;
    return this.size >= CIRCUITS_MAX || own >= CIRCUITS_OF_ONE_MAX ? "stream/refused" : undefined;
  }

  /** Passes both ways until both have ended, one has failed, or neither has said anything for a minute. */
  async #join(
    near: {
      readonly stream: Stream;
      readonly reader: ReadableStreamDefaultReader<Uint8Array>;
      readonly writer: WritableStreamDefaultWriter<Uint8Array>;
    },
    far: { readonly stream: Stream; readonly writer: WritableStreamDefaultWriter<Uint8Array> },
  ): Promise<void> {
    const { clock } = this.#options.runtime;
    const end = (): void => {
      near.stream.reset();
      far.stream.reset();
    };
    let timer = clock.setTimer(IDLE_MS, end);
    const moved = (): void => {
      timer.cancel();
      timer = clock.setTimer(IDLE_MS, end);
    };
    try {
      await Promise.all([
        this.#pass(near.reader, far.writer, moved),
        this.#pass(far.stream.readable.getReader(), near.writer, moved),
      ]);
    } catch {
      end();
    } finally {
      timer.cancel();
    }
  }

  async #pass(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    writer: WritableStreamDefaultWriter<Uint8Array>,
    moved: () => void,
  ): Promise<void> {
    const { clock } = this.#options.runtime;
    let room = BURST_BYTES;
    let atMs = clock.monotonicMs();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      moved();
      this.bytes += value.length;
      await writer.write(value);
      const nowMs = clock.monotonicMs();
      room = Math.min(room + ((nowMs - atMs) / 1_000) * BYTES_PER_SECOND, BURST_BYTES) - value.length;
      atMs = nowMs;
      if (room < 0) await clock.sleep((-room / BYTES_PER_SECOND) * 1_000);
    }
    await writer.close();
  }

  /** Undefined when they do not come in time, or the stream ends before; it is reset then. */
  async #firstBytes(
    stream: Stream,
    reader: ReadableStreamDefaultReader<Uint8Array>,
    count: number,
    signal?: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly rest: Uint8Array } | undefined> {
    const { clock } = this.#options.runtime;
    const give = (): void => stream.reset("stream/refused");
    const timer = clock.setTimer(ANSWER_TIMEOUT_MS, give);
    signal?.addEventListener("abort", give, { once: true });
    const bytes = new Uint8Array(count);
    try {
      for (let filled = 0; filled < count;) {
        const { value, done } = await reader.read();
        if (done) {
          give();
          return undefined;
        }
        const part = value.subarray(0, count - filled);
        bytes.set(part, filled);
        filled += part.length;
        if (filled === count) return { bytes, rest: value.slice(part.length) };
      }
      return undefined;
    } catch {
      return undefined;
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", give);
    }
  }
}
