/** A peer that says it has a feed, with heads that are genuine, and answers every question with entries of its own making. */
import type { Peer } from "../../peer/node.ts";
import { type FeedDefinition, encodeDefinition } from "../../peer/services/feeds/definition.ts";
import { encodeEntry } from "../../peer/services/feeds/entry.ts";
import {
  decodeMessage,
  encodeMessage,
  FEED_PROTOCOL,
  type FeedMessage,
  type HeadNotice,
  MESSAGE_BYTES_MAX,
} from "../../peer/services/feeds/protocol.ts";
import { MessageReader } from "../../peer/services/files/protocol.ts";
import { utf8 } from "../../shared/bytes.ts";

export interface Liar {
  /** Questions answered with lies. */
  lies(): number;
}

/** @param notices what an honest peer says it has */
export function serveLies(peer: Peer, definition: FeedDefinition, notices: readonly HeadNotice[]): Liar {
  let lies = 0;
  peer.handle(FEED_PROTOCOL, async (stream) => {
    const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX);
    const writer = stream.writable.getWriter();
    const say = (message: FeedMessage): Promise<void> => writer.write(encodeMessage(message));
    for (let read = await reader.next(); read !== undefined; read = await reader.next()) {
      const message = decodeMessage(read.type, read.body);
      if (message.kind === "open") {
        await say({ kind: "definition", bytes: encodeDefinition(definition) });
        await say({ kind: "heads", heads: notices });
      }
      if (message.kind !== "want") continue;
      lies += 1;
      const { request, from } = message;
      const [notice] = notices;
      if (notice === undefined) throw new Error("a liar needs a head");
      const entries = Array.from({ length: message.count }, (_, i) =>
        encodeEntry({
          seq: from + i,
          previous: new Uint8Array(32),
          links: [],
          timeMs: 0,
          value: utf8("\u0001lie"),
        }),
      );
      await say({
        kind: "range",
        request,
        range: { head: notice.head, from, entries, left: [], right: [] },
      });
    }
  });
  return { lies: () => lies };
}

/** What an honest peer that has the feed says to somebody who asks. */
export async function noticesOf(
  asker: Peer,
  honest: Peer,
  address: Uint8Array,
): Promise<readonly HeadNotice[]> {
  const session = await asker.connect(honest.id);
  const stream = await session.open(FEED_PROTOCOL);
  const writer = stream.writable.getWriter();
  await writer.write(encodeMessage({ kind: "open", address }));
  const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX);
  for (let read = await reader.next(); read !== undefined; read = await reader.next()) {
    const message = decodeMessage(read.type, read.body);
    if (message.kind !== "heads") continue;
    stream.reset();
    return message.heads;
  }
  throw new Error("no heads were told");
}
