/** What a page has saved, file by file. */
import type { FolderFile } from "./content.ts";
import type { Manifest } from "./manifest.ts";
import type { Selection } from "./selection.ts";

/** `file` is made when it is asked for: a folder may have 100,000. */
export interface SavedEntry extends FolderFile {
  readonly bytes: number;
  readonly file: File;
}

/** @param content the files that were wanted, one behind the other */
export function savedFiles(manifest: Manifest, selection: Selection, content: Blob): readonly SavedEntry[] {
  let at = 0;
  return manifest.entries.flatMap(({ path, bytes }, index) => {
    if (!selection.hasEntry(index)) return [];
    const start = at;
    const end = start + bytes;
    at = end;
    return [
      {
        path,
        bytes,
        get file() {
          return new File([content.slice(start, end)], path.slice(path.lastIndexOf("/") + 1));
        },
      },
    ];
  });
}
