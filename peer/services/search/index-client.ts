/**
 * Search by the edge (hybrid): tells its index what this peer lists, again at half time, and asks it. Over HTTP, so that a peer that has left the
 * rendezvous need not come back for it. All that is said is said anew whenever the edge may have forgotten.
 */
import { fromHex } from "../../../shared/bytes.ts";
import { assert, parseErrorCode, PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import {
  ANNOUNCEMENT_BYTES_MAX,
  type AnnouncedListing,
  announcementClaim,
  encodeAnnouncement,
  encodeListings,
  encodeSignedAnnouncement,
  HIT_TICKETS_MAX,
  HITS_BYTES_MAX,
  HITS_MAX,
  isListedTicket,
  LISTING_TTL_MS,
} from "../../../shared/listings.ts";
import { PASS_HEADER } from "../../../shared/pass.ts";
import { boundedText } from "../../links/bounded-text.ts";
import { withDeadline } from "../../overlay/abort.ts";
import { backoffMs, spreadMs } from "../../overlay/backoff.ts";
import type { Timer } from "../../runtime.ts";
import type { ServiceHost } from "../host.ts";
import type { Listing, Listings } from "./listings.ts";

const ASK_MS = 4_000;
const ANNOUNCE_MS = 8_000;
/** Parting must not take long. */
const WITHDRAW_MS = 1_000;
/** Several shares in a row are announced together. */
const TOGETHER_MS = 300;
const RETRY = { firstMs: 4_000, maxMs: 300_000 } as const;
const SPREAD = 0.1;
/** Beside the listings themselves. */
const ENVELOPE_BYTES = 512;

/** One content, as the index tells it. */
export interface IndexedHit {
  readonly hash: string;
  readonly tickets: readonly string[];
  readonly sources: number;
}

export interface IndexClientOptions {
  readonly host: ServiceHost;
  /** Origin. */
  readonly edge: string;
  readonly listings: Listings;
}

export class IndexClient {
  readonly #options: IndexClientOptions;
  readonly #closing = new AbortController();
  #timer: Timer | undefined;
  #announcing: Promise<void> | undefined;
  #isStale = false;
  /** The index knows something of this peer. */
  #isKnown = false;
  #wasLost = false;
  #failures = 0;
  #saidAtMs = 0;

  constructor(options: IndexClientOptions) {
    this.#options = options;
  }

  /** The listings have changed. The first change is told at once, those that come with it soon after. */
  update(): void {
    if (!this.#isKnown && this.#options.listings.all.length === 0 && this.#announcing === undefined) return;
    if (this.#announcing === undefined && this.#timer === undefined) this.#announceNow();
    else this.#plan(TOGETHER_MS);
  }

  /** The edge is reached, or lost. One that was lost may have forgotten everything. */
  edgeChanged(isConnected: boolean, isLost: boolean): void {
    if (isLost) this.#wasLost = true;
    if (!isConnected || !this.#wasLost) return;
    this.#wasLost = false;
    if (this.#options.listings.all.length > 0)
      this.#plan(TOGETHER_MS * (1 + this.#options.host.runtime.random.unit()));
  }

  /** @throws PeerloomError `edge/unreachable`, what the edge says (`edge/rate-limited`), `aborted` */
  async search(text: string, signal: AbortSignal): Promise<IndexedHit[]> {
    const answer = await this.#request(`search?q=${encodeURIComponent(text)}`, {}, ASK_MS, signal);
    return readHits(answer);
  }

  /** Withdraws what the index knows, if that is quick. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    await this.#announcing;
    if (!this.#isKnown) return;
    await this.#announce([], WITHDRAW_MS, new AbortController().signal).catch((error: unknown) => {
      this.#options.host.runtime.log.debug("listings not withdrawn", { error: String(error) });
    });
  }

  // --- announcing ---

  #plan(delayMs: number): void {
    if (this.#closing.signal.aborted) return;
    if (this.#announcing !== undefined) {
      this.#isStale = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#options.host.runtime.clock.setTimer(delayMs, () => this.#announceNow());
  }

  #announceNow(): void {
    if (this.#closing.signal.aborted) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isStale = false;
    const { host, listings } = this.#options;
    const { random, log } = host.runtime;
    const told = listings.all;
    this.#announcing = this.#announce(told, ANNOUNCE_MS, this.#closing.signal)
      .then(
        () => {
          this.#failures = 0;
          this.#isKnown = told.length > 0;
          return this.#isKnown ? spreadMs(LISTING_TTL_MS / 2, random, SPREAD) : undefined;
        },
        (error: unknown) => {
          const { code } = toPeerloomError(error, "edge/unreachable", "Not announced.");
          log.debug("listings not announced", { code });
          if (code.startsWith("network/")) return undefined; // the invite does not allow it: asking again would not help
          return RETRY.firstMs / 2 + backoffMs(this.#failures++, random, RETRY);
        },
      )
      .then((againMs) => {
        this.#announcing = undefined;
        if (this.#isStale) this.#plan(TOGETHER_MS);
        else if (againMs !== undefined) this.#plan(againMs);
      });
  }

  async #announce(listings: readonly Listing[], timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { host, edge } = this.#options;
    // Two within one millisecond must differ, or the later is taken for the earlier brought again.
    this.#saidAtMs = Math.max(host.runtime.clock.nowMs(), this.#saidAtMs + 1);
    const body = encodeAnnouncement({ id: host.id, timeMs: this.#saidAtMs, listings: fitting(listings) });
    const signature = await host.sign(announcementClaim(edge, host.network, body));
    const bytes = encodeSignedAnnouncement(body, signature) as Uint8Array<ArrayBuffer>;
    await this.#request("listings", { method: "POST", body: bytes }, timeoutMs, signal);
  }

  // --- HTTP ---

  async #request(path: string, init: RequestInit, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
    const { host, edge } = this.#options;
    const url = new URL(`/v1/net/${host.network}/${path}`, edge);
    const { clock } = host.runtime;
    try {
      return await withDeadline(clock, timeoutMs, signal, async (within) => {
        const headers: Record<string, string> = {};
        if (host.pass !== undefined) headers[PASS_HEADER] = await host.pass(new URL(edge).origin);
        const response = await fetch(url, { ...init, headers, signal: within });
        const answer: unknown = JSON.parse(await boundedText(response, HITS_BYTES_MAX, "The edge"));
        if (!response.ok) throw refusal(answer);
        return answer;
      });
    } catch (error) {
      signal.throwIfAborted();
      const text = `The edge ${edge} gave no answer. Is it running? Search with --via dht or flood meanwhile.`;
      throw toPeerloomError(error, "edge/unreachable", text);
    }
  }
}

/** As many as one announcement holds, the latest first. */
function fitting(listings: readonly Listing[]): AnnouncedListing[] {
  const announced: AnnouncedListing[] = [];
  let left = ANNOUNCEMENT_BYTES_MAX - ENVELOPE_BYTES;
  for (const { hash: hex, name, bytes, words, ticket } of listings.toReversed()) {
    const hash = fromHex(hex);
    assert(hash !== undefined, "a share's hash is hexadecimal");
    const listing = { hash, name, bytes, words: words.join(" "), ticket };
    left -= encodeListings([listing]).length;
    if (left < 0) break;
    announced.push(listing);
  }
  return announced;
}

function refusal(answer: unknown): PeerloomError {
  const { code, message } =
    typeof answer === "object" && answer !== null
      ? (answer as { readonly code?: unknown; readonly message?: unknown })
      : {};
  const known = parseErrorCode(typeof code === "string" ? code : "", "edge/unreachable");
  return new PeerloomError(known, typeof message === "string" ? message.slice(0, 500) : "The edge refused.");
}

/** Takes only what is well formed. */
export function readHits(answer: unknown): IndexedHit[] {
  const hits = typeof answer === "object" && answer !== null && "hits" in answer ? answer.hits : undefined;
  if (!Array.isArray(hits)) return [];
  return hits.slice(0, HITS_MAX).flatMap((item: unknown) => readHit(item));
}

function readHit(item: unknown): IndexedHit[] {
  if (typeof item !== "object" || item === null) return [];
  const { hash, ticket, moreTickets, sources } = item as Partial<Record<string, unknown>>;
  const tickets = [ticket, ...(Array.isArray(moreTickets) ? (moreTickets as unknown[]) : [])]
    .slice(0, HIT_TICKETS_MAX)
    .filter((text): text is string => typeof text === "string" && isListedTicket(text));
  const isSound = typeof hash === "string" && tickets.length > 0;
  if (!isSound || !Number.isSafeInteger(sources) || Number(sources) < 1) return [];
  return [{ hash, tickets, sources: Number(sources) }];
}
