/**
 * A Yjs document that all peers of a topic share. Edits go out as messages; who meets another peer in the topic asks it for what it
 * has missed, so a newcomer gets the document from whoever is there, and edits made offline come together when their peers do.
 */
import * as Y from "yjs";
import type { Peer } from "../../../peer/node.ts"; // in your application: from "peerloom"

interface Document {
  /** Everything that who has this state vector lacks. */
  since(vector: Uint8Array): Uint8Array;
}

/** Edits longer than a message are fetched: its text says that there are some. */
const MESSAGE_BYTES_MAX = 200_000;
const NEWER = "newer";

export interface SharedDocument {
  /** Leaves; the document stays, and may be edited and shared again. */
  close(): Promise<void>;
}

export function shareDocument(peer: Peer, name: string, doc: Y.Doc): SharedDocument {
  const topic = peer.topic(`document/${name}`);
  const stop = new AbortController();
  const met = new Set<string>();
  const stopServing = peer.serve(`document/${name}`, {
    since: (vector: Uint8Array) => Y.encodeStateAsUpdate(doc, vector),
  });

  /** Asks one peer for what is missing here. */
  const fetchFrom = async (id: string): Promise<void> => {
    try {
      const theirs = peer.rpc<Document>(id, `document/${name}`, { signal: stop.signal });
      Y.applyUpdate(doc, await theirs.since(Y.encodeStateVector(doc)), peer);
    } catch {
      met.delete(id); // gone, or it does not serve yet: asked again when it is met again
    }
  };
  const meet = (): void => {
    const present = new Set<string>(topic.peers);
    for (const id of met) if (!present.has(id)) met.delete(id);
    for (const id of present) {
      if (met.has(id)) continue;
      met.add(id);
      void fetchFrom(id);
    }
  };
  const edited = (update: Uint8Array, origin: unknown): void => {
    if (origin === peer) return; // it came from there
    const message = update.length <= MESSAGE_BYTES_MAX ? update : NEWER;
    topic.publish(message).catch(() => {}); // the topic was closed: whoever is met later asks
  };
  /** A stranger's bytes may be no update. */
  const applySafely = (update: Uint8Array): void => {
    try {
      Y.applyUpdate(doc, update, peer);
    } catch {
      // Whoever published it shares something else.
    }
  };
  const listening = (async (): Promise<void> => {
    for await (const { from, value } of topic) {
      if (value === NEWER) void fetchFrom(from);
      else if (value instanceof Uint8Array) applySafely(value);
    }
  })();
  doc.on("update", edited);
  topic.addEventListener("peers", meet);
  meet();
  return {
    async close(): Promise<void> {
      stop.abort();
      doc.off("update", edited);
      topic.removeEventListener("peers", meet);
      stopServing();
      await topic.close();
      await listening;
    },
  };
}
