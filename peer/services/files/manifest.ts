/**
 * The manifest of a share: what there is, under which names, how large, and the root of the tree that proves every byte.
 * A ticket names the hash of the manifest, so the manifest proves itself and the root in it proves the rest.
 */
import { decode, encode, FieldReader } from "../../../shared/codec.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { checkName, checkPaths } from "./names.ts";
import { CHUNK_BYTES_MIN, CHUNKS_MAX, chunkCount, CONTENT_BYTES_MAX, HASH_BYTES } from "./chunks.ts";

/** Files of one shared folder. */
export const ENTRIES_MAX = 100_000;
/** A manifest as bytes: 100,000 files with names of 100 bytes and more. */
export const MANIFEST_BYTES_MAX: number = 16 * 1024 * 1024;
const PATH_CHARACTERS_MAX = 4096;
const MANIFEST_VERSION = 1;

export interface ManifestEntry {
  /** Segments joined by "/", below the share's name. */
  readonly path: string;
  readonly bytes: number;
}

export interface Manifest {
  readonly kind: "file" | "folder";
  /** Of the file or of the folder. */
  readonly name: string;
  /** In the order in which their bytes make up the content. For a file: itself, with an empty path. */
  readonly entries: readonly ManifestEntry[];
  readonly bytes: number;
  readonly chunkBytes: number;
  /** Root over the hashes of the chunks. */
  readonly root: Uint8Array;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { kind, name, entries, chunkBytes, root } = manifest;
  const bytes = encode([
    MANIFEST_VERSION,
    kind === "folder",
    name,
    chunkBytes,
    root,
    entries.map((entry) => [entry.path, entry.bytes]),
  ]);
  if (bytes.length > MANIFEST_BYTES_MAX) {
    throw new PeerloomError(
      "usage/invalid",
      `The folder has too many or too long names: its manifest is over ${MANIFEST_BYTES_MAX} bytes.`,
    );
  }
  return bytes;
}

/** @throws PeerloomError `wire/malformed`, `files/path-escape` */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const limits = {
    bytesMax: MANIFEST_BYTES_MAX,
    depthMax: 3,
    itemsMax: 3 * ENTRIES_MAX + 16,
    textBytesMax: PATH_CHARACTERS_MAX * 3,
  };
  const fields = new FieldReader(decode(bytes, limits), "manifest");
  fields.integer(MANIFEST_VERSION, MANIFEST_VERSION);
  const kind = fields.boolean() ? "folder" : "file";
  const name = fields.text(PATH_CHARACTERS_MAX);
  const chunkBytes = fields.integer(CHUNK_BYTES_MIN, CONTENT_BYTES_MAX / CHUNKS_MAX);
  const root = fields.bytes(HASH_BYTES, HASH_BYTES);
  const entries = fields.list(ENTRIES_MAX, (item) => {
    const entry = new FieldReader(item, "manifest entry");
    const read = { path: entry.text(PATH_CHARACTERS_MAX), bytes: entry.integer(0, CONTENT_BYTES_MAX) };
    entry.end();
    return read;
  });
  fields.end();
  checkName(name);
  if (kind === "folder") checkPaths(entries.map(({ path }) => path));
  else if (entries.length !== 1 || entries[0]?.path !== "")
    throw malformed("a file has one entry without a path");
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  if (total > CONTENT_BYTES_MAX || chunkCount(total, chunkBytes) > CHUNKS_MAX) throw malformed("too large");
  return { kind, name, entries, bytes: total, chunkBytes, root };
}

function malformed(why: string): PeerloomError {
  return new PeerloomError("wire/malformed", `Malformed manifest: ${why}.`);
}
