/**
 * A download at work: finds sources, keeps several at once, comes back to those that were lost and never to those that lied, and
 * serves what it has to other members of the swarm meanwhile.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { Timer } from "../../runtime.ts";
import type { Session } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { putsOut } from "../../overlay/no-path.ts";
import { Patience } from "../patience.ts";
import { type SwarmAccess, swarmAccess } from "./access.ts";
import { type Candidate, Candidates, isPassing, type Origin } from "./candidates.ts";
import { type ProviderRecords, ProviderSearch, sayProvider } from "./discovery.ts";
import { Fetcher, type FetchPlan, mostUseless } from "./fetcher.ts";
import { Holding } from "./holding.ts";
import type { Manifest } from "./manifest.ts";
import { chunkBytesFor, chunkCount, HASH_BYTES } from "./chunks.ts";
import { Scheduler, type SourceState } from "./scheduler.ts";
import { Selection, type SelectOptions } from "./selection.ts";
import { type ManifestBytes, type Part, Source } from "./source.ts";
import type { Store } from "./store.ts";
import type { Ticket, TicketProvider } from "./ticket.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** Not a byte for so long, from anybody, while this peer was awake and waited: the download fails. What is on disk stays. */
const PATIENCE_MS = 60_000;
/** Sources at work at once; more make a swarm hardly faster. */
const SOURCES_MAX = 16;
/** Of these, how many are being connected to. */
const OPENING_MAX = 8;
/** With fewer, provider records are asked. */
const SOURCES_ENOUGH = 4;
/** How often it is looked whether somebody fell behind, is due again, or is lacking. */
const TICK_MS = 100;
/** A download that takes longer says that it provides what it has. */
const SAY_AFTER_MS = 3_000;
/** Chunk hashes of up to 512 MiB are asked for before the manifest is there. */
const LAYER_AHEAD_BYTES_MAX: number = 64 * 1024;

/** What downloads of one peer share. */
export interface SwarmHost {
  readonly host: ServiceHost;
  readonly records: ProviderRecords;
  readonly downlink: TokenBucket;
  /** Serves a holding to whoever may have it. @returns ends that */
  serve(holding: Holding): () => void;
  /** What runs, and is closed with the peer. @returns forgets it */
  running(close: () => Promise<void>): () => void;
}

/** Who gave, and how it came. */
export interface Giver {
  readonly id: PeerId;
  /** Bytes of its right chunks. What was forwarded by peers counts as relayed. */
  readonly by: { readonly direct: number; readonly relay: number };
  /** The last path to it that was not direct, if one carried any of them. */
  readonly indirect?: { readonly kind: "relay" | "overlay"; readonly why: string } | undefined;
}

export interface TransferOptions extends SelectOptions {
  readonly ticket: Ticket;
  readonly stop: AbortController;
  makeStore(manifest: Manifest, selection: Selection): Store;
  onProgress(): void;
}

interface Plan extends FetchPlan {
  readonly selection: Selection;
  readonly holding: Holding;
}

export class Transfer {
  /** Wanted bytes that are verified and stored, what an earlier run left included. */
  storedBytes = 0;
  /** Whole chunks that came twice or were wrong. */
  discardedBytes = 0;
  /** Gave at least one right chunk. */
  readonly givers: Map<PeerId, Giver> = new Map();

  readonly #swarm: SwarmHost;
  readonly #options: TransferOptions;
  readonly #candidates: Candidates;
  readonly #patience: Patience;
  /** Ends fetching alone. */
  readonly #fetching = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #fetchers = new Map<SourceState, Fetcher>();
  #access: SwarmAccess | undefined;
  #search: ProviderSearch | undefined;
  #manifest: ManifestBytes | undefined;
  #layer: Uint8Array | undefined;
  #planning: Promise<Plan> | undefined;
  #plan: Plan | undefined;
  #opening = 0;
  #open = 0;
  #timer: Timer | undefined;
  #startedAtMs = 0;
  #bannedAtMs: number;
  #isAsked = false;
  #isSaid = false;
  #reason: PeerloomError | undefined;
  #stopServing: (() => void) | undefined;

  constructor(swarm: SwarmHost, options: TransferOptions) {
    const { host } = swarm;
    this.#swarm = swarm;
    this.#options = options;
    this.#candidates = new Candidates(host.id, () => host.runtime.random.unit());
    this.#patience = new Patience(host.runtime.clock);
    this.#bannedAtMs = host.runtime.clock.monotonicMs();
    this.#end.promise.catch(() => {});
  }

  /** Wanted bytes in all, once the manifest is known. */
  get totalBytes(): number | undefined {
    return this.#plan?.selection.bytes;
  }

  /** Bytes fetched in this run, by how they came. What was forwarded by peers counts as relayed. */
  get by(): Giver["by"] {
    let [direct, relay] = [0, 0];
    for (const { by } of this.givers.values()) {
      direct += by.direct;
      relay += by.relay;
    }
    return { direct, relay };
  }

  /** Sources that take part now; not those that have lost their path, until it is back. */
  get sources(): number {
    const lost = [...this.#fetchers.keys()].filter((source) => source.isLost());
    return this.#open - lost.length;
  }

  /** Until everything is there and in its place. @throws PeerloomError why it is not */
  async run(): Promise<void> {
    const { host, records } = this.#swarm;
    const { ticket, stop } = this.#options;
    const { clock } = host.runtime;
    this.#startedAtMs = clock.monotonicMs();
    this.#patience.reset();
    const onStop = (): void => this.#fail(toPeerloomError(stop.signal.reason, "aborted", "It was stopped."));
    stop.signal.addEventListener("abort", onStop, { once: true });
    try {
      stop.signal.throwIfAborted();
      this.#access = await swarmAccess(host, ticket.hash);
      this.#search = new ProviderSearch(host.runtime, records, this.#access.keyText, this.#fetching.signal);
      this.#search.onFound = (ids) => {
        this.#learn(
          ids.map((id) => ({ id, addresses: [] })),
          "record",
        );
      };
      this.#learn(ticket.providers, "ticket");
      this.#tick();
      await this.#end.promise;
      await this.#stopFetching();
      await this.#complete();
    } catch (error) {
      const reason = toPeerloomError(error, "files/no-source", "The download failed.");
      await this.#stopFetching();
      await this.endServing();
      await this.#plan?.store.abandon(reason);
      throw reason;
    } finally {
      stop.signal.removeEventListener("abort", onStop);
    }
  }

  /** A reader in order has read on. */
  moreIsWanted(): void {
    this.#pumpAll();
  }

  /** A reader's store keeps that chunk no longer. */
  forgot(index: number): void {
    this.#plan?.holding.delete(index);
  }

  /** Goes on serving what is complete, and says so, until `endServing`. */
  seed(): void {
    this.#say();
  }

  /** Twice is harmless. */
  async endServing(): Promise<void> {
    this.#options.stop.abort(new PeerloomError("aborted", "The download is over."));
    this.#stopServing?.();
    this.#stopServing = undefined;
    const { holding, store } = this.#plan ?? {};
    holding?.end();
    await holding?.move(async () => async () => {
      throw new PeerloomError("files/not-found", "That is shared no longer.");
    });
    await store?.close();
  }

  async #complete(): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined) return;
    const { holding, store } = plan;
    const complete = async (): Promise<Store["read"]> => {
      await store.complete();
      return store.read;
    };
    await holding.move(complete);
  }

  async #stopFetching(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#fetching.abort(new PeerloomError("aborted", "The download is over."));
    await Promise.all(this.#tasks);
    await this.#planning?.catch(() => {});
  }

  // --- sources ---

  #learn(providers: readonly TicketProvider[], origin: Origin): void {
    const nowMs = this.#swarm.host.runtime.clock.monotonicMs();
    for (const provider of providers) this.#candidates.add(provider, origin, nowMs);
    this.#fill();
  }

  #fill(): void {
    const { clock } = this.#swarm.host.runtime;
    while (
      !this.#fetching.signal.aborted &&
      this.#opening < OPENING_MAX &&
      this.#open + this.#opening < SOURCES_MAX
    ) {
      const candidate = this.#candidates.take(clock.monotonicMs());
      if (candidate === undefined) return;
      const task = this.#ask(candidate).finally(() => {
        this.#tasks.delete(task);
        this.#fill();
      });
      this.#tasks.add(task);
    }
  }

  /** One source, until everything is there or it fails. Never rejects. */
  async #ask(candidate: Candidate): Promise<void> {
    const { clock, log } = this.#swarm.host.runtime;
    try {
      await this.#fetchFrom(candidate);
    } catch (error) {
      if (this.#fetching.signal.aborted) return;
      const reason = toPeerloomError(error, "files/no-source", "The source failed.");
      log.debug("source lost", { code: reason.code, attempts: candidate.attempts });
      const nowMs = clock.monotonicMs();
      if (isPassing(reason)) {
        this.#candidates.failed(candidate, nowMs);
        this.#reason ??= reason;
      } else {
        this.#candidates.ban(candidate);
        this.#bannedAtMs = nowMs;
        this.#reason = reason;
      }
    }
  }

  async #fetchFrom(candidate: Candidate): Promise<void> {
    const { provider } = candidate;
    const { host } = this.#swarm;
    const { signal } = this.#fetching;
    const access = this.#access as SwarmAccess;
    this.#opening += 1;
    const opened = Source.open({ host, access, provider, signal, ahead: () => this.#askedAhead() });
    const source = await opened.finally(() => {
      this.#opening -= 1;
    });
    const stop = (): void => source.drop();
    signal.addEventListener("abort", stop, { once: true });
    this.#open += 1;
    try {
      signal.throwIfAborted();
      source.onPeers = (peers) => this.#learn(peers, "member");
      source.onHeard = () => this.#patience.reset();
      this.#manifest ??= await source.manifest(this.#options.ticket.hash);
      this.#layer ??= await source.layer(this.#manifest.manifest, () => this.#layer);
      this.#planning ??= this.#begin(this.#manifest, this.#layer);
      const plan = await this.#planning;
      if (!plan.scheduler.isComplete) await this.#fetch(source, candidate, plan);
    } finally {
      this.#open -= 1;
      signal.removeEventListener("abort", stop);
      source.drop();
    }
  }

  /** Whoever is connected first is asked at once, and others, too, if nothing has come of that when they have opened. */
  #askedAhead(): readonly Part[] {
    if (this.#isAsked || this.#manifest !== undefined) return [];
    this.#isAsked = true;
    const { bytes } = this.#options.ticket;
    const layerBytes = chunkCount(bytes, chunkBytesFor(bytes)) * HASH_BYTES;
    return layerBytes <= LAYER_AHEAD_BYTES_MAX ? ["manifest", "layer"] : ["manifest"];
  }

  async #fetch(source: Source, candidate: Candidate, plan: Plan): Promise<void> {
    const { provider } = candidate;
    const fetcher = new Fetcher(source, plan);
    this.#fetchers.set(fetcher.state, fetcher);
    plan.holding.members.add(provider);
    try {
      await fetcher.run();
    } catch (error) {
      if (!fetcher.isLetGo) throw error;
    } finally {
      this.#fetchers.delete(fetcher.state);
      if (fetcher.gave) candidate.attempts = 0;
      if (fetcher.isLetGo) this.#candidates.rested(candidate, plan.clock.monotonicMs());
      plan.holding.members.delete(provider.id);
    }
  }

  // --- what is fetched ---

  async #begin({ manifest, encoded }: ManifestBytes, layer: Uint8Array): Promise<Plan> {
    const { host, downlink, serve } = this.#swarm;
    const { clock, hash, random } = host.runtime;
    try {
      const selection = new Selection(manifest, this.#options);
      const store = this.#options.makeStore(manifest, selection);
      const scheduler = new Scheduler(selection.chunks, manifest.chunkBytes, () => random.unit());
      const access = this.#access as SwarmAccess;
      const holding = Holding.ofDownload({ access, manifest, encoded, layer, read: store.read });
      const plan: Plan = {
        clock,
        hash,
        manifest,
        layer,
        store,
        scheduler,
        downlink,
        selection,
        holding,
        cancel: (source, index) => this.#fetchers.get(source)?.source.cancel(index),
        onStored: (index, giver, directShare) => {
          const bytes = selection.bytesOf(index);
          const direct = Math.round(bytes * directShare);
          this.#given(giver, direct, bytes - direct);
          this.#stored(plan, index);
        },
        onDiscarded: (bytes) => {
          this.discardedBytes += bytes;
        },
        onFatal: (error) => this.#fail(error),
        onReopened: () => this.#pumpAll(),
      };
      this.#plan = plan;
      await store.resume(layer, (index) => this.#stored(plan, index), this.#fetching.signal);
      holding.members.watch((member) => this.#learn([member], "member"));
      this.#stopServing = serve(holding);
      if (scheduler.isComplete) this.#end.resolve();
      return plan;
    } catch (error) {
      const reason = toPeerloomError(error, "files/unwritable", "The target cannot be used.");
      this.#fail(reason);
      throw reason;
    }
  }

  #given({ peerId: id, path: { kind, why } }: Session, direct: number, relay: number): void {
    const { by, indirect } = this.givers.get(id) ?? { by: { direct: 0, relay: 0 } };
    this.givers.set(id, {
      id,
      by: { direct: by.direct + direct, relay: by.relay + relay },
      indirect: relay > 0 && (kind === "relay" || kind === "overlay") ? { kind, why } : indirect,
    });
  }

  #stored({ scheduler, selection, holding, store }: Plan, index: number): void {
    if (!scheduler.done(index)) return;
    this.storedBytes += selection.bytesOf(index);
    this.#patience.reset();
    if (store.holds(index)) holding.add(index);
    this.#options.onProgress();
    if (scheduler.isComplete) this.#end.resolve();
  }

  #pumpAll(): void {
    for (const fetcher of this.#fetchers.values()) fetcher.pump();
  }

  // --- from time to time ---

  #tick(): void {
    const { clock } = this.#swarm.host.runtime;
    const nowMs = clock.monotonicMs();
    this.#timer = clock.setTimer(TICK_MS, () => this.#tick());
    this.#fill();
    this.#pumpAll();
    if (this.#candidates.isExhausted && this.#tasks.size === 0) {
      if (this.#isOut() || this.#search?.hasAskedSince(this.#bannedAtMs) === true)
        this.#fail(this.#noSource());
      else this.#search?.hurry();
    }
    const runningMs = nowMs - this.#startedAtMs;
    if (runningMs > 0 && this.#open < SOURCES_ENOUGH) this.#search?.need();
    if (runningMs > SAY_AFTER_MS && (this.#plan?.holding.bits.size ?? 0) > 0) this.#say();
    this.#makeRoom(nowMs);
    if (!this.#isWaiting()) this.#patience.reset();
    else if (this.#patience.waitedMs() > PATIENCE_MS) this.#fail(this.#noSource());
  }

  /** Where all places are taken and somebody waits for one, who was of no use for longest loses its own. */
  #makeRoom(nowMs: number): void {
    const isBlameless = !this.#isWaiting() || this.#swarm.downlink.waitMs() > 0;
    if (isBlameless) for (const fetcher of this.#fetchers.values()) fetcher.useful();
    const worst = mostUseless(this.#fetchers.values());
    if (this.#open + this.#opening >= SOURCES_MAX && this.#candidates.isDue(nowMs)) worst?.letGo();
  }

  /** Whether it is the sources that are waited for: not a reader that pauses, nor the limit that this peer has set itself. */
  #isWaiting(): boolean {
    if (this.#plan === undefined) return true;
    const fetchers = [...this.#fetchers.keys()];
    const isHeldBack =
      fetchers.length > 0 &&
      this.#swarm.downlink.waitMs() > 0 &&
      fetchers.every(({ pending }) => pending.size === 0);
    return this.#plan.store.isAwaited && !isHeldBack;
  }

  #say(): void {
    const { host, records } = this.#swarm;
    if (this.#isSaid || this.#plan === undefined) return;
    this.#isSaid = true;
    void sayProvider(host.runtime, records, this.#plan.holding.access.keyText, this.#options.stop.signal);
  }

  /** Sources say that this peer is not of their network, and nobody is linked who could be asked for others. */
  #isOut(): boolean {
    const isAlone = this.#swarm.host.sessions().every(({ path }) => path.kind === "none");
    return isAlone && this.#reason !== undefined && putsOut(this.#reason);
  }

  #noSource(): PeerloomError {
    return this.#reason ?? new PeerloomError("files/no-source", "Nobody else is found who has it.");
  }

  #fail(reason: PeerloomError): void {
    this.#end.reject(reason);
  }
}
