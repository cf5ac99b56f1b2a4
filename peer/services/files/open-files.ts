/**
 * Files held open by number, a few at a time: opening one more closes one that nobody uses. A folder of many files is
 * read and written this way, several chunks at once.
 */
import type { FileHandle } from "../../runtime.ts";

/** Kept open for the next use; those in use come on top. */
const IDLE_MAX = 16;

interface Entry {
  readonly opening: Promise<FileHandle>;
  users: number;
}

export class OpenFiles {
  readonly #open = new Map<number, Entry>();
  readonly #openOne: (index: number) => Promise<FileHandle>;

  /** @param openOne opens the file of that number */
  constructor(openOne: (index: number) => Promise<FileHandle>) {
    this.#openOne = openOne;
  }

  /** Acts on a file, which stays open meanwhile. @throws what `openOne` or `act` throws */
  async use<T>(index: number, act: (handle: FileHandle) => Promise<T>): Promise<T> {
    const entry = this.#open.get(index) ?? { opening: this.#openOne(index), users: 0 };
    this.#open.set(index, entry);
    entry.users += 1;
    try {
      return await act(await entry.opening);
    } catch (error) {
      await entry.opening.catch(() => this.#open.delete(index));
      throw error;
    } finally {
      entry.users -= 1;
      await this.#closeIdle();
    }
  }

  /** Closes all. Nothing may be in use. */
  async close(): Promise<void> {
    const entries = [...this.#open.values()];
    this.#open.clear();
    for (const { opening } of entries) await (await opening.catch(() => undefined))?.close();
  }

  async #closeIdle(): Promise<void> {
    for (const [index, { opening, users }] of this.#open) {
      if (this.#open.size <= IDLE_MAX) return;
      if (users > 0) continue;
      this.#open.delete(index);
      await (await opening).close();
    }
  }
}
