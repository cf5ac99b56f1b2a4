/** Log files in memory, which outlive the peer that writes them, can be damaged, and fail when they are told to. */
import type { LogFile, LogHost } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";

export class MemoryLogs implements LogHost {
  readonly files = new Map<string, Uint8Array>();
  /** So many of the next calls of `sync` fail. */
  failingSyncs = 0;

  copy(): MemoryLogs {
    const copy = new MemoryLogs();
    for (const [name, bytes] of this.files) copy.files.set(name, bytes);
    return copy;
  }

  async open(name: string): Promise<LogFile> {
    const { files } = this;
    const fail = (): void => {
      if (this.failingSyncs === 0) return;
      this.failingSyncs -= 1;
      throw new PeerloomError("data/unwritable", "The disk fails, as it was told to.");
    };
    const content = (): Uint8Array => files.get(name) ?? new Uint8Array(0);
    return {
      get bytes() {
        return content().length;
      },
      async read(into, offset) {
        const piece = content().subarray(offset, offset + into.length);
        into.set(piece);
        return piece.length;
      },
      async append(bytes) {
        const grown = new Uint8Array(content().length + bytes.length);
        grown.set(content());
        grown.set(bytes, content().length);
        files.set(name, grown);
      },
      async truncate(bytes) {
        files.set(name, content().slice(0, bytes));
      },
      async sync() {
        fail();
      },
      async close() {},
    };
  }
}
