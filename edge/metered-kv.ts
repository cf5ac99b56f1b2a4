/** An object's key-value storage that counts what is read and written, so that no use of it is forgotten in the account. */
import type { Usage } from "../shared/budget.ts";

export function meteredKv(kv: SyncKvStorage, spend: (usage: Partial<Usage>) => void): SyncKvStorage {
  return {
    get<T>(key: string): T | undefined {
      spend({ rowsRead: 1 });
      return kv.get<T>(key);
    },
    *list<T>(options?: SyncKvListOptions): Iterable<[string, T]> {
      const rows = [...kv.list<T>(options)];
      spend({ rowsRead: rows.length });
      yield* rows;
    },
    put<T>(key: string, value: T): void {
      spend({ rowsWritten: 1 });
      kv.put(key, value);
    },
    delete(key: string): boolean {
      spend({ rowsWritten: 1 });
      return kv.delete(key);
    },
  };
}
