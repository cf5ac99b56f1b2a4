/**
 * Finds the network again: dials anchors at the start, and while no link stands remembered peers and those it was given to begin with. Writes
 * down, while it runs, whom it is linked to. The edge is not asked; where there is one, it introduces besides.
 */
import { toHex, utf8 } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Runtime } from "../runtime.ts";
import { AddressBook } from "./address-book.ts";
import { backoffMs } from "./backoff.ts";

/** Names the book of one network; the network's name itself may hold what a storage key may not. */
const STORED_AS = "peers-";
const NAME_DIGITS = 16;
const LOOK_EVERY_MS = 5_000;
const SAVE_EVERY_MS = 60_000;
/** A remembered peer that is not linked is dialled now and then, or two halves that were cut apart would never meet. */
const FEELER_EVERY_MS = 120_000;
/** At once. */
const DIALS_MAX = 4;
/** Before the next pause. */
const ROUND = 8;
const BACKOFF = { firstMs: 1_000, maxMs: 30_000 } as const;

export interface ReentryOptions {
  readonly runtime: Runtime;
  readonly network: NetworkName;
  /** To begin with, each once; their names are looked up at each dial. */
  readonly bootstrap: readonly Contact[];
  /** Links of the overlay that stand. */
  links(): number;
  /** Peers on a direct path now, with where they were dialled or say themselves that they listen. */
  linked(): readonly Contact[];
  /** Makes a session. */
  connect(contact: Contact, signal: AbortSignal): Promise<unknown>;
  /** One of those to begin with could not be reached; it is dialled again while no link stands. */
  onUnanswered(contact: Contact, error: unknown): void;
}

export class Reentry {
  readonly #options: ReentryOptions;
  readonly #closing = new AbortController();
  readonly #linkedSinceMs = new Map<PeerId, number>();
  #book = new AddressBook();
  /** What was written last could not be; the disk may be full for a while. */
  #isUnsaved = false;
  #running: Promise<void> | undefined;
  #hurry: () => void = () => {};

  constructor(options: ReentryOptions) {
    this.#options = options;
  }

  /** Peers that are remembered. */
  get size(): number {
    return this.#book.size;
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#closing.signal.aborted)
        this.#options.runtime.log.warn("re-entry ended", { error: String(error) });
    });
  }

  /** Looks at once whether somebody is linked, and dials if nobody is. */
  hurry(): void {
    this.#hurry();
  }

  /** Writes down whom this peer is linked to, and stops. */
  async close(): Promise<void> {
    this.#note();
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    await this.#running;
    await this.#save();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options.runtime;
    const { signal } = this.#closing;
    this.#book = AddressBook.from(await this.#load(), this.#nowS());
    await this.#dial(this.#book.anchors());
    let savedAtMs = Number.NEGATIVE_INFINITY;
    let feltAtMs = clock.monotonicMs();
    for (let attempt = 0; !signal.aborted;) {
      if (this.#options.links() > 0) attempt = 0;
      else attempt = (await this.#enter(ROUND, this.#options.bootstrap)) ? 0 : attempt + 1;
      if (clock.monotonicMs() - feltAtMs >= FEELER_EVERY_MS) {
        await this.#enter(1);
        feltAtMs = clock.monotonicMs();
      }
      this.#note();
      if (this.#isDirty && clock.monotonicMs() - savedAtMs >= SAVE_EVERY_MS) {
        await this.#save();
        savedAtMs = clock.monotonicMs();
      }
      const pauseMs =
        attempt === 0 ? LOOK_EVERY_MS : backoffMs(attempt, this.#options.runtime.random, BACKOFF);
      const hurry = new AbortController();
      this.#hurry = () => hurry.abort();
      await clock
        .sleep(pauseMs, AbortSignal.any([signal, hurry.signal]))
        .catch(() => signal.throwIfAborted());
    }
  }

  /** @returns whether anybody was reached */
  async #enter(count: number, bootstrap: readonly Contact[] = []): Promise<boolean> {
    const { random } = this.#options.runtime;
    const out = new Set(this.#options.linked().map(({ id }) => id));
    const first = bootstrap
      .filter(({ id }) => !out.has(id))
      .map(({ id, addresses }) => ({
        id,
        addresses: [...new Set([...this.#book.addressesOf(id), ...addresses])],
      }));
    for (const { id } of first) out.add(id);
    const remembered = this.#book.candidates(
      count,
      () => random.unit(),
      (id) => out.has(id),
    );
    return this.#dial([...first, ...remembered]);
  }

  async #dial(peers: readonly Contact[]): Promise<boolean> {
    const { signal } = this.#closing;
    const left = [...peers];
    let reached = false;
    const worker = async (): Promise<void> => {
      for (let peer = left.shift(); peer !== undefined && !signal.aborted; peer = left.shift()) {
        try {
          await this.#options.connect(peer, signal);
          reached = true;
        } catch (error) {
          if (signal.aborted) return;
          this.#book.failed(peer.id);
          this.#options.runtime.log.debug("remembered peer not reached", { error: String(error) });
          const named = this.#options.bootstrap.find(({ id }) => id === peer.id);
          if (named !== undefined) this.#options.onUnanswered(named, error);
        }
      }
    };
    await Promise.all(Array.from({ length: DIALS_MAX }, worker));
    return reached;
  }

  #note(): void {
    const nowMs = this.#options.runtime.clock.monotonicMs();
    const linked = this.#options.linked();
    const ids = new Set(linked.map(({ id }) => id));
    for (const id of [...this.#linkedSinceMs.keys()]) if (!ids.has(id)) this.#linkedSinceMs.delete(id);
    for (const contact of linked) {
      const sinceMs = this.#linkedSinceMs.get(contact.id) ?? nowMs;
      this.#linkedSinceMs.set(contact.id, sinceMs);
      this.#book.seen(contact, Math.round((nowMs - sinceMs) / 1_000), this.#nowS());
    }
  }

  /** What cannot be read is as if nothing had been written. */
  async #load(): Promise<Uint8Array | undefined> {
    const { log, storage } = this.#options.runtime;
    try {
      const stored = await storage.get(await this.#storedAs());
      return stored instanceof Uint8Array ? stored : undefined;
    } catch (error) {
      log.warn("address book not read", { error: String(error) });
      return undefined;
    }
  }

  /** What cannot be written is tried again the next time; until then it is known to this run alone. */
  async #save(): Promise<void> {
    const { log, storage } = this.#options.runtime;
    if (!this.#isDirty) return;
    try {
      await storage.set(await this.#storedAs(), this.#book.encode());
      this.#isUnsaved = false;
    } catch (error) {
      if (!this.#isUnsaved) log.warn("address book not kept", { error: String(error) });
      this.#isUnsaved = true;
    }
  }

  get #isDirty(): boolean {
    return this.#book.isChanged || this.#isUnsaved;
  }

  async #storedAs(): Promise<string> {
    const digest = await this.#options.runtime.hash.sha256(utf8(this.#options.network));
    return STORED_AS + toHex(digest).slice(0, NAME_DIGITS);
  }

  #nowS(): number {
    return Math.floor(this.#options.runtime.clock.nowMs() / 1_000);
  }
}
