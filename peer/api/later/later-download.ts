/** A download whose code is still on its way: it says what it is of, and begins when it is told where to and the code is here. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { DownloadOptions, DownloadResult, SaveOptions } from "../../services/files/download.ts";
import type { Giver } from "../../services/files/transfer.ts";
import type { Ticket } from "../../services/files/ticket.ts";
import type { Download } from "../parts.ts";

export class LaterDownload extends EventTarget implements Download {
  readonly ticket: Ticket;
  readonly #get: (options: DownloadOptions) => Promise<Download>;
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  #hasBegun = false;
  #download: Download | undefined;

  constructor(
    ticket: Ticket,
    options: DownloadOptions,
    get: (options: DownloadOptions) => Promise<Download>,
  ) {
    super();
    this.ticket = ticket;
    this.#options = options;
    this.#get = get;
  }

  get givers(): readonly Giver[] {
    return this.#download?.givers ?? [];
  }

  cancel(): void {
    this.#stop.abort();
  }

  async saveTo(path?: string, options?: SaveOptions): Promise<DownloadResult> {
    return (await this.#begin()).saveTo(path, options);
  }

  async blob(): Promise<Blob> {
    return (await this.#begin()).blob();
  }

  get readable(): ReadableStream<Uint8Array> {
    const reader = this.#begin().then((download) => download.readable.getReader());
    reader.catch(() => {}); // Whoever reads is told.
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await (await reader).read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: async (reason) => {
          this.cancel();
          await (await reader).cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  async #begin(): Promise<Download> {
    if (this.#hasBegun)
      throw new PeerloomError("usage/invalid", "A download runs once; get the ticket again for another.");
    this.#hasBegun = true;
    const { signal: given } = this.#options;
    const { signal: own } = this.#stop;
    const signal = given === undefined ? own : AbortSignal.any([given, own]);
    const download = await this.#get({ ...this.#options, signal });
    this.#download = download;
    download.addEventListener("progress", (event) => {
      this.dispatchEvent(new CustomEvent("progress", { detail: (event as CustomEvent<unknown>).detail }));
    });
    return download;
  }
}
