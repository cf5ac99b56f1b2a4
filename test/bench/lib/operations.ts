/** What a benchmark may ask of one of its processes, and the answers. */
export interface Operations {
  helper: { args: Record<string, never>; result: string };
  listen: { args: { helper: string }; result: string };
  prepare: { args: { address: string; helper: string }; result: null };
  bulk: { args: { bytes: number; chunkBytes: number }; result: number };
  /** Begins to send without end. */
  pour: { args: { chunkBytes: number }; result: null };
  /** What has been taken by now, and when: bytes, ms. */
  sunk: { args: Record<string, never>; result: { bytes: number; atMs: number } };
  latency: { args: { count: number; bytes: number }; result: number[] };
  connect: { args: Record<string, never>; result: number };
  hold: { args: { count: number }; result: null };
  usage: { args: { collect: boolean }; result: Usage };
  /** Shares a file. @returns the ticket */
  share: { args: { path: string }; result: string };
  /** Fetches it. @returns seconds */
  get: { args: { ticket: string; path: string }; result: number };
  /** Runs tasks of so many steps. @returns ms to the first result, seconds to the last */
  compute: { args: { count: number; steps: number }; result: { firstMs: number; seconds: number } };
}

/** Of a process and those it has started. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly residentBytesPeak: number;
}
