/**
 * Which sessions on an edge's relay are links of the overlay. Those on a direct path always are; each message over a relay is billed to the edge, so
 * few are, and only where they are needed: for a peer that reaches hardly anybody directly, and between parts of a network that do not reach
 * each other. Who accepts one does so because the other side needs it.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Clock } from "../runtime.ts";
import type { PeerSession } from "../session/session.ts";

/** Of one peer, whoever began them. They show no address, so this also bounds what a crowd of one machine may have of a table. */
const RELAYED_MAX = 8;
/** With fewer links of any kind, a peer that is not reached directly is linked to over the relay. */
const LINKS_WANTED = 3;
/** A direct link to it has a head start of so much, unless it fails before. As long as that links that were begun together have to stand. */
const RELAY_AFTER_MS = 3_000;

export interface LinkCounts {
  readonly direct: number;
  readonly relayed: number;
}

export interface DirectOptions {
  /** The rendezvous may carry the signals. */
  readonly edge: boolean;
  readonly signal: AbortSignal;
}

export interface RelayedLinksOptions {
  readonly clock: Clock;
  /** Links that stand. */
  links(): LinkCounts;
  /** Makes a session on a direct path. */
  connectDirect(contact: Contact, options: DirectOptions): Promise<PeerSession>;
  /** Makes one on whatever path. Undefined where no relay may be used. */
  readonly connectRelayed?: ((id: PeerId, signal: AbortSignal) => Promise<PeerSession>) | undefined;
  /** Whether other peers know one. */
  isKnown(id: PeerId, signal: AbortSignal): Promise<boolean>;
}

export class RelayedLinks {
  readonly #options: RelayedLinksOptions;
  /** Sessions that may be links over a relay: one side of each needs it. */
  readonly #needed = new WeakSet<PeerSession>();
  /** Being made; they count as if they stood. */
  #opening = 0;

  constructor(options: RelayedLinksOptions) {
    this.#options = options;
  }

  /** Whether a session may be a link, on the path that it has now. */
  allows(session: PeerSession): boolean {
    const { kind } = session.path;
    return kind === "direct" || (kind === "relay" && this.#needed.has(session));
  }

  /** The same of one that is no link yet: several may come at once. */
  takes(session: PeerSession): boolean {
    const isRoom = session.path.kind === "direct" || this.#options.links().relayed < RELAYED_MAX;
    return isRoom && this.allows(session);
  }

  /** The other side has begun a link over a session that is on a relay. */
  offered(session: PeerSession): void {
    if (this.#hasRoom) this.#needed.add(session);
  }

  /** A link's direct path was lost, and its session is on a relay now. It is kept where there are few others. */
  fellBack(session: PeerSession): void {
    if (this.#isShort(1) && this.#hasRoom) this.#needed.add(session);
  }

  /**
   * A session to be a link, on a direct path if there is one.
   * @param isIntroduced the edge has named this peer, so it may be of a part of the network that others here do not know
   * @throws PeerloomError as `connectDirect` and `connectRelayed`
   */
  async connect(contact: Contact, options: DirectOptions, isIntroduced: boolean): Promise<PeerSession> {
    const { clock, connectDirect, connectRelayed, isKnown } = this.#options;
    const { signal } = options;
    const direct = connectDirect(contact, options);
    if (connectRelayed === undefined) return direct;
    const relayed = async (): Promise<PeerSession> => {
      this.#opening += 1;
      try {
        const session = await connectRelayed(contact.id, signal);
        this.#needed.add(session);
        if (this.allows(session)) return session;
        throw new PeerloomError("connect/no-path", `No link to ${short(contact.id)} is possible.`);
      } finally {
        this.#opening -= 1;
      }
    };
    const settled = new AbortController();
    direct.catch(() => {}).finally(() => settled.abort());
    await clock.sleep(RELAY_AFTER_MS, settled.signal).catch(() => {}); // It is known then what became of the direct one.
    if (!settled.signal.aborted && this.#isShort() && this.#hasRoom) return Promise.any([direct, relayed()]);
    try {
      return await direct;
    } catch (error) {
      if (!this.#isShort()) {
        if (!isIntroduced) throw error;
        await clock.sleep(RELAY_AFTER_MS, signal);
        if (!this.#isShort() && (await isKnown(contact.id, signal))) throw error;
      }
      if (!this.#hasRoom) throw error;
      return relayed();
    }
  }

  get #hasRoom(): boolean {
    return this.#options.links().relayed + this.#opening < RELAYED_MAX;
  }

  /** @param leaving links that count no more */
  #isShort(leaving = 0): boolean {
    const { direct, relayed } = this.#options.links();
    return direct + relayed + this.#opening - leaving < LINKS_WANTED;
  }
}
