/** The archive of a folder that a page has saved: made when somebody wants it, once, in a file of the page's origin of its own. */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { OriginFile, Runtime } from "../../runtime.ts";
import type { SavedEntry } from "./saved-files.ts";

/** Of its file's name, so that pages that make one of the same folder do not meet. */
const NONCE_BYTES = 8;

export interface ArchivedFolder {
  readonly name: string;
  readonly hash: Uint8Array;
  readonly files: readonly SavedEntry[];
}

export class FolderArchive {
  readonly #runtime: Pick<Runtime, "originFiles" | "random">;
  readonly #folder: ArchivedFolder;
  readonly #stop = new AbortController();
  #file: OriginFile | undefined;
  #making: Promise<File> | undefined;

  constructor(runtime: Pick<Runtime, "originFiles" | "random">, folder: ArchivedFolder) {
    this.#runtime = runtime;
    this.#folder = folder;
  }

  /** A failure is forgotten, so that the next call tries again. @throws PeerloomError as `DownloadResult.archive` */
  file(): Promise<File> {
    this.#making ??= this.#make().catch((error: unknown) => {
      this.#making = undefined;
      throw toPeerloomError(error, "files/unwritable", "The archive could not be written.");
    });
    return this.#making;
  }

  /** It is made no further, and goes. */
  async remove(): Promise<void> {
    this.#stop.abort(new PeerloomError("aborted", "What it is made of is not wanted any more."));
    await this.#making?.catch(() => {});
    await this.#file?.remove();
  }

  async #make(): Promise<File> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const { writeArchive } = await import("./zip-archive.ts").catch((cause: unknown) => {
      throw new PeerloomError(
        "edge/unreachable",
        "What makes archives could not be loaded: the edge of this page does not answer.",
        { cause },
      );
    });
    const { originFiles, random } = this.#runtime;
    const { name, hash, files } = this.#folder;
    const file = await originFiles?.open(`${toHex(hash)}zip${toHex(random.bytes(NONCE_BYTES))}`);
    try {
      const archive = await writeArchive(files, file, signal);
      this.#file = file;
      return new File([archive], `${name}.zip`, { type: "application/zip" });
    } catch (error) {
      await file?.remove();
      throw error;
    }
  }
}
