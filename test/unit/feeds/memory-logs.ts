/** Log files in memory, which outlive the peer that writes them and can be damaged. */
import type { LogFile, LogHost } from "../../../peer/runtime.ts";

export class MemoryLogs implements LogHost {
  readonly files = new Map<string, Uint8Array>();

  copy(): MemoryLogs {
    const copy = new MemoryLogs();
    for (const [name, bytes] of this.files) copy.files.set(name, bytes);
    return copy;
  }

  async open(name: string): Promise<LogFile> {
    const { files } = this;
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
      async sync() {},
      async close() {},
    };
  }
}
