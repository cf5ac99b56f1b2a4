/**
 * Others in a topic that this peer has no session with: those that its provider records name, and those that neighbours tell of. As long as
 * few are known they are dialled; later one now and then, so that no group of friends is a network of its own.
 */
import type { PeerId } from "../../../shared/ids.ts";
import { withDeadline } from "../../overlay/abort.ts";
import type { Session } from "../../session/contract.ts";
import { type Candidate, Candidates } from "../files/candidates.ts";
import { type ProviderRecords, ProviderSearch, sayProvider } from "../files/discovery.ts";
import type { ServiceHost } from "../host.ts";

/** Neighbours in the topic wanted: a full mesh of few, twice a mesh of many. */
export const SUBSCRIBERS_WANTED = 12;
const DIALS_MAX = 3;
const DIAL_MS = 10_000;
/** After its session began, a peer that is in the topic has said so by then. */
const TOLD_MS = 5_000;

export interface FinderOptions {
  readonly host: ServiceHost;
  readonly records: ProviderRecords;
  /** 64 hexadecimal digits. */
  readonly keyText: string;
  readonly signal: AbortSignal;
  isSubscriber(id: PeerId): boolean;
  isWelcome(id: PeerId): boolean;
  subscriberCount(): number;
  /** A session that came to nothing. */
  release(session: Session): void;
}

export class Finder {
  readonly #options: FinderOptions;
  readonly #candidates: Candidates;
  readonly #search: ProviderSearch;
  readonly #active = new Map<PeerId, Candidate>();
  readonly #dialling = new Set<PeerId>();
  #isOver = false;
  #hadSubscribers = false;
  /** Dialled though there are enough, one for each answer of the records. */
  #strangers = 0;

  constructor(options: FinderOptions) {
    this.#options = options;
    const { host, records, keyText, signal } = options;
    const { runtime } = host;
    this.#candidates = new Candidates(host.id, () => runtime.random.unit());
    this.#search = new ProviderSearch(runtime, records, keyText, signal);
    this.#search.onFound = (ids) => {
      this.#strangers = 1;
      this.heard(ids, "record");
    };
    signal.addEventListener("abort", () => (this.#isOver = true), { once: true });
    void sayProvider(runtime, records, keyText, signal);
    this.look();
  }

  heard(ids: readonly PeerId[], origin: "record" | "member" = "member"): void {
    const nowMs = this.#options.host.runtime.clock.monotonicMs();
    for (const id of ids) this.#candidates.add({ id, addresses: [] }, origin, nowMs);
    this.look();
  }

  /** Asks and dials while somebody is lacking. */
  look(): void {
    if (this.#isOver) return;
    const { host, isSubscriber, isWelcome, subscriberCount } = this.#options;
    const nowMs = host.runtime.clock.monotonicMs();
    for (const [id, candidate] of this.#active) {
      if (isSubscriber(id) || this.#dialling.has(id)) continue;
      this.#active.delete(id);
      this.#candidates.failed(candidate, nowMs);
    }
    const hasSubscribers = subscriberCount() > 0;
    if (this.#hadSubscribers && !hasSubscribers) this.#search.hurry();
    this.#hadSubscribers = hasSubscribers;
    this.#search.need();
    while (this.#dialling.size < DIALS_MAX) {
      const isEnough = subscriberCount() + this.#dialling.size >= SUBSCRIBERS_WANTED;
      if (isEnough && this.#strangers === 0) return;
      const candidate = this.#candidates.take(nowMs);
      if (candidate === undefined) return;
      const { id } = candidate.provider;
      this.#active.set(id, candidate);
      if (isSubscriber(id)) continue;
      if (!isWelcome(id)) {
        this.#candidates.ban(candidate);
        this.#active.delete(id);
        continue;
      }
      if (isEnough) this.#strangers -= 1;
      this.#dialling.add(id);
      void this.#dial(id).finally(() => {
        this.#dialling.delete(id);
        this.look();
      });
    }
  }

  async #dial(id: PeerId): Promise<void> {
    const { host, signal, isSubscriber, release } = this.#options;
    const { clock, log } = host.runtime;
    try {
      const session = await withDeadline(clock, DIAL_MS, signal, (within) =>
        host.connect(id, { signal: within }),
      );
      const untilMs = clock.monotonicMs() + TOLD_MS;
      for (let waitMs = 50; !isSubscriber(id) && clock.monotonicMs() < untilMs; waitMs *= 2)
        await clock.sleep(waitMs, signal);
      if (!isSubscriber(id)) release(session);
    } catch (error) {
      log.debug("peer of a topic not reached", { error: String(error) });
    }
  }
}
