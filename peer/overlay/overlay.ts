/**
 * The overlay of a real peer: sessions on a direct path, and a few on a relay (relayed-links.ts), are the mesh's links, and what the mesh wants
 * opened is connected. To the connector it is another way to a peer: it asks the peer itself where it listens, and carries
 * sealed signals to it, through peers alone.
 */
import { encode } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import { type NetworkName, type PeerId, publicKeyOf, short } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Identity } from "../identity/identity.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { PeerSession } from "../session/session.ts";
import { decodeContact, decodeContacts, encodeContact, NAMED_MAX } from "./contact-codec.ts";
import { type LinkBudget, LINK_BUDGETS } from "./mesh/link-table.ts";
import { Mesh, READY_LINKS } from "./mesh/mesh.ts";
import type { MeshContact } from "./mesh/openings.ts";
import { decodeMesh, encodeMesh } from "./mesh/mesh-messages.ts";
import { type MeshKey, meshKeyOf } from "./mesh/mesh-key.ts";
import { PeerQuestions } from "./peer-questions.ts";
import { PeerSignals } from "./peer-signals.ts";
import { type LinkCounts, RelayedLinks, type RelayedLinksOptions } from "./relayed-links.ts";
import { SessionLink } from "./session-link.ts";

/** A session that the overlay has given up, and nobody else uses, is closed after this long. */
const UNUSED_AFTER_MS = 60_000;
/** A peer that has begun to dial others has its first link by then, or none of them is there. */
const FIRST_LINK_MS = 5_000;
const LOOK_EVERY_MS = 20;
/** Keys of peers that were hashed; past that the oldest is forgotten. */
const KEYS_MAX = 2_048;

export interface OverlayOptions extends Pick<RelayedLinksOptions, "connectDirect" | "connectRelayed"> {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  listenAddresses(): readonly string[];
  /** Where a peer listens, as far as is known. */
  addressesOf(peerId: PeerId): readonly string[];
}

export class Overlay {
  readonly #options: OverlayOptions;
  readonly #signals: PeerSignals;
  readonly #questions: PeerQuestions;
  readonly #relayed: RelayedLinks;
  readonly #keys = new Map<PeerId, MeshKey>();
  readonly #links = new Map<PeerSession, SessionLink>();
  /** Sessions that were links and are no more. */
  readonly #parted = new WeakSet<PeerSession>();
  /** First contacts, told by the edge: only their signals may go through it. */
  readonly #introduced = new Set<PeerId>();
  readonly #unused = new Set<Timer>();
  readonly #closing = new AbortController();
  readonly #budget: LinkBudget;
  #mesh: Mesh | undefined;
  #expectedUntilMs = 0;
  /** A proved peer signalled. */
  onSignal: PeerSignals["onSignal"] = () => {};
  /** A neighbour that introduced newcomers is gone. */
  onBeaconLost: () => void = () => {};
  /** A session has become a link. */
  onLink: (session: PeerSession) => void = () => {};

  constructor(options: OverlayOptions) {
    this.#options = options;
    const { identity, network, runtime } = options;
    this.#signals = new PeerSignals({
      runtime,
      identity,
      network,
      question: (to, fields, how) => this.#questions.carry(to, fields, this.#closing.signal, how),
    });
    this.#questions = new PeerQuestions({
      runtime,
      identity,
      network,
      listenAddresses: () => options.listenAddresses(),
      named: () => this.#named(),
      mesh: () => this.#mesh,
      keyOf: (id) => this.#keyOf(id),
      onSignal: (fields, answer) => this.#signals.receive(fields, answer),
    });
    this.#relayed = new RelayedLinks({
      clock: runtime.clock,
      connectDirect: options.connectDirect.bind(options),
      connectRelayed: options.connectRelayed,
      links: () => this.#counts,
      isKnown: async (id, signal) => (await this.find(id, signal)) !== undefined,
    });
    this.#signals.onSignal = (...signal) => this.onSignal(...signal);
    this.#budget = runtime.name === "browser" ? LINK_BUDGETS.browser : LINK_BUDGETS.server;
  }

  /** Links to other peers that stand. */
  get size(): number {
    return this.#mesh?.size ?? 0;
  }

  /** Of them over a relay of the edge. */
  get relayedSize(): number {
    return this.#counts.relayed;
  }

  /** Sessions that are links now. */
  neighbours(): readonly PeerSession[] {
    return [...this.#links.keys()];
  }

  /** Messages that went no further: malformed, forged, replayed, expired, looping, too many. */
  get dropped(): number {
    return (this.#mesh?.dropped ?? 0) + this.#signals.refused;
  }

  /** Enough links stand to find everybody, and to be found, without the edge. */
  get isReady(): boolean {
    return this.#counts.direct >= READY_LINKS;
  }

  /** A peer offers a direct connection, which is to be a link if there is room: requests for that peer wait for it. `byEdge`: it may be new. */
  offered(peerId: PeerId, byEdge: boolean): void {
    this.#spawn(this.#keyOf(peerId).then((key) => this.#mesh?.expect(key, byEdge)));
  }

  /** Whether this peer introduces newcomers at the rendezvous. */
  setBeacon(isBeacon: boolean): void {
    this.#mesh?.setBeacon(isBeacon);
  }

  /** A first link is about to stand: some peer is being dialled, or a session has just begun. */
  expectLink(): void {
    this.#expectedUntilMs = this.#options.runtime.clock.monotonicMs() + FIRST_LINK_MS;
  }

  /** Whether there is a link; waits a little for one that is expected. @throws the signal's reason when aborted */
  async isLinked(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options.runtime;
    while (this.size === 0 && clock.monotonicMs() < this.#expectedUntilMs) {
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
    return this.size > 0;
  }

  async open(): Promise<Mesh> {
    const { runtime, identity } = this.#options;
    const key = await this.#keyOf(identity.id);
    this.#mesh = new Mesh({
      clock: runtime.clock,
      random: runtime.random,
      key,
      budget: this.#budget,
      contact: () => encodeContact({ id: identity.id, addresses: this.#options.listenAddresses() }),
      open: (contact, done) => this.#openLink(contact, done),
      deliver: (body, _, answer) => this.#questions.receive(body, answer),
      beaconLost: () => this.onBeaconLost(),
      turnedAway: (others) => this.#spawn(this.#goTo(decodeContacts(others))),
    });
    return this.#mesh;
  }

  /** Peers to begin with, named by an edge; it never fills more than half of the table, or a lying one could have all of it. */
  async join(contacts: readonly Contact[]): Promise<void> {
    const byEdge = [...this.#links.keys()].filter(({ peerId }) => this.#introduced.has(peerId)).length;
    const room = Math.max(0, Math.ceil(this.#budget.target / 2 - byEdge));
    const named = contacts.filter(({ id }) => id !== this.#options.identity.id).slice(0, room);
    for (const { id } of named) this.#introduced.add(id);
    await this.#goTo(named);
  }

  /** A session has begun, or its path has changed. */
  update(session: PeerSession): void {
    const link = this.#links.get(session);
    const { kind } = session.path;
    if (link !== undefined && kind === "relay") this.#relayed.fellBack(session);
    if (session.closing || !this.#relayed.allows(session)) this.detach(session);
    else if (link?.isRelayed !== (kind === "relay")) {
      // It counts, and is told of others, by the kind of its path.
      if (link !== undefined) this.#remove(session, link);
      if (this.size === 0) this.expectLink();
      this.#spawn(this.#attach(session));
    }
  }

  /** The session has ended, or is no link any more. */
  detach(session: PeerSession): void {
    const link = this.#links.get(session);
    if (link === undefined) return;
    this.#remove(session, link);
    if (session.closing) return;
    this.#parted.add(session);
    this.release(session);
  }

  /** Somebody needs a session no more: it is closed after a while, unless it is a link or used by others then. */
  release(session: PeerSession): void {
    const timer = this.#options.runtime.clock.setTimer(UNUSED_AFTER_MS, () => {
      this.#unused.delete(timer);
      if (this.#links.has(session) || session.closing) return;
      // It may belong to somebody who sleeps: it is kept for as long as sessions are, and looked at again.
      if (session.path.kind === "none") this.release(session);
      // Given up as a link by both sides, one of which stood still for a moment; who was reached directly is remembered and dialled.
      else if (this.size === 0 && session.path.kind === "relay") this.update(session);
      else if (session.streamCount === 0) this.#spawn(session.close());
    });
    this.#unused.add(timer);
  }

  /** A neighbour's message. */
  receive(session: PeerSession, message: Uint8Array): void {
    const link = this.#links.get(session);
    if (link !== undefined) {
      this.#mesh?.receive(link, message);
      return;
    }
    // The other side made us its neighbour first, or again. What else it says may be from before we parted.
    if (session.closing || (this.#parted.has(session) && !isGreeting(message))) return;
    if (session.path.kind === "relay" && isGreeting(message)) this.#relayed.offered(session);
    this.#spawn(
      this.#attach(session, (attached) => {
        if (attached !== undefined) this.#mesh?.receive(attached, message);
        else if (isGreeting(message))
          session.sendOverlay(encodeMesh({ kind: "bye", reason: "full", others: this.#named(session) }));
      }),
    );
  }

  /**
   * Asks a peer where it listens, through other peers.
   * @returns undefined when nobody of that id answers
   */
  find(peerId: PeerId, signal: AbortSignal): Promise<Contact | undefined> {
    return this.#questions.find(peerId, signal);
  }

  /**
   * Asks a peer whom it is linked to, through other peers: those that may forward to it, the ones that can be dialled first.
   * @returns none when nobody of that id answers
   */
  neighboursOf(peerId: PeerId, signal: AbortSignal): Promise<Contact[]> {
    return this.#questions.neighboursOf(peerId, signal);
  }

  /** Has a signal carried to a peer, sealed to it. @returns whether somebody says that it arrived; never rejects */
  signal(peerId: PeerId, message: SignalMessage): Promise<boolean> {
    return this.#signals.send(peerId, message);
  }

  close(): void {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#signals.close();
    for (const timer of this.#unused) timer.cancel();
    this.#unused.clear();
    this.#mesh?.close();
    this.#links.clear();
  }

  // --- what the mesh asks of a peer ---

  #openLink({ key, contact: bytes }: MeshContact, done: (opened: boolean) => void): void {
    const contact = decodeContact(bytes);
    if (contact === undefined) {
      done(false);
      return;
    }
    const isIntroduced = this.#introduced.has(contact.id);
    const how = { edge: isIntroduced, signal: this.#closing.signal };
    const opening = this.#keyOf(contact.id).then(async (own) => {
      if (own !== key) throw new PeerloomError("peer/not-found", "The contact is another peer's.");
      this.update(await this.#relayed.connect(contact, how, isIntroduced));
    });
    opening.then(
      () => done(true),
      (error: unknown) => {
        this.#options.runtime.log.debug("overlay link not opened", {
          peer: short(contact.id),
          error: String(error),
        });
        done(false);
      },
    );
  }

  /** Other peers to begin with, named by one. */
  async #goTo(contacts: readonly Contact[]): Promise<void> {
    const found: MeshContact[] = [];
    if (contacts.length > 0) this.expectLink();
    for (const contact of contacts)
      found.push({ key: await this.#keyOf(contact.id), contact: encodeContact(contact) });
    this.#mesh?.join(found);
  }

  /** Those that are the likeliest to be reached come first: by somebody who asks over a relay, those on a relay too. */
  #named(asker?: PeerSession): Uint8Array {
    const { addressesOf } = this.#options;
    const isLikely = ({ path, peerId }: PeerSession): boolean =>
      asker?.path.kind === "relay" ? path.kind === "relay" : addressesOf(peerId).length > 0;
    const contacts = [...this.#links.keys()]
      .sort((a, b) => Number(isLikely(b)) - Number(isLikely(a)))
      .slice(0, NAMED_MAX)
      .map(({ peerId }) => encodeContact({ id: peerId, addresses: addressesOf(peerId).slice(0, 2) }));
    return encode(contacts);
  }

  get #counts(): LinkCounts {
    let relayed = 0;
    for (const link of this.#links.values()) if (link.isRelayed) relayed += 1;
    return { direct: this.#links.size - relayed, relayed };
  }

  #remove(session: PeerSession, link: SessionLink): void {
    this.#links.delete(session);
    this.#mesh?.remove(link);
  }

  async #attach(
    session: PeerSession,
    then: (link: SessionLink | undefined) => void = () => {},
  ): Promise<void> {
    const key = await this.#keyOf(session.peerId);
    const mesh = this.#mesh;
    const standing = this.#links.get(session);
    if (standing !== undefined || mesh === undefined) {
      then(standing);
      return;
    }
    const link = new SessionLink(key, session, {
      detach: (each) => this.detach(each),
      contactOf: (peerId) => encodeContact({ id: peerId, addresses: this.#options.addressesOf(peerId) }),
    });
    // Ids cost nothing and addresses of one network little: however many sit there, they get a share of a table.
    const isWelcome = mesh.accepts(key, link.prefix);
    if (session.closing || !this.#relayed.takes(session) || !isWelcome) {
      then(undefined);
      return;
    }
    this.#links.set(session, link);
    this.#parted.delete(session);
    mesh.add(link);
    then(link);
    this.onLink(session);
  }

  async #keyOf(peerId: PeerId): Promise<MeshKey> {
    const known = this.#keys.get(peerId);
    if (known !== undefined) return known;
    const key = meshKeyOf(await this.#options.runtime.hash.sha256(publicKeyOf(peerId)));
    this.#keys.set(peerId, key);
    if (this.#keys.size > KEYS_MAX) this.#keys.delete(this.#keys.keys().next().value as PeerId);
    return key;
  }

  #spawn(task: Promise<unknown>): void {
    task.catch((error: unknown) => {
      this.#options.runtime.log.debug("overlay task ended", { error: String(error) });
    });
  }
}

function isGreeting(message: Uint8Array): boolean {
  try {
    return decodeMesh(message).kind === "greet";
  } catch {
    return false;
  }
}
