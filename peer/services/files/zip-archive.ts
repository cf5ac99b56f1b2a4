/**
 * A folder as one file, for a page, which has no folders to save to: a ZIP archive (PKWARE APPNOTE 6.3, with ZIP64 where it is needed), not
 * compressed, written beside what was saved so that memory stays flat.
 */
import { makeZip } from "client-zip";
import type { OriginFile } from "../../runtime.ts";
import type { SavedEntry } from "./saved-files.ts";

/** Headers are short and many: written together. */
const PIECE_BYTES: number = 1024 * 1024;

/**
 * @param into empty; undefined: it is kept in memory
 * @throws PeerloomError `files/disk-full`, `files/unwritable`, `files/changed`; the signal's reason
 */
export async function writeArchive(
  files: readonly SavedEntry[],
  into: OriginFile | undefined,
  signal: AbortSignal,
): Promise<Blob> {
  const archive = makeZip(named(files, signal));
  if (into === undefined) return new Response(archive).blob();
  const reader = archive.getReader();
  let offset = 0;
  let gathered = new Uint8Array(PIECE_BYTES);
  let length = 0;
  const write = async (): Promise<void> => {
    const piece = gathered.subarray(0, length);
    const at = offset;
    offset += length;
    gathered = new Uint8Array(PIECE_BYTES);
    length = 0;
    await into.write(piece, at);
  };
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    for (let left = read.value; left.length > 0;) {
      signal.throwIfAborted();
      const taken = left.subarray(0, PIECE_BYTES - length);
      gathered.set(taken, length);
      length += taken.length;
      left = left.subarray(taken.length);
      if (length === PIECE_BYTES) await write();
    }
  }
  await write();
  return into.finish();
}

function* named(files: readonly SavedEntry[], signal: AbortSignal): Generator<{ input: File; name: string }> {
  for (const { path, file } of files) {
    signal.throwIfAborted();
    yield { input: file, name: path };
  }
}
