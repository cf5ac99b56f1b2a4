/** Logs in blocks of a key-value storage, for hosts without files: the last block is written anew with each append, then the length. */
import { PeerloomError } from "../../shared/errors.ts";
import type { KeyValueStorage, LogHost } from "../runtime.ts";

/** What an append writes again at most. */
const BLOCK_BYTES: number = 64 * 1024;

export function storageLogs(storage: KeyValueStorage): LogHost {
  const load = async (key: string): Promise<Uint8Array> => {
    const value = await storage.get(key);
    return value instanceof Uint8Array ? value : new Uint8Array(0);
  };
  return {
    async open(name) {
      if (!/^[a-z0-9-]{1,200}$/.test(name))
        throw new PeerloomError("usage/invalid", `"${name}" is no name of a log.`);
      const lengthKey = `log-${name}`;
      const blockKey = (index: number): string => `${lengthKey}-${index}`;
      const stored = await load(lengthKey);
      let end = stored.length === 8 ? new DataView(stored.buffer, stored.byteOffset).getFloat64(0) : 0;
      let last = (await load(blockKey(Math.floor(end / BLOCK_BYTES)))).slice(0, end % BLOCK_BYTES);
      const setEnd = async (bytes: number): Promise<void> => {
        const value = new Uint8Array(8);
        new DataView(value.buffer).setFloat64(0, bytes);
        await storage.set(lengthKey, value);
        end = bytes;
      };
      return {
        get bytes() {
          return end;
        },
        async read(into, offset) {
          let filled = 0;
          while (filled < into.length && offset + filled < end) {
            const at = offset + filled;
            const block = await load(blockKey(Math.floor(at / BLOCK_BYTES)));
            const to = Math.min(
              block.length,
              (at % BLOCK_BYTES) + into.length - filled,
              (at % BLOCK_BYTES) + end - at,
            );
            const piece = block.subarray(at % BLOCK_BYTES, to);
            if (piece.length === 0) break;
            into.set(piece, filled);
            filled += piece.length;
          }
          return filled;
        },
        async append(bytes) {
          let block = last;
          let index = Math.floor(end / BLOCK_BYTES);
          for (let taken = 0; taken < bytes.length;) {
            const piece = bytes.subarray(taken, taken + BLOCK_BYTES - block.length);
            const grown = new Uint8Array(block.length + piece.length);
            grown.set(block);
            grown.set(piece, block.length);
            await storage.set(blockKey(index), grown);
            taken += piece.length;
            const isFull = grown.length === BLOCK_BYTES;
            block = isFull ? new Uint8Array(0) : grown;
            if (isFull) index += 1;
          }
          await setEnd(end + bytes.length);
          last = block;
        },
        async truncate(bytes) {
          last = (await load(blockKey(Math.floor(bytes / BLOCK_BYTES)))).slice(0, bytes % BLOCK_BYTES);
          await setEnd(bytes);
        },
        sync: () => Promise.resolve(),
        close: () => Promise.resolve(),
      };
    },
  };
}
