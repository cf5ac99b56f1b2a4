/**
 * Files and folders between peers: `share` makes a ticket and serves, `get` takes a ticket and fetches. Whoever fetches serves what it
 * has; all who have some of one share are its swarm.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { equalBytes } from "../../../shared/bytes.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import { swarmAccess } from "./access.ts";
import { blobContent, type Content, folderContent, type FolderFile, renamed } from "./content.ts";
import { type ProviderRecords, sayProvider } from "./discovery.ts";
import { Download, type DownloadHost, type DownloadOptions } from "./download.ts";
import { Getters } from "./getters.ts";
import { Holding } from "./holding.ts";
import { checkLimits, type TransferLimits } from "./limits.ts";
import { saveInOrigin } from "./origin-saving.ts";
import { FILES_PROTOCOL } from "./protocol.ts";
import type { Disk } from "./saving.ts";
import { serveStream } from "./serve.ts";
import { type PreparedShare, prepareShare, type ShareProgress } from "./share.ts";
import { formatTicket, type Ticket, ticketOf } from "./ticket.ts";
import { TokenBucket } from "./token-bucket.ts";
import { Uplink } from "./uplink.ts";

export interface ShareOptions {
  /** Hashing goes on. */
  readonly onProgress?: (progress: ShareProgress) => void;
  readonly signal?: AbortSignal;
  /** Of a Blob that has none, or of a folder of Blobs. @default "file" or "folder" */
  readonly name?: string;
  /** Others of the network find it by the words of its name; else only who is given the ticket has it. @default true */
  readonly listed?: boolean;
  /** Joins those who share it already: the content must be what this ticket names, under whatever name it lies here. */
  readonly ticket?: string;
}

export interface Share {
  /** Text that lets others fetch it. */
  readonly ticket: string;
  /** SHA-256 of the manifest, hex. */
  readonly hash: string;
  readonly bytes: number;
  readonly name: string;
  /** Serves no longer. */
  close(): Promise<void>;
}

interface SharedEntry {
  readonly share: Share;
  readonly content: Content;
  readonly listed: boolean;
}

/** A share that others may find. */
export interface ListedShare {
  readonly share: Share;
  /** Of a folder's files. */
  paths(): readonly string[];
}

export interface FilesOptions {
  /** Named in tickets. */
  readonly edge: string | undefined;
  readonly records: ProviderRecords;
  readonly limits: TransferLimits;
  /** Left out in a page. */
  readonly disk?: Disk;
}

export class Files {
  readonly #host: ServiceHost;
  readonly #records: ProviderRecords;
  readonly #edge: string | undefined;
  readonly #disk: Disk | undefined;
  readonly #shares = new Set<SharedEntry>();
  /** By swarm; who has all of it comes last and is asked first. */
  readonly #holdings = new Map<string, Holding[]>();
  readonly #running = new Set<() => Promise<void>>();
  readonly #getters = new Getters();
  readonly #uplink: Uplink;
  readonly #downlink: TokenBucket;
  readonly #swarm: DownloadHost;
  readonly #closing = new AbortController();
  readonly #stopServing: () => void;
  /** What `listed` answers has changed. */
  onListed: () => void = () => {};

  constructor(host: ServiceHost, { edge, records, limits, disk }: FilesOptions) {
    this.#host = host;
    this.#records = records;
    this.#edge = edge;
    this.#disk = disk;
    this.#uplink = new Uplink(host.runtime.clock);
    this.#downlink = new TokenBucket(host.runtime.clock);
    this.limit(limits);
    this.#swarm = {
      host,
      records,
      downlink: this.#downlink,
      save: disk?.save ?? saveInOrigin,
      serve: (holding) => this.#serve(holding),
      running: (close) => {
        this.#running.add(close);
        return () => this.#running.delete(close);
      },
    };
    this.#stopServing = host.handle(FILES_PROTOCOL, (stream, session) => this.#answer(stream, session));
  }

  /**
   * Shares a file, a folder or a Blob until closed; Blobs with paths are a folder. Reads everything once, to hash it.
   * @throws PeerloomError `files/not-found`, `files/different`, `files/ticket-invalid`, `files/path-escape`, `usage/invalid`, `files/changed`, `aborted`
   * @example
   * const photos = [{ path: "2026/sea.jpg", file: blob }];
   * const { ticket } = await peer.files.share(photos, { name: "photos" });
   */
  async share(what: string | Blob | readonly FolderFile[], options: ShareOptions = {}): Promise<Share> {
    const { onProgress = () => {}, signal = new AbortController().signal } = options;
    const joined = options.ticket === undefined ? undefined : ticketOf(this.#host.network, options.ticket);
    const content = await this.#content(what, joined?.name ?? options.name);
    let prepared: PreparedShare;
    try {
      prepared = await prepareShare(this.#host.runtime.hash, content, onProgress, signal);
      if (joined !== undefined && !equalBytes(prepared.hash, joined.hash)) throw different(content.name);
    } catch (error) {
      await content.close();
      throw toPeerloomError(error, "aborted", "Sharing was given up.");
    }
    return this.#offer(prepared, joined, options.listed ?? true);
  }

  /**
   * A download of what a ticket names; it begins when it is told where to.
   * @throws PeerloomError `files/ticket-invalid`
   */
  get(ticket: string, options: DownloadOptions = {}): Download {
    return new Download(this.#swarm, ticketOf(this.#host.network, ticket), options);
  }

  /**
   * Sets how fast this peer gives and takes files, from now on. @throws PeerloomError `usage/invalid`
   * @example
   * peer.files.limit({ upload: 1_000_000 });
   */
  limit(limits: TransferLimits): void {
    checkLimits(limits);
    this.#uplink.limit(limits.upload);
    this.#downlink.limit(limits.download);
  }

  shares(): readonly Share[] {
    return this.#entries().map(({ share }) => share);
  }

  /** Shares that others may find, the latest last. */
  listed(): readonly ListedShare[] {
    return this.#entries()
      .filter(({ listed }) => listed)
      .map(({ share, content }) => ({ share, paths: () => content.entries.map(({ path }) => path) }));
  }

  async close(): Promise<void> {
    this.#stopServing();
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    await Promise.all([...this.#running].map((close) => close()));
    await Promise.all([...this.#shares].map(({ share }) => share.close()));
    for (const holdings of this.#holdings.values()) for (const holding of holdings) holding.end();
    this.#uplink.close();
  }

  // --- sharing ---

  async #content(what: string | Blob | readonly FolderFile[], name: string | undefined): Promise<Content> {
    if (what instanceof Array) return folderContent(what, name ?? "folder");
    if (typeof what !== "string")
      return blobContent(what, name ?? (what instanceof File ? what.name : "file"));
    const { files } = this.#host.runtime;
    if (files === undefined || this.#disk === undefined)
      throw new PeerloomError("usage/invalid", "This host has no files: share a File or a Blob.");
    const content = await this.#disk.content(files, what);
    return name === undefined ? content : renamed(content, name);
  }

  /** Of what is shared twice the latest. */
  #entries(): SharedEntry[] {
    return [...new Map([...this.#shares].map((entry) => [entry.share.hash, entry])).values()];
  }

  async #offer(prepared: PreparedShare, joined: Ticket | undefined, listed: boolean): Promise<Share> {
    const { content, hash, hashText } = prepared;
    const own = { id: this.#host.id, addresses: this.#host.addresses() };
    const others = joined?.providers.filter(({ id }) => id !== own.id) ?? [];
    const holding = Holding.ofShare(prepared, await swarmAccess(this.#host, hash));
    for (const other of others) holding.members.add(other);
    const stopServing = this.#serve(holding);
    const saying = new AbortController();
    const signal = AbortSignal.any([saying.signal, this.#closing.signal]);
    void sayProvider(this.#host.runtime, this.#records, holding.access.keyText, signal);
    const share: Share = {
      ticket: formatTicket({
        hash,
        network: this.#host.network,
        name: content.name,
        bytes: content.bytes,
        providers: [own, ...others],
        edge: this.#edge,
      }),
      hash: hashText,
      bytes: content.bytes,
      name: content.name,
      close: async () => {
        saying.abort();
        this.#shares.delete(entry);
        this.onListed();
        stopServing();
        holding.end();
        await content.close();
      },
    };
    const entry = { share, content, listed };
    this.#shares.add(entry);
    this.onListed();
    return share;
  }

  // --- serving ---

  #serve(holding: Holding): () => void {
    const { keyText } = holding.access;
    const holdings = this.#holdings.get(keyText) ?? [];
    this.#holdings.set(keyText, holdings);
    if (holding.bits.isFull) holdings.push(holding);
    else holdings.unshift(holding);
    return () => {
      const place = holdings.indexOf(holding);
      if (place >= 0) holdings.splice(place, 1);
      if (holdings.length === 0 && this.#holdings.get(keyText) === holdings) this.#holdings.delete(keyText);
    };
  }

  async #answer(stream: Stream, session: Session): Promise<void> {
    const { log } = this.#host.runtime;
    try {
      const find = (keyText: string): Holding | undefined => this.#holdings.get(keyText)?.at(-1);
      await serveStream(stream, session, {
        host: this.#host,
        uplink: this.#uplink,
        getters: this.#getters,
        find,
      });
    } catch (error) {
      const { code } = toPeerloomError(error, "stream/reset", "Serving ended.");
      log.debug("serving ended", { code });
    }
  }
}

function different(name: string): PeerloomError {
  return new PeerloomError(
    "files/different",
    `This is not what the ticket names as ${JSON.stringify(name)}: its content differs. Share it without the ticket.`,
  );
}
