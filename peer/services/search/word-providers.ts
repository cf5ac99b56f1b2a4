/**
 * Search by the overlay (structured): an inverted index of provider records. For each word of its listings a peer says that it has something
 * under that word; who searches asks the overlay who does, and then those peers themselves, with the whole question. Hot words are
 * bounded by the lists' own limit: of many providers the latest are told.
 */
import { toHex, utf8 } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { untilAborted } from "../../overlay/abort.ts";
import { backoffMs } from "../../overlay/backoff.ts";
import type { Timer } from "../../runtime.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import type { Records } from "../records/records.ts";
import type { Listings } from "./listings.ts";
import { hitsOfOne, type Query } from "./protocol.ts";
import type { SearchStreams } from "./streams.ts";

/** Words of one listing that are said, the first of its name: each is a record at eight peers, said again every ten minutes. */
const WORDS_PER_LISTING_MAX = 12;
/** Words of all listings: half of what one holder keeps of one publisher. */
const WORDS_MAX = 128;
const PUBLISHING_MAX = 4;
const RETRY = { firstMs: 4_000, maxMs: 300_000 } as const;
/** Peers asked for one question, and so many at once. */
const PEERS_MAX = 24;
const ASKING_MAX = 6;
/** From connecting to the last hit of one of them. */
const PEER_MS = 4_000;

export interface WordProvidersOptions {
  readonly host: ServiceHost;
  readonly records: Pick<Records, "provide" | "providers">;
  readonly listings: Listings;
  readonly streams: SearchStreams;
  readonly sessions: {
    /** Whether there is a session with a peer. */
    hasSession(id: PeerId): boolean;
    /** A session that was made for a question is not needed any more. */
    release(session: Session): void;
  };
}

export class WordProviders {
  readonly #options: WordProvidersOptions;
  /** Said; to be taken back. */
  readonly #said = new Map<string, () => void>();
  readonly #saying = new Set<string>();
  readonly #closing = new AbortController();
  #retryTimer: Timer | undefined;
  #failures = 0;
  #isOut = false;

  constructor(options: WordProvidersOptions) {
    this.#options = options;
  }

  /** The listings have changed. */
  update(): void {
    const wanted = this.#wanted();
    for (const [word, takeBack] of this.#said) {
      if (wanted.has(word)) continue;
      this.#said.delete(word);
      takeBack();
    }
    this.#sayMore();
  }

  /**
   * Resolves when all who may know have been asked, or enough was found.
   * @param found takes tickets; false: no more are wanted
   */
  async search(
    { words, limit }: Pick<Query, "words" | "limit">,
    found: (tickets: readonly string[]) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const peers = await this.#peersFor(words, signal);
    const question = { words, limit: hitsOfOne(limit, peers.length), timeMs: PEER_MS };
    const enough = new AbortController();
    const within = AbortSignal.any([signal, enough.signal]);
    const askNext = async (): Promise<void> => {
      for (let peer = peers.shift(); peer !== undefined && !within.aborted; peer = peers.shift())
        await this.#ask(peer, question, (tickets) => found(tickets) || enough.abort(), within);
    };
    await Promise.all(Array.from({ length: ASKING_MAX }, askNext));
  }

  close(): void {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#retryTimer?.cancel();
  }

  // --- asking ---

  /** Who has most of the words first. */
  async #peersFor(words: readonly string[], signal: AbortSignal): Promise<PeerId[]> {
    const { host, records } = this.#options;
    const counts = new Map<PeerId, number>();
    await Promise.all(
      words.map(async (word) => {
        const told = records.providers(await this.#keyOf(word), { signal });
        // The overlay's own deadlines are longer than some searches.
        for (const peer of await untilAborted(told, signal)) counts.set(peer, (counts.get(peer) ?? 0) + 1);
      }),
    );
    counts.delete(host.id);
    return [...counts]
      .sort(([, a], [, b]) => b - a)
      .slice(0, PEERS_MAX)
      .map(([peer]) => peer);
  }

  async #ask(
    peer: PeerId,
    question: Parameters<SearchStreams["askItself"]>[1],
    found: (tickets: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { host, streams, sessions } = this.#options;
    const { clock, log } = host.runtime;
    const over = new AbortController();
    const timer = clock.setTimer(PEER_MS, () => over.abort());
    try {
      const within = AbortSignal.any([signal, over.signal]);
      const isOurs = !sessions.hasSession(peer);
      const session = await host.connect(peer, { signal: within });
      await streams.askItself(session, question, found, within);
      if (isOurs) sessions.release(session);
    } catch (error) {
      log.debug("peer of a word not asked", { error: String(error) });
    } finally {
      timer.cancel();
    }
  }

  // --- saying ---

  #wanted(): Set<string> {
    const words = new Set<string>();
    for (const listing of this.#options.listings.all.toReversed()) {
      for (const word of listing.words.slice(0, WORDS_PER_LISTING_MAX)) {
        if (words.size < WORDS_MAX) words.add(word);
      }
    }
    return words;
  }

  #sayMore(): void {
    if (this.#isOut || this.#closing.signal.aborted || this.#retryTimer !== undefined) return;
    for (const word of this.#wanted()) {
      if (this.#saying.size >= PUBLISHING_MAX) return;
      if (this.#said.has(word) || this.#saying.has(word)) continue;
      this.#saying.add(word);
      this.#say(word)
        .catch((error: unknown) => this.#notSaid(error))
        .finally(() => {
          this.#saying.delete(word);
          this.#sayMore();
        });
    }
  }

  async #say(word: string): Promise<void> {
    const { signal } = this.#closing;
    const takeBack = await this.#options.records.provide(await this.#keyOf(word), { signal });
    this.#failures = 0;
    if (this.#wanted().has(word)) this.#said.set(word, takeBack);
    else takeBack();
  }

  #notSaid(error: unknown): void {
    const { clock, random, log } = this.#options.host.runtime;
    log.debug("word not said", { error: String(error) });
    // A peer outside of the overlay has nobody to say it to.
    this.#isOut ||= error instanceof PeerloomError && error.code === "records/unavailable";
    if (this.#isOut || this.#closing.signal.aborted || this.#retryTimer !== undefined) return;
    const delayMs = RETRY.firstMs / 2 + backoffMs(this.#failures++, random, RETRY);
    this.#retryTimer = clock.setTimer(delayMs, () => {
      this.#retryTimer = undefined;
      this.#sayMore();
    });
  }

  async #keyOf(word: string): Promise<string> {
    const { network, runtime } = this.#options.host;
    return toHex(await runtime.hash.sha256(utf8(`peerloom/search/1\n${network}\n${word}`)));
  }
}
