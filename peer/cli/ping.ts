/** `ping ID`: how long a peer takes to connect and to answer, and over which path. Every peer echoes `ping/1`. */
import { PeerloomError } from "../../shared/errors.ts";
import { parsePeerId } from "../../shared/ids.ts";
import type { Session } from "../session/contract.ts";
import type { Command, CommandContext } from "./command.ts";
import { EchoStream } from "./echo-stream.ts";
import type { CliPeer } from "./peer-contract.ts";
import { describePath, withPeer } from "./with-peer.ts";
import { untilAborted } from "../overlay/abort.ts";

/** A pong that has not come by then is lost; a session that moves between paths takes up to three seconds. */
const PONG_TIMEOUT_MS = 10_000;

export const ping: Command = {
  name: "ping",
  synopsis: "ID",
  summary: "measure connecting to a peer and its answers, and say which path they take",
  positionalsMin: 1,
  positionalsMax: 1,
  options: {
    count: { type: "string", value: "N", help: "how many; default: 5" },
    interval: { type: "string", value: "MS", help: "pause between them; default: 100" },
  },
  serves: false,
  run: async (context) => {
    const [id = ""] = context.positionals;
    if (parsePeerId(id) === undefined) {
      throw new PeerloomError(
        "usage/invalid",
        `"${id.slice(0, 60)}" is not a peer id: 52 characters of a-z and 2-7 are expected.`,
      );
    }
    const count = context.values.integer("count", { min: 1, max: 1_000_000, default: 5 });
    const intervalMs = context.values.integer("interval", { min: 0, max: 3_600_000, default: 100 });
    context.output.note("Connecting …");
    await withPeer(context, { role: "any" }, (peer) => pingPeer(peer, id, { count, intervalMs }, context));
  },
};

async function pingPeer(
  peer: CliPeer,
  id: string,
  { count, intervalMs }: { readonly count: number; readonly intervalMs: number },
  { output, signal }: CommandContext,
): Promise<void> {
  const dialedMs = performance.now();
  const session = await peer.connect(id, { signal });
  const echo = new EchoStream(await session.open("ping/1", { signal, priority: "interactive" }));
  const rtts: number[] = [];
  let connectMs: number | undefined;
  let sent = 0;
  try {
    while (sent < count && !echo.ended) {
      if (sent > 0 && intervalMs > 0) await untilAborted(pause(intervalMs), signal);
      const seq = ++sent;
      const rttMs = await untilAborted(echo.roundTrip(seq, PONG_TIMEOUT_MS), signal);
      if (rttMs === undefined) {
        output.note(`no answer to ${seq} within ${PONG_TIMEOUT_MS / 1000} s`, { event: "lost", seq });
        continue;
      }
      connectMs ??= performance.now() - dialedMs;
      rtts.push(rttMs);
      tellPong(seq, rttMs, session, output);
    }
  } catch (error) {
    // Who stops it wants to know how it was until then.
    if (signal.aborted && rtts.length > 0) tellSummary({ sent, rtts, connectMs }, output);
    throw error;
  } finally {
    echo.close();
  }
  tellSummary({ sent, rtts, connectMs }, output);
  if (rtts.length === 0) {
    throw new PeerloomError(
      "connect/timeout",
      "The peer was reached but did not answer. Try again, or run: peerloom status",
    );
  }
}

function tellPong(seq: number, rttMs: number, session: Session, output: CommandContext["output"]): void {
  const { kind, transport, why } = session.path;
  output.result(
    { event: "pong", seq, rttMs: round(rttMs), path: kind, transport, why },
    `${seq}: ${rttMs.toFixed(2)} ms  ${describePath(session.path)}`,
  );
}

function tellSummary(
  {
    sent,
    rtts,
    connectMs,
  }: { readonly sent: number; readonly rtts: readonly number[]; readonly connectMs: number | undefined },
  output: CommandContext["output"],
): void {
  const sorted = rtts.toSorted((a, b) => a - b);
  const p50Ms = percentile(sorted, 0.5);
  const p99Ms = percentile(sorted, 0.99);
  output.result(
    {
      event: "done",
      sent,
      received: rtts.length,
      p50Ms: p50Ms === undefined ? null : round(p50Ms),
      p99Ms: p99Ms === undefined ? null : round(p99Ms),
      connectMs: connectMs === undefined ? null : round(connectMs),
    },
    `${rtts.length} of ${sent} answered; median ${ms(p50Ms)}, 99 % within ${ms(p99Ms)}; connected in ${ms(connectMs)}`,
  );
}

/** The value below which the share of the sorted values lies (nearest rank). */
function percentile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** Microseconds are the last digits that mean something. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function ms(value: number | undefined): string {
  return value === undefined ? "-" : `${value.toFixed(2)} ms`;
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
