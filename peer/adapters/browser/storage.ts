/** Small values in IndexedDB, which keeps keys that cannot be read out. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { KeyValueStorage, StoredValue } from "../../runtime.ts";

const DATABASE = "peerloom";
const STORE = "values";

export const browserStorage: KeyValueStorage = {
  get: (key) => transact("readonly", (store) => store.get(key) as IDBRequest<StoredValue | undefined>),
  async set(key, value) {
    await transact("readwrite", (store) => store.put(value, key));
  },
};

let opening: Promise<IDBDatabase> | undefined;

async function transact<T>(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  opening ??= openDatabase();
  try {
    const transaction = (await opening).transaction(STORE, mode, { durability: "strict" });
    const request = act(transaction.objectStore(STORE));
    return await new Promise<T>((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
    });
  } catch (cause) {
    opening = undefined;
    throw new PeerloomError(
      "data/unwritable",
      "The browser does not let this page keep data (private mode?).",
      { cause },
    );
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}
