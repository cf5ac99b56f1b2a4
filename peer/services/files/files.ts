/**
 * Files and folders between peers: `share` makes a ticket and serves, `get` takes a ticket and fetches.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { ServiceHost } from "../host.ts";
import { blobContent, pathContent } from "./content.ts";
import { Download } from "./download.ts";
import { FILES_PROTOCOL } from "./protocol.ts";
import { serveStream } from "./serve.ts";
import { type PreparedShare, prepareShare, type ShareProgress } from "./share.ts";
import { formatTicket, parseTicket } from "./ticket.ts";

export interface ShareOptions {
  /** Hashing goes on. */
  readonly onProgress?: (progress: ShareProgress) => void;
  readonly signal?: AbortSignal;
  /** Of a Blob that has none. @default "file" */
  readonly name?: string;
  /** Others of the network find it by the words of its name; else only who is given the ticket has it. @default true */
  readonly listed?: boolean;
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
  readonly prepared: PreparedShare;
  readonly listed: boolean;
}

/** A share that others may find. */
export interface ListedShare {
  readonly share: Share;
  /** Of a folder's files. */
  paths(): readonly string[];
}

export class Files {
  readonly #host: ServiceHost;
  readonly #shares = new Map<string, SharedEntry>();
  readonly #downloads = new Set<WeakRef<Download>>();
  readonly #stopServing: () => void;
  readonly #edge: string | undefined;
  /** What `listed` answers has changed. */
  onListed: () => void = () => {};

  /** @param edge named in tickets */
  constructor(host: ServiceHost, edge: string | undefined) {
    this.#host = host;
    this.#edge = edge;
    this.#stopServing = host.handle(FILES_PROTOCOL, async (stream) => {
      try {
        await serveStream(stream, (hash) => this.#shares.get(hash)?.prepared);
      } catch (error) {
        const { code } = toPeerloomError(error, "stream/reset", "Serving ended.");
        host.runtime.log.debug("serving ended", { code });
      }
    });
  }

  /**
   * Shares a file, a folder or a Blob until closed. Reads everything once, to hash it.
   * @throws PeerloomError `files/not-found`, `usage/invalid`, `files/changed`, `aborted`
   */
  async share(what: string | Blob, options: ShareOptions = {}): Promise<Share> {
    const { onProgress = () => {}, signal = new AbortController().signal, name, listed = true } = options;
    const { files } = this.#host.runtime;
    if (typeof what === "string" && files === undefined) {
      throw new PeerloomError("usage/invalid", "This host has no files: share a File or a Blob.");
    }
    const content =
      typeof what === "string" && files !== undefined
        ? await pathContent(files, what)
        : blobContent(what as Blob, name ?? (what instanceof File ? what.name : "file"));
    let prepared: PreparedShare;
    try {
      prepared = await prepareShare(content, onProgress, signal);
    } catch (error) {
      await content.close();
      throw toPeerloomError(error, "aborted", "Sharing was given up.");
    }
    const ticket = formatTicket({
      hash: prepared.hash,
      network: this.#host.network,
      name: content.name,
      bytes: content.bytes,
      providers: [{ id: this.#host.id, addresses: this.#host.addresses() }],
      edge: this.#edge,
    });
    const hash = prepared.hashText;
    const share: Share = {
      ticket,
      hash,
      bytes: content.bytes,
      name: content.name,
      close: async () => {
        if (this.#shares.get(hash)?.prepared === prepared) this.#shares.delete(hash);
        this.onListed();
        await content.close();
      },
    };
    this.#shares.set(hash, { share, prepared, listed });
    this.onListed();
    return share;
  }

  /**
   * A download of what a ticket names; it begins when it is told where to.
   * @throws PeerloomError `files/ticket-invalid`
   */
  get(ticket: string, options: { readonly signal?: AbortSignal } = {}): Download {
    const parsed = parseTicket(ticket);
    if (parsed.network !== this.#host.network) {
      throw new PeerloomError(
        "files/ticket-invalid",
        `The ticket is of network "${parsed.network}", this peer is in "${this.#host.network}". Open a peer in that one.`,
      );
    }
    const download = new Download(this.#host, parsed, options.signal);
    this.#downloads.add(new WeakRef(download));
    return download;
  }

  shares(): readonly Share[] {
    return [...this.#shares.values()].map(({ share }) => share);
  }

  /** Shares that others may find, the latest last. */
  listed(): readonly ListedShare[] {
    return [...this.#shares.values()]
      .filter(({ listed }) => listed)
      .map(({ share, prepared }) => ({
        share,
        paths: () => prepared.content.entries.map(({ path }) => path),
      }));
  }

  async close(): Promise<void> {
    this.#stopServing();
    for (const download of this.#downloads) download.deref()?.cancel();
    this.#downloads.clear();
    await Promise.all(this.shares().map((share) => share.close()));
  }
}
