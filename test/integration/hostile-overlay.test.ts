/** A neighbour that sends nonsense through the overlay costs itself its link, and nobody else anything. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { Peer, Session } from "../../peer/node.ts";
import { encodeMesh, type MeshMessage } from "../../peer/overlay/mesh/mesh-messages.ts";
import { ASK } from "../../peer/overlay/mesh/requests.ts";
import type { PeerSession } from "../../peer/session/session.ts";
import { encodeNote, encodeRequest } from "../../peer/services/records/protocol.ts";
import type { KeyedRecord } from "../../peer/services/records/record.ts";
import { encode } from "../../shared/codec.ts";
import { aForward, aPlace } from "./hostile-messages.ts";
import { bootstrapOf, checkEcho, linkedTo, openPeer } from "./peers.ts";

const bytes = (count: number): Uint8Array => Uint8Array.from(randomBytes(count));

/** Signed by nobody, of an hour ago, or of a key that is not its own. */
function forgeries(): KeyedRecord[] {
  const expiresAtMs = Date.now() + 3_600_000;
  const [key, publicKey, signature, name] = [bytes(32), bytes(32), bytes(64), bytes(4)];
  return [
    { kind: "immutable", key, expiresAtMs, value: bytes(10) },
    { kind: "immutable", key, expiresAtMs: expiresAtMs - 86_400_000, value: bytes(10) },
    { kind: "mutable", key, expiresAtMs, publicKey, name, seq: 9, value: bytes(10), signature },
    { kind: "provider", key, expiresAtMs, publicKey, signature },
  ];
}

function nonsense(): MeshMessage[] {
  const records = forgeries();
  return [
    aForward({ path: [] }),
    aForward({ path: [7, 8, 9] }),
    aForward({ ttl: 0 }),
    aForward({ budgetMs: 0 }),
    aForward({ mid: 1 }),
    aForward({ mid: 1 }),
    aForward({ path: Array.from({ length: 24 }, (_, i) => i) }),
    ...records.map((record) =>
      aForward({ body: encode([ASK.service, encodeRequest({ kind: "put", record, cas: undefined })]) }),
    ),
    ...records.map((record): MeshMessage => ({
      kind: "note",
      body: encodeNote({ kind: "push", id: 0, record }),
    })),
    { kind: "note", body: bytes(50) },
    { kind: "reply", mid: 3, origin: 1, path: [2, 3], hops: 2, found: true, body: bytes(10) },
    { kind: "ack", mids: [1, 2, 3] },
    { kind: "pong", id: 99, place: aPlace, error: 1 },
    { kind: "contact", key: 9, contact: bytes(10) },
    { kind: "delta", place: aPlace, entries: [{ key: 4, rttMs: 1, ...aPlace }], gone: [1, 2] },
  ];
}

test("fuzzed, forged, replayed, expired and looping messages change nothing for the others", async () => {
  const victim = await openPeer({ edge: null, listen: "127.0.0.1:0", webrtc: false });
  const open = (): Promise<Peer> => openPeer({ edge: null, webrtc: false, bootstrap: bootstrapOf(victim) });
  const [liar, first, second] = [await open(), await open(), await open()];
  await Promise.all([liar, first, second].map((peer) => linkedTo(peer, 1)));
  const key = await first.records.put("stays");
  const kept = victim.records.kept;
  const session: Session = await liar.connect(victim.id);
  for (let round = 0; round < 20; round++) {
    for (const message of nonsense()) (session as PeerSession).sendOverlay(encodeMesh(message));
    await checkEcho(session, randomBytes(1_000));
  }
  // Malformed ones end the link, not the session.
  for (let round = 0; round < 50; round++)
    (session as PeerSession).sendOverlay(bytes(1 + ((round * 37) % 900)));
  await checkEcho(session, randomBytes(1_000));
  expect(victim.records.kept).toBe(kept);
  const { overlay, records } = victim.status();
  // In each round: five that have no way to go or back, and forged records, asked for and noted.
  expect(overlay?.dropped).toBeGreaterThan(20 * 5);
  expect(records.refused).toBeGreaterThan(20);
  expect(await second.records.get(key)).toBe("stays");
  await checkEcho(await first.connect(second.id), randomBytes(1_000));
});
