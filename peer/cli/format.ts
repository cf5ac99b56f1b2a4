/** What several commands print for people: a transfer, a mapped port, a number of things. Pure: the same state gives the same line. */
import { counted, formatBytes, formatSeconds } from "../api/quantities.ts";

export interface TransferState {
  readonly bytes: number;
  readonly total: number;
  readonly bytesPerSecond: number;
  /** Peers that send; 0 is not shown. */
  readonly sources: number;
  /** How the bytes travel, for people. */
  readonly path: string;
}

const BAR_CELLS = 20;

/** `[########············]  41 %  1.2 GB of 3.1 GB  94 MB/s  20 s left  1 source  direct (tcp)` */
export function transferLine(state: TransferState): string {
  const share = state.total > 0 ? Math.min(1, state.bytes / state.total) : 0;
  const filled = Math.floor(share * BAR_CELLS);
  const parts = [
    `[${"#".repeat(filled)}${"·".repeat(BAR_CELLS - filled)}] ${Math.floor(share * 100)
      .toString()
      .padStart(3)} %`,
    state.total > 0 ? `${formatBytes(state.bytes)} of ${formatBytes(state.total)}` : formatBytes(state.bytes),
  ];
  if (state.bytesPerSecond > 0) {
    parts.push(`${formatBytes(Math.round(state.bytesPerSecond))}/s`);
    const left = (state.total - state.bytes) / state.bytesPerSecond;
    if (left > 0) parts.push(`${formatSeconds(left)} left`);
  }
  if (state.sources > 0) parts.push(counted(state.sources, "source"));
  if (state.path !== "") parts.push(state.path);
  return parts.join("  ");
}

/** A `PortMappingState`, perhaps of another process: `maps tcp://203.0.113.5:4000 to this peer (PCP)`. */
export function describeMapping({
  phase,
  address,
  protocol,
  why,
  detail,
}: Readonly<Record<string, unknown>>): string {
  if (phase === "mapped") return `maps ${String(address)} to this peer (${String(protocol)})`;
  return phase === "failed" ? `maps no port (${String(why)}): ${String(detail)}` : "asked to map the port";
}
