/** Small values that are forgotten with the process, or the page. */
import type { KeyValueStorage, StoredValue } from "../runtime.ts";

export function memoryStorage(): KeyValueStorage {
  const values = new Map<string, StoredValue>();
  return {
    get: async (key) => values.get(key),
    async set(key, value) {
      values.set(key, value);
    },
  };
}
