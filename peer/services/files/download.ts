/**
 * A download as an application sees it: where its bytes shall go, how far it is, how to stop it. The work is the transfer's.
 */
import { equalBytes, toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { FileSystem } from "../../runtime.ts";
import { swarmAccess } from "./access.ts";
import { pathContent, renamed } from "./content.ts";
import { Holding } from "./holding.ts";
import type { Manifest } from "./manifest.ts";
import { MemoryStore } from "./memory-store.ts";
import { PartStore } from "./part-store.ts";
import { PlacedStore } from "./placed-store.ts";
import { ReaderStore } from "./reader-store.ts";
import type { Selection, SelectOptions } from "./selection.ts";
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
  readonly path: string;
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

type MakeStore = (manifest: Manifest, selection: Selection) => Store;

interface Target {
  readonly path: string;
  readonly overwrite: boolean;
  /** What stands there, if it is what the ticket names. */
  readonly there: PreparedShare | undefined;
  /** What was chosen of a folder may stand there. */
  readonly isPlaced: boolean;
}

/**
 * Begins when asked where to put it: `saveTo`, `blob` or `readable`, one of them, once.
 * Event: `progress` (CustomEvent<DownloadProgress>).
 */
export class Download extends EventTarget {
  readonly ticket: Ticket;
  readonly #swarm: SwarmHost;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  #transfer: Transfer | undefined;

  constructor(swarm: SwarmHost, ticket: Ticket, options: DownloadOptions = {}) {
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
   * Saves to a file or folder. Without a path it gets its own name in the working folder.
   * @throws PeerloomError `files/exists`, `files/locked`, `files/unwritable`, `files/disk-full`, `files/no-source`, `files/not-found`,
   *   `files/corrupt`, `files/path-escape`, `aborted`, `usage/invalid`
   */
  async saveTo(path?: string, options: SaveOptions = {}): Promise<DownloadResult> {
    const { files, clock } = this.#swarm.host.runtime;
    if (files === undefined)
      throw new PeerloomError("usage/invalid", "This host has no files: use blob() or readable.");
    if (this.#options.range !== undefined)
      throw new PeerloomError("usage/invalid", "A range is read with readable or blob(), not saved.");
    const startedAtMs = clock.monotonicMs();
    const hash = toHex(this.ticket.hash);
    const target = await this.#target(files, path, options.overwrite ?? false);
    const { overwrite } = target;
    let transfer: Transfer | undefined;
    if (target.there === undefined) {
      transfer = await this.#run((manifest, selection) =>
        target.isPlaced
          ? new PlacedStore({ files, manifest, selection, target: target.path })
          : new PartStore({ files, manifest, selection, target: target.path, hashText: hash, overwrite }),
      );
    } else await this.#keep(target.there);
    return {
      path: target.path,
      bytes: transfer?.totalBytes ?? this.ticket.bytes,
      seconds: (clock.monotonicMs() - startedAtMs) / 1000,
      sources: transfer?.givers.size ?? 0,
      hash,
      by: transfer === undefined ? { direct: 0, relay: 0 } : { ...transfer.by },
      discarded: transfer?.discardedBytes ?? 0,
    };
  }

  /** The whole file, or the chosen part of it, in memory. @throws PeerloomError as `saveTo` */
  async blob(): Promise<Blob> {
    const made: MemoryStore[] = [];
    await this.#run((manifest, selection) => {
      const store = new MemoryStore(manifest, selection);
      made.push(store);
      return store;
    });
    return made[0]?.blob() ?? new Blob();
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

  async #run(makeStore: MakeStore): Promise<Transfer> {
    const transfer = this.#begin(makeStore);
    await this.#finish(transfer);
    return transfer;
  }

  #begin(makeStore: MakeStore): Transfer {
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

  async #target(files: FileSystem, asked: string | undefined, overwrite: boolean): Promise<Target> {
    const { name } = this.ticket;
    let path = asked ?? name;
    let kind = await kindOf(files, path);
    const isInside = kind === "directory" && files.baseName(path) !== name;
    if (isInside) {
      path = files.join(path, name);
      kind = await kindOf(files, path);
    }
    if (kind === undefined) {
      await requireFolder(files, files.folderOf(path));
      return { path, overwrite, there: undefined, isPlaced: false };
    }
    const there = await this.#same(files, path);
    if (there !== undefined) return { path, overwrite, there, isPlaced: false };
    // The ticket's name is a stranger's choice, and a folder is much to lose.
    const isOwnChoice = asked !== undefined && !isInside;
    if (overwrite && (isOwnChoice || kind !== "directory"))
      return { path, overwrite, there: undefined, isPlaced: false };
    if (!overwrite && kind === "directory" && this.#options.select !== undefined)
      return { path, overwrite, there: undefined, isPlaced: true };
    throw new PeerloomError(
      "files/exists",
      overwrite
        ? `${path} is a folder with other content. To replace it, name it with -o.`
        : `${path} is there already, with other content. Choose another name with -o.`,
    );
  }

  /** What is there, if it is what the ticket names; the name counts too, since it is part of the manifest. */
  async #same(files: FileSystem, path: string): Promise<PreparedShare | undefined> {
    const content = await pathContent(files, path);
    if (content.bytes === this.ticket.bytes) {
      const prepared = await prepareShare(renamed(content, this.ticket.name), () => {}, this.#stop.signal);
      if (equalBytes(prepared.hash, this.ticket.hash)) return prepared;
    }
    await content.close();
    return undefined;
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

async function kindOf(files: FileSystem, path: string): Promise<"file" | "directory" | "other" | undefined> {
  return (await files.exists(path)) ? (await files.stat(path)).kind : undefined;
}

async function requireFolder(files: FileSystem, path: string): Promise<void> {
  if (await files.exists(path)) return;
  throw new PeerloomError(
    "files/not-found",
    `The folder ${path} is not there. Make it first, or choose another place with -o.`,
  );
}
