/**
 * Serving: answers one getter's stream out of a holding. Requests are read ahead while answers are written, so that the getter's pipeline
 * stays full; the uplink says when it is this getter's turn, and the stream's credit holds back a reader that is too slow.
 */
import { equalBytes, giveBack, toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Timer } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import type { Getter, Getters } from "./getters.ts";
import type { Holding } from "./holding.ts";
import {
  decodeOpening,
  encodePeers,
  HAVE_MAX,
  INDEX_BYTES,
  indexBody,
  indexesBody,
  indexOf,
  MESSAGE,
  type Message,
  messageHead,
  MessageReader,
  PEERS_EVERY_MS,
  PEERS_TOLD_MAX,
  REQUEST_BYTES_MAX,
  shortMessage,
  violation,
} from "./protocol.ts";
import type { TicketProvider } from "./ticket.ts";
import type { Taker, Uplink } from "./uplink.ts";

/** Requests a getter may have waiting; an honest one has fewer under way. */
const REQUESTS_WAITING_MAX = 1024;
/** Of those, how many are weighed for what was given least. */
const REQUESTS_WEIGHED = 16;
/** Chunks read or written at once for one getter: the next is read while the last is written. */
const GIVING_MAX = 3;
/** New chunks are told together. */
const HAVE_EVERY_MS = 50;
/** A getter that opens a stream says what it wants within this time, and one that is sent away reads why. */
const ANSWER_TIMEOUT_MS = 20_000;

export interface ServeOptions {
  readonly host: ServiceHost;
  readonly uplink: Uplink;
  readonly getters: Getters;
  find(keyText: string): Holding | undefined;
}

/** Serves until the getter ends. A failure is told to it and then thrown. */
export async function serveStream(stream: Stream, session: Session, options: ServeOptions): Promise<void> {
  const { clock } = options.host.runtime;
  const reader = new MessageReader(stream.readable, REQUEST_BYTES_MAX);
  const writer = stream.writable.getWriter();
  const deadline = (): Timer => clock.setTimer(ANSWER_TIMEOUT_MS, () => stream.reset("link/timeout"));
  let timer = deadline();
  const { getters } = options;
  let proved: (() => void) | undefined;
  let upload: Upload | undefined;
  try {
    proved = getters.opening(session.peerId, () => stream.reset("files/busy"));
    const opening = await reader.next();
    timer.cancel();
    if (opening === undefined) return;
    if (opening.type !== MESSAGE.open) throw violation("it begins by opening");
    upload = await admit(opening, { stream, writer, reader, session, options });
    proved();
    await upload.run();
    await writer.close();
  } catch (error) {
    const { code } = toPeerloomError(error, "files/not-found", "Reading failed.");
    upload?.close();
    timer.cancel();
    timer = deadline();
    await writer.write(shortMessage(MESSAGE.failure, new TextEncoder().encode(code)));
    await writer.close();
    await reader.cancel();
    throw error;
  } finally {
    timer.cancel();
    proved?.();
    upload?.close();
  }
}

/** @throws PeerloomError `files/not-found`: nobody without the ticket learns whether there is such a share */
async function admit(
  { body }: Message,
  {
    stream,
    writer,
    reader,
    session: { peerId },
    options: { host, uplink, find, getters },
  }: {
    readonly stream: Stream;
    readonly writer: WritableStreamDefaultWriter<Uint8Array>;
    readonly reader: MessageReader;
    readonly session: Session;
    readonly options: ServeOptions;
  },
): Promise<Upload> {
  const { key, proof, gives, addresses } = decodeOpening(body);
  const holding = find(toHex(key));
  const pair = { getter: peerId, giver: host.id };
  if (holding === undefined || !equalBytes(proof, await holding.access.proof("getter", pair)))
    throw new PeerloomError("files/not-found", "That is not shared here, or no longer.");
  const ownProof = await holding.access.proof("giver", pair);
  const member = gives ? { id: peerId, addresses } : undefined;
  getters.requireRoom(peerId);
  return new Upload({ host, uplink, getters, holding, stream, writer, reader, peerId, member }, ownProof);
}

interface UploadOptions {
  readonly host: ServiceHost;
  readonly uplink: Uplink;
  readonly getters: Getters;
  readonly holding: Holding;
  readonly stream: Pick<Stream, "departed">;
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly reader: MessageReader;
  readonly peerId: PeerId;
  /** The getter, when it gives as well. */
  readonly member: TicketProvider | undefined;
}

/** One getter. Messages are whole because their parts are written without waiting in between. */
class Upload implements Taker, Getter {
  readonly peerId: PeerId;
  readonly #options: UploadOptions;
  readonly #wanted = new Set<number>();
  readonly #haves: number[] = [];
  readonly #members: TicketProvider[];
  readonly #timers = new Set<Timer>();
  readonly #unwatch: (() => void)[];
  /** What is asked for once. */
  readonly #answered = new Set<number>();
  #onIdle: () => void = () => {};
  #failure: PeerloomError | undefined;
  #giving = 0;
  /** It asked for something, or took it. */
  #activeAtMs: number;
  #closed = false;

  constructor(options: UploadOptions, proof: Uint8Array) {
    const { holding, member, peerId, uplink, writer } = options;
    this.peerId = peerId;
    this.#options = options;
    this.#activeAtMs = options.host.runtime.clock.monotonicMs();
    this.#members = holding.members.all().filter(({ id }) => id !== peerId);
    const bits = holding.bits.toBytes();
    void this.#write(messageHead(MESSAGE.welcome, proof.length + bits.length), proof, bits);
    this.#unwatch = [
      holding.watch((index) => {
        if (!holding.bits.has(index)) this.#wanted.delete(index);
        this.#haves.push(index);
        if (this.#haves.length === 1) this.#after(HAVE_EVERY_MS, () => this.#tellHaves());
      }),
      holding.members.watch((other) => {
        if (other.id === peerId) return;
        this.#members.push(other);
        if (this.#members.length === 1) this.#after(PEERS_EVERY_MS, () => this.#tellMembers());
      }),
      holding.onEnd(() => this.#fail(new PeerloomError("files/not-found", "That is shared no longer."))),
    ];
    this.#tellMembers();
    if (member !== undefined) holding.members.add(member);
    uplink.join(this);
    options.getters.add(this);
    writer.closed.catch((error: unknown) =>
      this.#fail(toPeerloomError(error, "stream/reset", "The getter went away.")),
    );
  }

  /** Until the getter has said that it is done, and has what it asked for. @throws PeerloomError when either side breaks off */
  async run(): Promise<void> {
    const { reader } = this.#options;
    for (let message = await reader.next(); message !== undefined; message = await reader.next())
      this.#receive(message);
    while (this.#failure === undefined && (this.#wanted.size > 0 || this.#giving > 0)) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  due(): number | undefined {
    const index = this.#giving < GIVING_MAX ? this.#leastGiven() : undefined;
    return index === undefined ? undefined : this.#options.holding.given.beyondLeast(index);
  }

  give(): { readonly bytes: number; readonly sent: Promise<void> } {
    const { holding } = this.#options;
    const index = this.#leastGiven() as number;
    this.#wanted.delete(index);
    holding.given.add(index);
    this.#giving += 1;
    const sent = this.#send(index)
      .catch((error: unknown) => {
        if (holding.bits.has(index)) this.#fail(toPeerloomError(error, "files/not-found", "Reading failed."));
      })
      .finally(() => {
        this.#giving -= 1;
        this.#active();
        this.#onIdle();
      });
    return { bytes: holding.chunkLength(index), sent };
  }

  idleMs(): number {
    if (this.#giving === 0 && this.#wanted.size > 0) return 0;
    return this.#options.host.runtime.clock.monotonicMs() - this.#activeAtMs;
  }

  end(error: PeerloomError): void {
    this.#fail(error);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { getters, holding, member, uplink } = this.#options;
    getters.delete(this);
    uplink.leave(this);
    this.#wanted.clear();
    for (const unwatch of this.#unwatch) unwatch();
    for (const timer of this.#timers) timer.cancel();
    if (member !== undefined) holding.members.delete(member.id);
  }

  #receive({ type, body }: Message): void {
    const { holding, uplink } = this.#options;
    this.#active();
    if (type === MESSAGE.manifestWanted) this.#answer(MESSAGE.manifest, holding.manifest);
    else if (type === MESSAGE.layerWanted) this.#answer(MESSAGE.layer, holding.layer);
    else if (type === MESSAGE.cancel) {
      this.#wanted.delete(indexOf(body));
    } else if (type === MESSAGE.chunkWanted) {
      const index = indexOf(body);
      // It has not heard yet, and takes it back when it does.
      if (holding.forgets && !holding.bits.has(index)) return;
      if (!holding.bits.has(index)) throw violation("it asked for a chunk that is not there");
      if (this.#wanted.size === REQUESTS_WAITING_MAX) throw violation("too many requests at once");
      this.#wanted.add(index);
      uplink.ready();
    } else throw violation("unknown request");
  }

  #active(): void {
    this.#activeAtMs = this.#options.host.runtime.clock.monotonicMs();
  }

  #leastGiven(): number | undefined {
    const { given } = this.#options.holding;
    let least: number | undefined;
    let weighed = 0;
    for (const index of this.#wanted) {
      if (least === undefined || given.beyondLeast(index) < given.beyondLeast(least)) least = index;
      if (++weighed === REQUESTS_WEIGHED) break;
    }
    return least;
  }

  async #send(index: number): Promise<void> {
    const bytes = await this.#options.holding.chunk(index);
    if (this.#closed) return;
    await this.#write(messageHead(MESSAGE.chunk, INDEX_BYTES + bytes.length), indexBody(index), bytes);
    giveBack(bytes);
    // What waits in the stream cannot be called back when somebody else has given it meanwhile.
    await this.#options.stream.departed();
  }

  #fail(error: PeerloomError): void {
    this.#failure ??= error;
    this.#onIdle();
    void this.#options.reader.cancel();
  }

  #answer(type: number, body: Uint8Array): void {
    if (this.#answered.has(type)) throw violation("it asked twice for what does not change");
    this.#answered.add(type);
    this.#options.uplink.spend(body.length);
    void this.#write(messageHead(type, body.length), ...(body.length > 0 ? [body] : []));
  }

  #tellHaves(): void {
    this.#tellAll(() => {
      const indexes = this.#haves.splice(0, HAVE_MAX);
      return this.#write(shortMessage(MESSAGE.have, indexesBody(indexes)));
    }, this.#haves);
  }

  #tellMembers(): void {
    this.#tellAll(() => {
      const peers = encodePeers(this.#members.splice(0, PEERS_TOLD_MAX));
      return this.#write(shortMessage(MESSAGE.peers, peers));
    }, this.#members);
  }

  /** One message at a time: a getter that does not read is not told more. */
  #tellAll(tell: () => Promise<void>, rest: readonly unknown[]): void {
    if (rest.length === 0 || this.#closed) return;
    void tell().then(() => this.#tellAll(tell, rest));
  }

  /** Resolves when it is taken, or when nobody will; the failure is the run's. */
  #write(...parts: readonly Uint8Array[]): Promise<void> {
    const writes = parts.map((part) => this.#options.writer.write(part));
    return Promise.all(writes).then(
      () => {},
      () => {},
    );
  }

  #after(delayMs: number, act: () => void): void {
    const timer = this.#options.host.runtime.clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      act();
    });
    this.#timers.add(timer);
  }
}
