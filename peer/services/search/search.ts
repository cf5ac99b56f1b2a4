/**
 * Search: one call, and four ways to where it is answered. `index` asks the edge, `dht` those whose words the overlay knows, `flood` neighbours and
 * theirs; `auto` goes from the cheapest to the dearest and stops at the first that knows something. What is found is what peers
 * share and list (listings.ts), and every hit is a ticket that `files.get` takes.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import { QUERY_CHARACTERS_MAX } from "../../../shared/listings.ts";
import { QUERY_WORDS_MAX, wordsOf } from "../../../shared/words.ts";
import { abortError } from "../../overlay/abort.ts";
import type { Timer } from "../../runtime.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import type { Files } from "../files/files.ts";
import type { Records } from "../records/records.ts";
import { Digest } from "./digest.ts";
import { IndexClient } from "./index-client.ts";
import { Flood } from "./flood.ts";
import { MATCHES_MAX } from "./flood-step.ts";
import { Hits, readHit, type SearchHit, type SearchWay } from "./hits.ts";
import { Listings } from "./listings.ts";
import { hitsOfOne, LIMIT_MAX, QUERY_MS_MAX, SEARCH_PROTOCOL } from "./protocol.ts";
import { SearchStreams } from "./streams.ts";
import { type AddHits, followWay, forgiving, type Question, settled, type Way } from "./way.ts";
import { WordProviders } from "./word-providers.ts";

/** How to search. */
export type SearchVia = "auto" | "index" | "dht" | "flood";

export interface SearchOptions {
  /** @default "auto" */
  readonly via?: SearchVia;
  /** Ends with so many hits, at most 200. @default 50 */
  readonly limit?: number;
  /** Ends by then with what there is, at most 30,000. @default 10_000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export const SEARCH_DEFAULTS = { via: "auto", limit: 50, timeoutMs: 10_000 } as const;

/** Neighbours whose digest matches are asked first, and answer at once. */
const NEAR_MS = 1_000;
/** Changes of listings within this time are told to neighbours once. */
const DIGEST_AFTER_MS = 100;

export interface SearchContext {
  readonly host: ServiceHost;
  readonly files: Pick<Files, "listed" | "onListed">;
  readonly records: Pick<Records, "provide" | "providers">;
  /** Origin; undefined in pure mode. */
  readonly edge: string | undefined;
  /** False while the edge is known to be away. */
  isEdgeThere(): boolean;
  /** Undefined outside of the overlay. */
  readonly overlay:
    | {
        /** Linked to this peer now. */
        neighbours(): readonly Session[];
        /** Whether there is a session with a peer. */
        hasSession(id: PeerId): boolean;
        /** A session that was made for a question is not needed any more. */
        release(session: Session): void;
      }
    | undefined;
}

export class Search {
  readonly #context: SearchContext;
  readonly #listings: Listings;
  readonly #streams: SearchStreams;
  readonly #flood: Flood;
  readonly #words: WordProviders | undefined;
  readonly #index: IndexClient | undefined;
  readonly #closing = new AbortController();
  readonly #stopServing: () => void;
  #digest = Digest.of([]);
  #digestTimer: Timer | undefined;

  constructor(context: SearchContext) {
    this.#context = context;
    const { host, files, records, edge, overlay } = context;
    const { runtime } = host;
    this.#listings = new Listings(() => files.listed());
    this.#streams = new SearchStreams({
      runtime,
      network: host.network,
      onQuery: (from, query, reply) =>
        this.#flood.serve(from, this.#neighbour(from) !== undefined, query, reply),
    });
    this.#flood = new Flood({
      clock: runtime.clock,
      random: runtime.random,
      neighbours: (words) =>
        this.#neighbours().map((session) => ({ id: session.peerId, matches: this.#matches(session, words) })),
      own: (words, countMax) => this.#own(words, countMax),
      isSound: (ticket) => readHit(ticket, host.network) !== undefined,
      ask: (id, query, reply) => {
        const session = this.#neighbour(id);
        if (session !== undefined) return this.#streams.ask(session, query, reply);
        runtime.clock.defer(() => reply.end(0));
        return () => {};
      },
    });
    if (overlay !== undefined) {
      this.#words = new WordProviders({
        host,
        records,
        listings: this.#listings,
        streams: this.#streams,
        sessions: overlay,
      });
    }
    if (edge !== undefined) this.#index = new IndexClient({ host, edge, listings: this.#listings });
    this.#stopServing = host.handle(SEARCH_PROTOCOL, (stream, session) =>
      this.#streams.serve(stream, session),
    );
    files.onListed = () => this.#listed();
  }

  /**
   * Hits as they come, each content once. Ends when there are enough, nobody is left to ask, or time is over.
   * @throws PeerloomError `usage/invalid`, `search/unavailable`, `edge/unreachable`, `edge/rate-limited`, `peer/closed`, `aborted`
   */
  async *search(text: string, options: SearchOptions = {}): AsyncGenerator<SearchHit, void, undefined> {
    const { via, limit, timeoutMs, signal } = { ...SEARCH_DEFAULTS, ...options };
    const words = wordsOf(text.slice(0, QUERY_CHARACTERS_MAX), QUERY_WORDS_MAX);
    checkUse(words, limit, timeoutMs);
    const ways = this.#waysOf(via);
    const { clock } = this.#context.host.runtime;
    const late = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => late.abort());
    const stops = [late.signal, this.#closing.signal, ...(signal === undefined ? [] : [signal])];
    const within = AbortSignal.any(stops);
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const question = { text: words.join(" "), words, limit, deadlineMs };
    const hits = new Hits(this.#context.host.network, limit);
    try {
      for (const way of ways) {
        const before = hits.answers;
        yield* followWay(way, question, hits, clock, within);
        if (within.aborted || hits.left === 0 || (way.isEnough && hits.answers > before)) break;
      }
      if (this.#closing.signal.aborted) throw abortError(this.#closing.signal);
      if (signal?.aborted === true) throw abortError(signal);
    } finally {
      timer.cancel();
    }
  }

  /** A neighbour has come: it is told this peer's words. */
  linked(session: Session): void {
    if (!this.#digest.isEmpty) void this.#streams.push(session, this.#digest);
  }

  /** The edge is reached, or was lost. */
  edgeChanged(isConnected: boolean, isLost: boolean): void {
    this.#index?.edgeChanged(isConnected, isLost);
  }

  /** Withdraws what others keep of this peer, where that is quick, and leaves nothing running. */
  async close(): Promise<void> {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#context.files.onListed = () => {};
    this.#stopServing();
    this.#digestTimer?.cancel();
    this.#flood.close();
    this.#words?.close();
    this.#streams.close();
    await this.#index?.close();
  }

  // --- the ways ---

  #waysOf(via: SearchVia): Way[] {
    const { overlay, edge, isEdgeThere } = this.#context;
    const { index, dht, flood, near } = this.#ways();
    if (via === "auto") {
      const byEdge = this.#index !== undefined && isEdgeThere() ? [forgiving(index)] : [];
      return [near, ...byEdge, ...(overlay === undefined ? [] : [forgiving(dht), forgiving(flood)])];
    }
    if (via === "index" && edge === undefined)
      throw unavailable("This peer has no edge to ask. Use dht or flood, or open it with an edge.");
    if (via !== "index" && overlay === undefined)
      throw unavailable("This peer stays out of the overlay. Open it without overlay: false.");
    return [{ index, dht, flood }[via]];
  }

  #ways(): Record<"near" | "index" | "dht" | "flood", Way> {
    return {
      near: {
        isEnough: false,
        run: async (question, add, signal) => {
          if (add(this.#own(question.words, question.limit), "own"))
            await this.#askNear(question, add, signal);
        },
      },
      index: {
        isEnough: true,
        run: async ({ text }, add, signal) => {
          for (const hit of (await this.#index?.search(text, signal)) ?? []) add(hit.tickets, "index", hit);
        },
      },
      dht: {
        isEnough: true,
        run: async (question, add, signal) =>
          this.#words?.search(question, (tickets) => add(tickets, "dht"), signal),
      },
      flood: {
        isEnough: true,
        run: async ({ words, limit, deadlineMs }, add, signal) => {
          const { host } = this.#context;
          await host.isLinked(signal);
          const timeMs = Math.max(1, deadlineMs - host.runtime.clock.monotonicMs());
          await settled(signal, (end) =>
            this.#flood.search(
              { words, limit, timeMs },
              { hits: (tickets) => void (add(tickets, "flood") || end()), end },
            ),
          );
        },
      },
    };
  }

  /** Neighbours whose digests say that they have it, each for itself. */
  async #askNear({ words, limit }: Question, add: AddHits, signal: AbortSignal): Promise<void> {
    const matching = this.#neighbours().filter((session) => this.#matches(session, words));
    const asked = matching.slice(0, MATCHES_MAX);
    const question = { words, limit: hitsOfOne(limit, asked.length), timeMs: NEAR_MS };
    const found = (tickets: readonly string[]): boolean => add(tickets, "flood");
    await Promise.all(asked.map((session) => this.#streams.askItself(session, question, found, signal)));
  }

  // --- this peer's own ---

  #listed(): void {
    this.#listings.update();
    this.#index?.update();
    this.#words?.update();
    this.#digestTimer ??= this.#context.host.runtime.clock.setTimer(DIGEST_AFTER_MS, () => {
      this.#digestTimer = undefined;
      this.#digest = Digest.of(this.#listings.words());
      for (const session of this.#neighbours()) void this.#streams.push(session, this.#digest);
    });
  }

  #own(words: readonly string[], countMax: number): string[] {
    return this.#listings.matching(words, countMax).map(({ ticket }) => ticket);
  }

  #neighbours(): readonly Session[] {
    return this.#context.overlay?.neighbours() ?? [];
  }

  #neighbour(id: string): Session | undefined {
    return this.#neighbours().find(({ peerId }) => peerId === id);
  }

  #matches(session: Session, words: readonly string[]): boolean {
    return this.#streams.digestOf(session)?.mayHave(words) ?? false;
  }
}

/** @throws PeerloomError `usage/invalid` */
function checkUse(words: readonly string[], limit: number, timeoutMs: number): void {
  if (words.length === 0)
    throw new PeerloomError("usage/invalid", "A search needs at least one word of letters or digits.");
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw new PeerloomError("usage/invalid", `A search's limit is from 1 to ${LIMIT_MAX}, not ${limit}.`);
  if (!(timeoutMs >= 1 && timeoutMs <= QUERY_MS_MAX))
    throw new PeerloomError(
      "usage/invalid",
      `A search's timeoutMs is from 1 to ${QUERY_MS_MAX}, not ${timeoutMs}.`,
    );
}

function unavailable(message: string): PeerloomError {
  return new PeerloomError("search/unavailable", message);
}

export type { SearchHit, SearchWay };
