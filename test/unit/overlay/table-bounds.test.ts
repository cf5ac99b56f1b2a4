/** Whom an overlay takes as neighbours, and what it says to those it turns away. Sessions are scripted; real ones: test/integration. */
import { expect, onTestFinished, test, vi } from "vitest";
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simRuntime } from "../../../peer/adapters/sim/runtime.ts";
import { loadOrCreateIdentity } from "../../../peer/identity/identity-store.ts";
import { decodeContacts, encodeContact } from "../../../peer/overlay/contact-codec.ts";
import { LINK_BUDGETS } from "../../../peer/overlay/mesh/link-table.ts";
import { decodeMesh, encodeMesh, type MeshMessage } from "../../../peer/overlay/mesh/mesh-messages.ts";
import { distance, meshKeyOf } from "../../../peer/overlay/mesh/mesh-key.ts";
import { Overlay } from "../../../peer/overlay/overlay.ts";
import type { PeerSession } from "../../../peer/session/session.ts";
import { sha256 } from "../../../shared/bytes.ts";
import { encode } from "../../../shared/codec.ts";
import { type PeerId, peerIdFromKey, publicKeyOf, requireNetworkName } from "../../../shared/ids.ts";
import type { Contact } from "../../../shared/messages.ts";

const { target, max } = LINK_BUDGETS.server;
const SHARE = (target * 3) / 8;
const GREETING = encodeMesh({
  kind: "greet",
  version: 1,
  beacon: false,
  place: { x: 0, y: 0, height: 0 },
  error: 1,
  entries: [],
});

function idOf(number: number): PeerId {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return peerIdFromKey(key);
}

interface ScriptedSession {
  readonly session: PeerSession;
  readonly heard: MeshMessage[];
}

let next = 1;

function sessionFrom(
  remoteHost: string | undefined,
  onMessage: (message: MeshMessage) => void = () => {},
  kind: "direct" | "relay" = "direct",
): ScriptedSession {
  const heard: MeshMessage[] = [];
  const session = {
    peerId: idOf(next++),
    remoteHost,
    path: { kind },
    closing: false,
    streamCount: 0,
    sendOverlay: (bytes: Uint8Array) => {
      const message = decodeMesh(bytes);
      heard.push(message);
      onMessage(message);
    },
    close: () => Promise.resolve(),
  };
  // The rest of a session is not the overlay's business.
  return { session: session as unknown as PeerSession, heard };
}

async function overlay(
  name: "sim" | "browser" = "sim",
): Promise<{ overlay: Overlay; dialled: Contact[]; clock: SimClock }> {
  const clock = new SimClock();
  const runtime = { ...simRuntime({ seed: "table-bounds", clock }), name };
  const dialled: Contact[] = [];
  const made = new Overlay({
    runtime,
    identity: await loadOrCreateIdentity(runtime),
    network: requireNetworkName("demo"),
    listenAddresses: () => [],
    addressesOf: (id) => [`tcp://192.0.2.1:4000/${id}`.slice(0, 30)],
    connectDirect: (contact) => {
      dialled.push(contact);
      return new Promise(() => {});
    },
  });
  await made.open();
  onTestFinished(() => made.close());
  return { overlay: made, dialled, clock };
}

/** Says that it is there, as real sessions do, and waits until it was greeted or turned away. */
async function arrive(to: Overlay, remoteHost: string | undefined): Promise<"greet" | "bye"> {
  const { session, heard } = sessionFrom(remoteHost);
  to.update(session);
  to.receive(session, GREETING);
  return vi.waitFor(() => {
    const kind = heard.find((message) => message.kind === "bye" || message.kind === "greet")?.kind;
    if (kind !== "bye" && kind !== "greet") throw new Error("Nothing was said yet.");
    return kind;
  });
}

test("peers of one network of addresses get three eighths of a table, those of others and of no known one are taken", async () => {
  const { overlay: hub } = await overlay();
  for (let i = 0; i < SHARE; i++) expect(await arrive(hub, `203.0.113.${i}`)).toBe("greet");
  expect(await arrive(hub, "203.0.113.200")).toBe("bye");
  expect(await arrive(hub, "::ffff:203.0.113.201")).toBe("bye");
  expect(await arrive(hub, "198.51.100.1")).toBe("greet");
  expect(await arrive(hub, undefined)).toBe("greet");
  // A LAN is one network too, and nobody's attack.
  for (let i = 0; i < SHARE; i++) expect(await arrive(hub, `10.0.0.${i}`)).toBe("greet");
  expect(hub.size).toBe(2 * SHARE + 2);
});

test("who is turned away by a full table is told others that can be dialled", async () => {
  const { overlay: hub } = await overlay();
  while (hub.size < max) await arrive(hub, undefined);
  for (;;) {
    const { session, heard } = sessionFrom(undefined);
    hub.receive(session, GREETING);
    await vi.waitFor(() => expect(heard.length).toBeGreaterThan(0));
    const bye = heard.find((message) => message.kind === "bye");
    if (bye === undefined) continue; // Among the closest: those are always taken.
    const named = decodeContacts(bye.others);
    expect(named.length).toBe(6);
    for (const { addresses } of named) expect(addresses.length).toBe(1);
    return;
  }
});

test("a newcomer that was turned away asks those it was told, and whom it heard that from costs it no more than six dials", async () => {
  const { overlay: newcomer, dialled } = await overlay();
  const { session } = sessionFrom(undefined);
  newcomer.update(session);
  await vi.waitFor(() => expect(newcomer.size).toBe(1));
  const others = Array.from({ length: 5 }, (_, i) => ({
    id: idOf(90_000 + i),
    addresses: ["tcp://192.0.2.9:1"],
  }));
  const bye = { kind: "bye", reason: "full", others: encode(others.map(encodeContact)) } as const;
  newcomer.receive(session, encodeMesh(bye));
  await vi.waitFor(() =>
    expect(dialled.map(({ id }) => id).toSorted()).toEqual(others.map(({ id }) => id).toSorted()),
  );
  expect(newcomer.size).toBe(0);
  expect(
    decodeContacts(encode(Array.from({ length: 9 }, () => encodeContact(others[0] as Contact)))),
  ).toEqual([]);
});

test("a crowd from several networks of addresses that comes again and again wears nobody else out", async () => {
  const { overlay: hub, clock } = await overlay("browser");
  onTestFinished(() => clock.close());
  /** Answers pings; the greeting names so many peers that are closer to it than the hub. */
  const offer = (remoteHost: string, greeting: Uint8Array): PeerSession => {
    const { session } = sessionFrom(remoteHost, (message) => {
      if (message.kind === "ping")
        clock.setTimer(20, () => hub.receive(session, encodeMesh({ ...PONG, id: message.id })));
    });
    hub.update(session);
    hub.receive(session, greeting);
    return session;
  };
  const honest: PeerSession[] = [];
  for (let i = 0; i < LINK_BUDGETS.browser.target; i++) {
    const session = offer(`198.51.${i}.1`, await greetingOf(idOf(next)));
    honest.push(session);
    await clock.advance(100);
  }
  await clock.advance(60_000);
  const isLinked = (one: PeerSession): boolean => hub.neighbours().includes(one);
  expect(honest.every(isLinked)).toBe(true);
  for (let i = 0; i < 600; i++) {
    offer(`203.0.${i % 4}.7`, GREETING);
    await clock.advance(200);
  }
  // Two of each network, and those that are closer than all others known.
  expect(honest.filter(isLinked).length).toBeGreaterThanOrEqual(honest.length - 8);
  expect(hub.size).toBeLessThanOrEqual(LINK_BUDGETS.browser.max);
});

test("of twelve that begin a link over a relay at once eight have one, and the others are told", async () => {
  const { overlay: hub, clock } = await overlay("browser");
  onTestFinished(() => clock.close());
  const crowd = Array.from({ length: 12 }, () => sessionFrom(undefined, undefined, "relay"));
  for (const { session } of crowd) hub.receive(session, GREETING);
  await clock.settle();
  expect([hub.size, hub.relayedSize, hub.isReady]).toEqual([8, 8, false]);
  const turnedAway = crowd.filter(({ heard }) => heard.some(({ kind }) => kind === "bye"));
  expect(turnedAway).toHaveLength(4);
  expect(turnedAway.flatMap(({ session }) => hub.neighbours().filter((one) => one === session))).toEqual([]);
});

const PONG = { kind: "pong", id: 0, place: { x: 0, y: 0, height: 0 }, error: 1 } as const;

/** Of a peer that knows its eight closest. */
async function greetingOf(id: PeerId): Promise<Uint8Array> {
  const own = meshKeyOf(await sha256(publicKeyOf(id)));
  return encodeMesh({
    kind: "greet",
    version: 1,
    beacon: false,
    place: { x: 0, y: 0, height: 0 },
    error: 1,
    entries: Array.from({ length: 8 }, (_, i) => ({
      key: distance(own, i + 1),
      rttMs: 20,
      x: 0,
      y: 0,
      height: 1,
    })),
  });
}
