/** Peers that work, honestly and otherwise, and what they are asked. */
import type { Peer, PeerId } from "../../peer/node.ts";
import {
  type AskerMessage,
  BODY_BYTES_MAX,
  decodeFromAsker,
  encodeMessage,
  violation,
  type WorkerMessage,
} from "../../peer/services/compute/protocol.ts";
import { WORK_PROTOCOL } from "../../peer/services/compute/work-protocol.ts";
import { MessageReader } from "../../peer/services/files/protocol.ts";
import type { TaskResult } from "../../peer/services/compute/computation.ts";
import { bootstrapOf, linkedTo, openPeer } from "./peers.ts";

/** One that listens, and others that hold it and each other; no edge. */
export async function openCircle(count: number): Promise<Peer[]> {
  const first = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const bootstrap = bootstrapOf(first);
  const others = await Promise.all(
    Array.from({ length: count - 1 }, () =>
      openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false, bootstrap }),
    ),
  );
  const peers = [first, ...others];
  await Promise.all(peers.map((peer) => linkedTo(peer, count - 1)));
  return peers;
}

/** A worker that never ran anything and says what it likes. */
export interface Impostor {
  /** Tasks that it was given. */
  readonly asked: number;
  /** Times that it was asked for an offer. */
  readonly offers: number;
}

/** @param answer what it says to a task; undefined says nothing */
export function pretendToWork(
  peer: Peer,
  answer: (task: Extract<AskerMessage, { kind: "task" }>) => WorkerMessage | undefined,
): Impostor {
  const impostor = { asked: 0, offers: 0 };
  peer.handle(WORK_PROTOCOL, async (stream) => {
    const reader = new MessageReader(stream.readable, BODY_BYTES_MAX, violation);
    const writer = stream.writable.getWriter();
    const say = async (message: WorkerMessage): Promise<void> => {
      for (const part of encodeMessage(message)) await writer.write(part);
    };
    for (let raw = await reader.next(); raw !== undefined; raw = await reader.next()) {
      const message = decodeFromAsker(raw);
      if (message.kind === "ask") {
        impostor.offers += 1;
        await say({ kind: "offer", slots: 4, taskMs: message.taskMs, wantsModule: false });
      }
      if (message.kind !== "task") continue;
      impostor.asked += 1;
      const said = answer(message);
      if (said !== undefined) await say(said);
    }
  });
  return impostor;
}

/** All results, by index. */
export async function collect(results: AsyncIterable<TaskResult>): Promise<Map<number, TaskResult>> {
  const found = new Map<number, TaskResult>();
  for await (const result of results) found.set(result.index, result);
  return found;
}

export function workersOf(results: ReadonlyMap<number, TaskResult>): Set<PeerId> {
  return new Set([...results.values()].flatMap(({ by }) => by));
}

export const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
