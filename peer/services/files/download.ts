/**
 * A download as an application sees it: where its bytes shall go, how far it is, how to stop it. The work is the transfer's.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { swarmAccess } from "./access.ts";
import { Holding } from "./holding.ts";
import { MemoryStore } from "./memory-store.ts";
import { ReaderStore } from "./reader-store.ts";
import type { MakeStore, Save, SavingDownload } from "./saving.ts";
import type { SavedEntry } from "./saved-files.ts";
import type { SelectOptions } from "./selection.ts";
import { type PreparedShare, prepareShare } from "./share.ts";
import type { Store } from "./store.ts";
import type { Ticket } from "./ticket.ts";
import { type Giver, type SwarmHost, Transfer } from "./transfer.ts";

export interface DownloadProgress {
  /** Verified and stored, what an earlier run left included. */
  readonly bytes: number;
  readonly total: number;
  /** Sources that take part now. */
  readonly sources: number;
}

export interface DownloadResult {
  /** In a page the name of the file or folder. */
  readonly path: string;
  /**
   * Only in a page, of a file: what was saved, on the disk in a file of the page's origin, or in memory where the browser gives it none. It can be read as long as the
   * page stands, or until `forget`; what a page leaves is there for its next visit, a week at most.
   */
  readonly file?: File;
  /** Only in a page, of a folder: the same for each of its files that was wanted, by its path in the folder. `files.share` takes them again. */
  readonly files?: readonly SavedEntry[];
  readonly bytes: number;
  readonly seconds: number;
  /** Sources that gave at least one chunk. */
  readonly sources: number;
  /** SHA-256 of the manifest, hex: what the ticket names. */
  readonly hash: string;
  /** Bytes fetched in this run, by how they came. What was forwarded by peers counts as relayed. */
  readonly by: { readonly direct: number; readonly relay: number };
  /** Bytes that came besides: chunks that came twice, or were wrong. */
  readonly discarded: number;
  /**
   * Only in a page, of a folder: all its files as one ZIP archive, to be handed to whoever uses the page. It is made at the first call, and takes as much room again.
   * @throws PeerloomError `files/disk-full`, `files/unwritable`, `files/changed`, `edge/unreachable` (what makes it could not be loaded), `aborted`
   */
  archive?(): Promise<File>;
  /** Only in a page: ends seeding, and frees the room that all this takes, unless another tab has it too. */
  forget?(): Promise<void>;
}

/** What downloads of one peer share. */
export interface DownloadHost extends SwarmHost {
  /** Where what is saved goes. */
  readonly save: Save;
}

export interface SaveOptions {
  /** Replace what is there under that name: a file by a file, and by a folder a folder that `path` names itself. @default false */
  readonly overwrite?: boolean;
}

export interface DownloadOptions extends SelectOptions {
  readonly signal?: AbortSignal;
  /** Goes on serving after the end, until `cancel`. While it runs, a download serves what it has in any case. @default false */
  readonly seed?: boolean;
}

/**
 * Begins when asked where to put it: `saveTo`, `blob` or `readable`, one of them, once.
 * Event: `progress` (CustomEvent<DownloadProgress>).
 */
export class Download extends EventTarget {
  readonly ticket: Ticket;
  readonly #swarm: DownloadHost;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  #transfer: Transfer | undefined;

  constructor(swarm: DownloadHost, ticket: Ticket, options: DownloadOptions = {}) {
    super();
    this.#swarm = swarm;
    this.#options = options;
    this.ticket = ticket;
    const { signal } = options;
    if (signal?.aborted) this.cancel();
    signal?.addEventListener("abort", () => this.cancel(), { once: true });
  }

  /** Who gave a right chunk in this run so far, and how it came. */
  get givers(): readonly Giver[] {
    return [...(this.#transfer?.givers.values() ?? [])];
  }

  /** Gives up, or ends seeding. What is on disk stays, and another download goes on from there. */
  cancel(): void {
    this.#stop.abort(
      new PeerloomError("aborted", "The download was stopped. Run it again to go on where it stopped."),
    );
  }

  /**
   * Saves to a file or folder. Without a path it gets its own name in the working folder. A page names no path, and finds what was saved in the result's `file` or `files`.
   * @throws PeerloomError `files/exists`, `files/locked`, `files/unwritable`, `files/disk-full`, `files/no-source`, `files/not-found`,
   *   `files/corrupt`, `files/path-escape`, `aborted`, `usage/invalid`
   */
  async saveTo(path?: string, options: SaveOptions = {}): Promise<DownloadResult> {
    const { host, save } = this.#swarm;
    const { clock } = host.runtime;
    if (this.#options.range !== undefined)
      throw new PeerloomError("usage/invalid", "A range is read with readable or blob(), not saved.");
    const startedAtMs = clock.monotonicMs();
    const saving: SavingDownload = {
      ticket: this.ticket,
      prepare: (content) => prepareShare(host.runtime.hash, content, () => {}, this.#stop.signal),
      isPart: this.#options.select !== undefined,
      run: (makeStore) => this.#run(makeStore),
      keep: (prepared) => this.#keep(prepared),
      cancel: () => this.cancel(),
    };
    const { transfer, ...saved } = await save(host.runtime, saving, {
      path,
      overwrite: options.overwrite ?? false,
    });
    return {
      ...saved,
      bytes: transfer?.totalBytes ?? this.ticket.bytes,
      seconds: (clock.monotonicMs() - startedAtMs) / 1000,
      sources: transfer?.givers.size ?? 0,
      hash: toHex(this.ticket.hash),
      by: transfer === undefined ? { direct: 0, relay: 0 } : transfer.by,
      discarded: transfer?.discardedBytes ?? 0,
    };
  }

  /** The whole file, or the chosen part of it, in memory. @throws PeerloomError as `saveTo` */
  async blob(): Promise<Blob> {
    const [, store] = await this.#run((...what) => new MemoryStore(...what));
    return store.blob();
  }

  /** The file's bytes in order, or those of the chosen part, fetched as fast as they are read. */
  get readable(): ReadableStream<Uint8Array> {
    const store = new ReaderStore({
      onRead: () => this.#transfer?.moreIsWanted(),
      onForgot: (index) => this.#transfer?.forgot(index),
      onCancel: () => this.cancel(),
    });
    const transfer = this.#begin((manifest, selection) => {
      store.begin(manifest, selection);
      return store;
    });
    // A failure reaches the reader through the store.
    this.#finish(transfer).catch((error: unknown) => store.fail(error));
    return store.readable;
  }

  async #run<Made extends Store>(makeStore: MakeStore<Made>): Promise<readonly [Transfer, Made]> {
    const made = Promise.withResolvers<Made>();
    const transfer = this.#begin((...what) => {
      const store = makeStore(...what);
      made.resolve(store);
      return store;
    });
    await this.#finish(transfer);
    return [transfer, await made.promise];
  }

  #begin(makeStore: MakeStore<Store>): Transfer {
    if (this.#transfer !== undefined)
      throw new PeerloomError("usage/invalid", "A download runs once; get the ticket again for another.");
    const { range, select } = this.#options;
    const transfer: Transfer = new Transfer(this.#swarm, {
      ticket: this.ticket,
      stop: this.#stop,
      makeStore,
      onProgress: () => {
        const detail: DownloadProgress = {
          bytes: transfer.storedBytes,
          total: transfer.totalBytes ?? this.ticket.bytes,
          sources: transfer.sources,
        };
        this.dispatchEvent(new CustomEvent("progress", { detail }));
      },
      ...(range === undefined ? {} : { range }),
      ...(select === undefined ? {} : { select }),
    });
    this.#transfer = transfer;
    return transfer;
  }

  async #finish(transfer: Transfer): Promise<void> {
    const run = transfer.run();
    const over = this.#swarm.running(async () => {
      this.cancel();
      await run.catch(() => {});
      await transfer.endServing();
    });
    try {
      await run;
    } catch (error) {
      over();
      throw error;
    }
    if (this.#options.seed === true) transfer.seed();
    await this.#untilSeeded(async () => {
      await transfer.endServing();
      over();
    });
  }

  /** Ends now, or when the download is cancelled, if it shall seed until then. */
  async #untilSeeded(end: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    if (this.#options.seed !== true || signal.aborted) await end();
    else {
      const { log } = this.#swarm.host.runtime;
      const ended = (): void => {
        end().catch((error: unknown) => log.debug("seeding not ended", { error: String(error) }));
      };
      signal.addEventListener("abort", ended, { once: true });
    }
  }

  /** It is there already: nothing is to be fetched, but it can be given. */
  async #keep(prepared: PreparedShare): Promise<void> {
    if (this.#options.seed !== true) {
      await prepared.content.close();
      return;
    }
    const { host, serve, running } = this.#swarm;
    const holding = Holding.ofShare(prepared, await swarmAccess(host, prepared.hash));
    const stopServing = serve(holding);
    const over = running(async () => {
      this.cancel();
      await prepared.content.close();
    });
    await this.#untilSeeded(async () => {
      stopServing();
      over();
      holding.end();
      await prepared.content.close();
    });
  }
}
