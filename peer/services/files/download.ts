/**
 * A download: asks sources for chunks, verifies each before it is stored, drops who sends what is wrong, goes on with
 * the others, and comes back to those that were lost.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { FileSystem } from "../../runtime.ts";
import type { BytesByPath } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { pathContent } from "./content.ts";
import type { Manifest } from "./manifest.ts";
import { chunkCount, HASH_BYTES, LEAF_PREFIX, leafHash } from "./merkle.ts";
import { Scheduler, type SourceState } from "./scheduler.ts";
import { prepareShare } from "./share.ts";
import { corrupt, Source } from "./source.ts";
import { MemoryStore, PartStore, ReaderStore, type Store } from "./store.ts";
import type { Ticket, TicketProvider } from "./ticket.ts";

/** Nothing new for so long, from anybody: the download fails. What is on disk stays. */
const PATIENCE_MS = 60_000;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5_000;
/** Chunks being verified and written while the next are read. */
const STORING_MAX = 8;

export interface DownloadProgress {
  /** Verified and stored, what an earlier run left included. */
  readonly bytes: number;
  readonly total: number;
  /** Providers that give chunks now. */
  readonly sources: number;
}

export interface DownloadResult {
  readonly path: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Providers that gave at least one chunk. */
  readonly sources: number;
  /** SHA-256 of the manifest, hex: what the ticket names. */
  readonly hash: string;
  /** Bytes fetched in this run, by how they came. What was forwarded by peers counts as relayed. */
  readonly by: { readonly direct: number; readonly relay: number };
}

export interface SaveOptions {
  /** Replace what is there under that name. @default false */
  readonly overwrite?: boolean;
}

/**
 * Begins when asked where to put it: `saveTo`, `blob` or `readable`, one of them, once.
 * Event: `progress` (CustomEvent<DownloadProgress>).
 */
export class Download extends EventTarget {
  readonly ticket: Ticket;
  readonly #host: ServiceHost;
  readonly #stop = new AbortController();
  readonly #givers = new Set<PeerId>();
  #begun = false;
  #manifest: Manifest | undefined;
  #layer: Uint8Array | undefined;
  #scheduler: Scheduler | undefined;
  #opening: Promise<Scheduler> | undefined;
  #storedBytes = 0;
  #active = 0;
  #direct = 0;
  #relay = 0;
  #progressAtMs = 0;
  #fatal: PeerloomError | undefined;
  #complete = Promise.withResolvers<void>();
  #more = new Set<() => void>();

  constructor(host: ServiceHost, ticket: Ticket, signal?: AbortSignal) {
    super();
    this.#host = host;
    this.ticket = ticket;
    if (signal?.aborted) this.cancel();
    signal?.addEventListener("abort", () => this.cancel(), { once: true });
  }

  /** Gives up. What is on disk stays, and another download goes on from there. */
  cancel(): void {
    this.#stop.abort(
      new PeerloomError("aborted", "The download was stopped. Run it again to go on where it stopped."),
    );
    this.#wakeAll();
  }

  /**
   * Saves to a file or folder. Without a path it gets its own name in the working folder.
   * @throws PeerloomError `files/exists`, `files/unwritable`, `files/disk-full`, `files/no-source`, `files/not-found`,
   *   `files/corrupt`, `files/path-escape`, `aborted`
   */
  async saveTo(path: string = this.ticket.name, options: SaveOptions = {}): Promise<DownloadResult> {
    const { files, clock } = this.#host.runtime;
    if (files === undefined)
      throw new PeerloomError("usage/invalid", "This host has no files: use blob() or readable.");
    const startedAtMs = clock.monotonicMs();
    const target = await this.#target(files, path, options.overwrite ?? false);
    if (target.isThere) this.#storedBytes = this.ticket.bytes;
    else await this.#run((manifest) => new PartStore(files, manifest, target.path, toHex(this.ticket.hash)));
    return {
      path: target.path,
      bytes: this.#manifest?.bytes ?? this.ticket.bytes,
      seconds: (clock.monotonicMs() - startedAtMs) / 1000,
      sources: this.#givers.size,
      hash: toHex(this.ticket.hash),
      by: { direct: this.#direct, relay: this.#relay },
    };
  }

  /** The whole file in memory. @throws PeerloomError as `saveTo` */
  async blob(): Promise<Blob> {
    const store = new MemoryStore();
    await this.#run(() => store);
    return store.blob();
  }

  /** The file's bytes in order, fetched as fast as they are read. */
  get readable(): ReadableStream<Uint8Array> {
    const store = new ReaderStore(
      () => this.#wakeAll(),
      () => this.cancel(),
    );
    // Also when it failed before there was anything to store.
    this.#run(() => store).catch((error: unknown) =>
      store.abandon(toPeerloomError(error, "aborted", "Given up.")),
    );
    return store.readable;
  }

  async #target(
    files: FileSystem,
    path: string,
    overwrite: boolean,
  ): Promise<{ readonly path: string; readonly isThere: boolean }> {
    if (!(await files.exists(path))) return { path, isThere: false };
    const { kind } = await files.stat(path);
    const isOwnName = files.baseName(path) === this.ticket.name;
    if (kind === "directory" && !isOwnName)
      return this.#target(files, files.join(path, this.ticket.name), overwrite);
    if (await this.#isSame(files, path)) return { path, isThere: true };
    if (overwrite) return { path, isThere: false };
    throw new PeerloomError(
      "files/exists",
      `${path} is there already, with other content. Choose another name with -o.`,
    );
  }

  /** Whether what is there is what the ticket names; the name counts too, since it is part of the manifest. */
  async #isSame(files: FileSystem, path: string): Promise<boolean> {
    const content = await pathContent(files, path);
    try {
      if (content.bytes !== this.ticket.bytes) return false;
      const renamed = { ...named(content, this.ticket.name) };
      const { hash } = await prepareShare(renamed, () => {}, this.#stop.signal);
      return equalBytes(hash, this.ticket.hash);
    } finally {
      await content.close();
    }
  }

  async #run(makeStore: (manifest: Manifest) => Store): Promise<void> {
    if (this.#begun)
      throw new PeerloomError("usage/invalid", "A download runs once; get the ticket again for another.");
    this.#begun = true;
    const { clock } = this.#host.runtime;
    let store: Store | undefined;
    this.#progressAtMs = clock.monotonicMs();
    const once = (manifest: Manifest): Store => (store ??= makeStore(manifest));
    const providers = this.ticket.providers.filter(({ id }) => id !== this.#host.id);
    if (providers.length === 0)
      throw new PeerloomError("files/no-source", "The ticket names nobody else who has it.");
    try {
      const sources = Promise.allSettled(providers.map((provider) => this.#keepAsking(provider, once)));
      await Promise.race([this.#complete.promise, sources]);
      if (this.#scheduler?.isComplete !== true) throw this.#failure(await sources);
      await store?.complete();
      this.#stop.abort(new PeerloomError("aborted", "The download is complete."));
      await sources;
    } catch (error) {
      const reason = toPeerloomError(error, "files/no-source", "The download failed.");
      this.#stop.abort(reason);
      this.#wakeAll();
      await store?.abandon(reason);
      throw reason;
    }
  }

  /** One provider, again and again, until everything is there, it lied, or nothing comes from anybody. */
  async #keepAsking(provider: TicketProvider, store: (manifest: Manifest) => Store): Promise<void> {
    const { clock, random } = this.#host.runtime;
    const signal = this.#stop.signal;
    for (let attempt = 0; ; attempt++) {
      const before = this.#storedBytes;
      try {
        await this.#ask(provider, store);
        return;
      } catch (error) {
        const reason = toPeerloomError(error, "files/no-source", "The source failed.");
        if (signal.aborted) throw toPeerloomError(signal.reason, "aborted", "The download was stopped.");
        if (this.#fatal !== undefined) throw this.#fatal;
        if (!isPassing(reason) || clock.monotonicMs() - this.#progressAtMs > PATIENCE_MS) throw reason;
        this.#host.runtime.log.debug("source lost", { code: reason.code, attempt });
      }
      if (this.#storedBytes > before) attempt = 0;
      await clock.sleep(random.unit() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** attempt) + 50, signal);
    }
  }

  async #ask(provider: TicketProvider, makeStore: (manifest: Manifest) => Store): Promise<void> {
    const source = await Source.open(this.#host, provider, this.#stop.signal);
    const stop = (): void => source.drop();
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    this.#active += 1;
    try {
      const manifest = await source.manifest(this.ticket.hash);
      this.#manifest ??= manifest;
      this.#layer ??= await source.layer(manifest);
      const store = makeStore(manifest);
      this.#opening ??= this.#resume(store, manifest, this.#layer);
      const scheduler = await this.#opening;
      if (!scheduler.isComplete) await this.#fetch(source, scheduler, store, manifest, this.#layer);
      this.#stop.signal.removeEventListener("abort", stop);
      await source.close();
    } finally {
      this.#active -= 1;
      this.#stop.signal.removeEventListener("abort", stop);
      source.drop();
    }
  }

  async #resume(store: Store, manifest: Manifest, layer: Uint8Array): Promise<Scheduler> {
    const scheduler = new Scheduler(chunkCount(manifest.bytes, manifest.chunkBytes), manifest.chunkBytes);
    try {
      await store.resume(layer, (index, bytes) => this.#stored(scheduler, index, bytes), this.#stop.signal);
    } catch (error) {
      this.#fatal = toPeerloomError(error, "files/unwritable", "The target cannot be used.");
      throw this.#fatal;
    }
    this.#scheduler = scheduler;
    if (scheduler.isComplete) this.#complete.resolve();
    return scheduler;
  }

  async #fetch(
    source: Source,
    scheduler: Scheduler,
    store: Store,
    manifest: Manifest,
    layer: Uint8Array,
  ): Promise<void> {
    const { clock } = this.#host.runtime;
    const state = scheduler.newSource();
    const storing = new Set<Promise<void>>();
    let failure: PeerloomError | undefined;
    try {
      while (!scheduler.isComplete) {
        if (failure !== undefined) throw failure;
        await this.#request(source, scheduler, state, store.below);
        if (state.pending.size === 0) {
          await this.#untilMore();
          continue;
        }
        const before = source.session.bytesReceived;
        const { index, prefixed } = await source.chunk();
        if (!state.pending.has(index)) throw corrupt(source.session, "a chunk that was not asked for, other");
        scheduler.delivered(state, index, prefixed.length - 1, clock.monotonicMs());
        this.#attribute(prefixed.length - 1, before, source.session.bytesReceived);
        const work = this.#verifyAndStore(source, scheduler, store, manifest, layer, index, prefixed)
          .catch((error: unknown) => {
            scheduler.retry(index);
            failure = toPeerloomError(error, "files/unwritable", "Storing failed.");
            this.#wakeAll();
          })
          .finally(() => storing.delete(work));
        storing.add(work);
        if (storing.size >= STORING_MAX) await Promise.race(storing);
      }
    } finally {
      scheduler.dropped(state);
      await Promise.all(storing);
      this.#wakeAll();
    }
    if (failure !== undefined && !scheduler.isComplete) throw failure;
  }

  async #request(source: Source, scheduler: Scheduler, state: SourceState, below: number): Promise<void> {
    for (
      let index = scheduler.take(state, below);
      index !== undefined;
      index = scheduler.take(state, below)
    ) {
      await source.request(index);
    }
  }

  async #verifyAndStore(
    source: Source,
    scheduler: Scheduler,
    store: Store,
    manifest: Manifest,
    layer: Uint8Array,
    index: number,
    prefixed: Uint8Array,
  ): Promise<void> {
    const bytes = Math.min(manifest.chunkBytes, manifest.bytes - index * manifest.chunkBytes);
    prefixed[0] = LEAF_PREFIX;
    const isRight =
      prefixed.length === 1 + bytes &&
      equalBytes(await leafHash(prefixed), layer.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES));
    if (!isRight) throw corrupt(source.session, "another chunk");
    if (scheduler.has(index)) return;
    try {
      await store.write(index, prefixed.subarray(1));
    } catch (error) {
      // Not the source's fault, and no other source would help.
      this.#fatal = toPeerloomError(error, "files/unwritable", "Writing failed.");
      throw this.#fatal;
    }
    this.#givers.add(source.session.peerId);
    this.#stored(scheduler, index, bytes);
  }

  #stored(scheduler: Scheduler, index: number, bytes: number): void {
    if (!scheduler.done(index)) return;
    this.#storedBytes += bytes;
    this.#progressAtMs = this.#host.runtime.clock.monotonicMs();
    const detail: DownloadProgress = {
      bytes: this.#storedBytes,
      total: this.#manifest?.bytes ?? this.ticket.bytes,
      sources: this.#active,
    };
    this.dispatchEvent(new CustomEvent("progress", { detail }));
    if (scheduler.isComplete) {
      this.#complete.resolve();
      this.#wakeAll();
    }
  }

  /** A chunk counts as its session's bytes came while it was waited for; the sum is the file's bytes exactly. */
  #attribute(bytes: number, before: BytesByPath, after: BytesByPath): void {
    const direct = after.direct - before.direct;
    const other = after.relay - before.relay + (after.overlay - before.overlay);
    if (direct + other > 0) this.#directShare = direct / (direct + other);
    const counted = Math.round(bytes * this.#directShare);
    this.#direct += counted;
    this.#relay += bytes - counted;
  }
  #directShare = 0;

  #failure(settled: readonly PromiseSettledResult<void>[]): PeerloomError {
    if (this.#fatal !== undefined) return this.#fatal;
    const reasons = settled.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    const first = reasons.find((reason) => reason instanceof PeerloomError);
    return first ?? new PeerloomError("files/no-source", "No provider gave everything.");
  }

  /** Until a chunk is given back, or the reader has read, or all is over. */
  #untilMore(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stop.signal.aborted) {
        resolve();
        return;
      }
      this.#more.add(resolve);
    });
  }

  #wakeAll(): void {
    const waiting = [...this.#more];
    this.#more.clear();
    for (const resolve of waiting) resolve();
  }
}

function named(content: Awaited<ReturnType<typeof pathContent>>, name: string): typeof content {
  return {
    kind: content.kind,
    name,
    entries: content.entries.map(({ path, bytes }) => ({ path, bytes })),
    bytes: content.bytes,
    read: (into, offset) => content.read(into, offset),
    close: () => content.close(),
  };
}

/** Whether asking the same source again may help. A liar is not asked again. */
function isPassing({ code }: PeerloomError): boolean {
  return ![
    "files/corrupt",
    "files/path-escape",
    "files/protocol",
    "files/changed",
    "wire/malformed",
  ].includes(code);
}
