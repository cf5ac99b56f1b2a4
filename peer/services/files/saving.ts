/** Where a host puts what it fetches: Node and Deno on the disk, pages into a file of their origin. Types only. */
import type { FileSystem, Runtime } from "../../runtime.ts";
import type { Content } from "./content.ts";
import type { Manifest } from "./manifest.ts";
import type { SavedEntry } from "./saved-files.ts";
import type { Selection } from "./selection.ts";
import type { PreparedShare } from "./share.ts";
import type { Store } from "./store.ts";
import type { Ticket } from "./ticket.ts";
import type { Transfer } from "./transfer.ts";

export type MakeStore<Made extends Store> = (manifest: Manifest, selection: Selection) => Made;

/** A download as its saving sees it. */
export interface SavingDownload {
  readonly ticket: Ticket;
  /** Not all of a folder is wanted. */
  readonly isPart: boolean;
  /** Hashes what is there already. @throws PeerloomError as `prepareShare`; `aborted` */
  prepare(content: Content): Promise<PreparedShare>;
  /** Until everything is in the store, and complete. @throws PeerloomError why it is not */
  run<Made extends Store>(makeStore: MakeStore<Made>): Promise<readonly [Transfer, Made]>;
  /** It is there already: nothing is to be fetched, but it can be given. */
  keep(prepared: PreparedShare): Promise<void>;
  /** Ends seeding. */
  cancel(): void;
}

export interface SavePlace {
  readonly path: string | undefined;
  readonly overwrite: boolean;
}

/** What was saved, where a page finds it: a file, or the files of a folder. */
export interface SavedInPage {
  readonly file?: File;
  readonly files?: readonly SavedEntry[];
  archive?(): Promise<File>;
  forget(): Promise<void>;
}

export interface Saved extends Partial<SavedInPage> {
  readonly path: string;
  /** Undefined: it was there. */
  readonly transfer: Transfer | undefined;
}

/** @throws PeerloomError as `Download.saveTo` */
export type Save = (runtime: Runtime, download: SavingDownload, place: SavePlace) => Promise<Saved>;

/** What only a host with files of the machine's needs; a page does not load it. */
export interface Disk {
  readonly save: Save;
  /** What lies at a path. @throws PeerloomError as `pathContent` */
  content(files: FileSystem, path: string): Promise<Content>;
}
