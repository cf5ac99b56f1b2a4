/**
 * Which peers a feed is synchronised with: a few found among its providers and the sessions that stand, at random, one of them replaced
 * now and then; and those who come by themselves. Who lied is not met again.
 */
import { type ErrorCode, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, short } from "../../../shared/ids.ts";
import { abortError, withDeadline } from "../../overlay/abort.ts";
import { backoffMs } from "../../overlay/backoff.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { MessageReader } from "../files/protocol.ts";
import type { ServiceHost } from "../host.ts";
import type { Records } from "../records/records.ts";
import { Neighbour, type NeighbourDuties } from "./neighbour.ts";
import { decodeMessage, encodeMessage, FEED_PROTOCOL, MESSAGE_BYTES_MAX, violation } from "./protocol.ts";

/** Neighbours that a peer looks for. A few are enough: what one does not pass on another does. */
const OUTGOING_WANTED = 6;
/** All of them; past that those who come are told to look elsewhere. */
const NEIGHBOURS_MAX = 16;
/** Looked at in one round, providers first. */
const TRIED_AT_ONCE = 8;
const GREET_TIMEOUT_MS = 10_000;
/** Rounds: soon while nobody is there, and then to replace one. */
const LOOK_FIRST_MS = 500;
const LOOK_EVERY_MS = 30_000;
/** Who had nothing, or did not answer, is left alone for so long; who lied for good. */
const AVOID_MS = 30_000;
const AVOIDED_MAX = 512;

export type Directory = Pick<Records, "provide" | "providers">;

export interface Greeting {
  readonly session: Session;
  readonly stream: Stream;
  readonly reader: MessageReader;
  /** What the other says the feed is; not checked. */
  readonly definition: Uint8Array;
}

/**
 * Asks a peer for a feed. Undefined when it has it not, or has no room.
 * @throws PeerloomError as `ServiceHost.connect`, `feeds/protocol`, `stream/reset`, `link/timeout`
 */
export function greet(
  host: ServiceHost,
  id: PeerId,
  address: Uint8Array,
  signal: AbortSignal,
): Promise<Greeting | undefined> {
  return withDeadline(host.runtime.clock, GREET_TIMEOUT_MS, signal, async (limit) => {
    const session = await host.connect(id, { signal: limit });
    const stream = await session.open(FEED_PROTOCOL, { signal: limit });
    const giveUp = (): void => stream.reset("stream/cancelled");
    limit.addEventListener("abort", giveUp, { once: true });
    try {
      limit.throwIfAborted();
      const writer = stream.writable.getWriter();
      await writer.write(encodeMessage({ kind: "open", address }));
      writer.releaseLock();
      const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX, violation);
      const first = await reader.next();
      const answer = first && decodeMessage(first.type, first.body);
      if (answer?.kind === "definition") return { session, stream, reader, definition: answer.bytes };
      if (answer !== undefined && answer.kind !== "failure") throw violation("it begins with the definition");
      stream.reset("stream/cancelled");
      return undefined;
    } catch (error) {
      giveUp();
      throw limit.aborted ? abortError(limit) : error;
    } finally {
      limit.removeEventListener("abort", giveUp);
    }
  });
}

/** Peers that may have the feed, those who say so first; none twice. */
export async function candidates(
  host: ServiceHost,
  directory: Directory,
  addressText: string,
  signal: AbortSignal,
): Promise<readonly PeerId[]> {
  const asked = abortable(signal, directory.providers(addressText, { signal }), () => {});
  const providers = await asked.catch((error: unknown) => {
    signal.throwIfAborted();
    host.runtime.log.debug("no providers of a feed", { error: String(error) });
    return [];
  });
  const linked = host.sessions().map(({ peerId }) => peerId);
  return [...shuffled(host, providers), ...shuffled(host, linked)].filter(
    (id, i, all) => id !== host.id && all.indexOf(id) === i,
  );
}

export interface NeighbourhoodOptions {
  readonly host: ServiceHost;
  readonly directory: Directory;
  readonly address: Uint8Array;
  readonly addressText: string;
  readonly definition: Uint8Array;
  readonly duties: NeighbourDuties;
  /** One has come; it knows nothing yet. */
  onMet(neighbour: Neighbour): void;
  /** One is gone, and what it was asked for with it. */
  onGone(neighbour: Neighbour): void;
}

export class Neighbourhood {
  readonly #options: NeighbourhoodOptions;
  readonly #all = new Map<PeerId, Neighbour>();
  readonly #meeting = new Set<PeerId>();
  /** Until when who is left alone, on the monotonic clock. */
  readonly #avoided = new Map<PeerId, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** Takes back that this peer has the feed; undefined until it was said. */
  #withdraw: (() => void) | undefined;
  #isAnnouncing = false;
  #looking: Promise<void> | undefined;
  /** Peers that were dropped because what they said was false. */
  blamed = 0;

  constructor(options: NeighbourhoodOptions) {
    this.#options = options;
  }

  get all(): readonly Neighbour[] {
    return [...this.#all.values()];
  }

  open(): void {
    this.#looking = this.#look().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  async close(): Promise<void> {
    this.#stop.abort(new PeerloomError("feeds/closed", "The feed was closed."));
    this.#withdraw?.();
    for (const neighbour of this.all) neighbour.drop("stream/cancelled");
    await this.#looking;
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Somebody asks for this feed. Resolves when it goes. */
  async accept(stream: Stream, session: Session, reader: MessageReader): Promise<void> {
    const id = session.peerId;
    const isRefused =
      this.#stop.signal.aborted ||
      this.#isAvoided(id, Infinity) ||
      (this.#all.size >= NEIGHBOURS_MAX && !this.#all.has(id)) ||
      // Both asked at one time: the lower id's stream stands.
      (this.#meeting.has(id) && this.#options.host.id < id);
    const writer = stream.writable.getWriter();
    if (isRefused) {
      await writer.write(encodeMessage({ kind: "failure" }));
      await Promise.allSettled([writer.close(), reader.cancel()]);
      return;
    }
    await writer.write(encodeMessage({ kind: "definition", bytes: this.#options.definition }));
    writer.releaseLock();
    await this.#keep({ session, stream, reader, isOutgoing: false });
  }

  /** It lied: it is dropped, and not met again. */
  blame(neighbour: Neighbour, why: string): void {
    if (neighbour.isOver && this.#isAvoided(neighbour.id, Infinity)) return;
    this.blamed += 1;
    this.#options.host.runtime.log.warn("feed neighbour lied", { peer: short(neighbour.id), why });
    this.#avoid(neighbour.id, Infinity);
    neighbour.drop("stream/cancelled");
  }

  async #look(): Promise<void> {
    const { host } = this.#options;
    const { clock, random } = host.runtime;
    const { signal } = this.#stop;
    for (let attempt = 0; ; attempt++) {
      this.#announce(signal);
      const found = await candidates(host, this.#options.directory, this.#options.addressText, signal);
      const strangers = found.filter((id) => !this.#all.has(id) && !this.#isAvoided(id, clock.monotonicMs()));
      if (attempt > 0 && strangers.length > 0) this.#makeRoom();
      const wanted = Math.max(0, OUTGOING_WANTED - this.#outgoing.length);
      await Promise.all(strangers.slice(0, wanted === 0 ? 0 : TRIED_AT_ONCE).map((id) => this.#meet(id)));
      if (this.#all.size > 0) attempt = Math.max(attempt, 6);
      const waitMs = backoffMs(attempt, random, { firstMs: LOOK_FIRST_MS, maxMs: LOOK_EVERY_MS });
      await clock.sleep(LOOK_FIRST_MS / 2 + waitMs, signal);
    }
  }

  /** Says that this peer has the feed, while it looks for others. Alone, or without the overlay, it cannot, and tries again. */
  #announce(signal: AbortSignal): void {
    if (this.#withdraw !== undefined || this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    const { directory, addressText, host } = this.#options;
    const announcing = abortable(signal, directory.provide(addressText, { signal }), (withdraw) =>
      withdraw(),
    );
    const done = announcing.then(
      (withdraw) => {
        this.#withdraw = withdraw;
        if (signal.aborted) withdraw();
      },
      (error: unknown) => host.runtime.log.debug("feed not announced", { error: String(error) }),
    );
    this.#run(
      done.finally(() => {
        this.#isAnnouncing = false;
      }),
    );
  }

  /** One that is not busy goes, so that whom one meets is left to chance and not to who came first. */
  #makeRoom(): void {
    const idle = this.#outgoing.filter(({ owed }) => owed === 0);
    if (this.#outgoing.length < OUTGOING_WANTED || idle.length === 0) return;
    const { random } = this.#options.host.runtime;
    const one = idle[Math.floor(random.unit() * idle.length)] as Neighbour;
    this.#avoid(one.id, this.#options.host.runtime.clock.monotonicMs() + AVOID_MS);
    one.drop("stream/cancelled");
  }

  get #outgoing(): readonly Neighbour[] {
    return this.all.filter(({ isOutgoing }) => isOutgoing);
  }

  async #meet(id: PeerId): Promise<void> {
    const { host, address } = this.#options;
    this.#meeting.add(id);
    try {
      const greeting = await greet(host, id, address, this.#stop.signal);
      if (greeting === undefined) this.#avoid(id, host.runtime.clock.monotonicMs() + AVOID_MS);
      else if (this.#all.has(id) || this.#outgoing.length >= OUTGOING_WANTED)
        greeting.stream.reset("stream/cancelled");
      else this.#run(this.#keep({ ...greeting, isOutgoing: true }));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const { code } = toPeerloomError(error, "stream/reset", "A peer did not answer.");
      host.runtime.log.debug("feed neighbour not met", { peer: short(id), code });
      this.#avoid(id, host.runtime.clock.monotonicMs() + AVOID_MS);
    } finally {
      this.#meeting.delete(id);
    }
  }

  async #keep(end: {
    readonly session: Session;
    readonly stream: Stream;
    readonly reader: MessageReader;
    readonly isOutgoing: boolean;
  }): Promise<void> {
    const { host, duties, onMet, onGone } = this.#options;
    if (this.#stop.signal.aborted) {
      end.stream.reset("stream/cancelled");
      return;
    }
    const neighbour = new Neighbour({ ...end, clock: host.runtime.clock, duties });
    this.#all.get(neighbour.id)?.drop("stream/cancelled");
    this.#all.set(neighbour.id, neighbour);
    onMet(neighbour);
    try {
      await neighbour.run();
    } catch (error) {
      const { code } = toPeerloomError(error, "stream/reset", "The stream ended.");
      host.runtime.log.debug("feed neighbour gone", { peer: short(neighbour.id), code });
      if (isLie(code)) this.blame(neighbour, code);
    } finally {
      if (this.#all.get(neighbour.id) === neighbour) this.#all.delete(neighbour.id);
      onGone(neighbour);
    }
  }

  #run(work: Promise<void>): void {
    const running = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #avoid(id: PeerId, untilMs: number): void {
    this.#avoided.set(id, Math.max(untilMs, this.#avoided.get(id) ?? 0));
    if (this.#avoided.size > AVOIDED_MAX) this.#avoided.delete(this.#avoided.keys().next().value as PeerId);
  }

  #isAvoided(id: PeerId, nowMs: number): boolean {
    return (this.#avoided.get(id) ?? -Infinity) >= nowMs;
  }
}

/** The overlay answers when it answers: what comes after the end is let go. */
function abortable<T>(signal: AbortSignal, work: Promise<T>, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(abortError(signal));
      work.then(late, () => {});
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** What our own reading found wrong; no honest peer ends a stream with these. */
function isLie(code: ErrorCode): boolean {
  return code === "feeds/protocol" || code === "feeds/corrupt" || code.startsWith("wire/");
}

function shuffled<T>(host: ServiceHost, items: readonly T[]): T[] {
  const { random } = host.runtime;
  return items
    .map((item) => ({ item, at: random.unit() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
