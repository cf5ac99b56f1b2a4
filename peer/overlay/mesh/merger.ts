/**
 * Two networks that touch at one link become one. Each end has the other's neighbours invited to their places in its own network:
 * who lives where such a stranger belongs links to it, and does the same with the neighbours of that one, so that the
 * networks grow together everywhere at once (ring unification by gossip: Shafaat, Ghodsi and Haridi, "Handling network
 * partitions and mergers in structured overlay networks", P2P 2007). In one network an invitation comes to the invited itself and ends there.
 *
 * Two that are to be linked cannot reach each other yet: what they say goes by the one who brought them together, the go-between.
 */
import { encode, type FieldReader } from "../../../shared/codec.ts";
import type { Clock, Random } from "../../runtime.ts";
import { Allowance } from "../allowance.ts";
import type { LinkTable } from "./link-table.ts";
import { BODY_BYTES_MAX, CONTACT_BYTES_MAX } from "./mesh-messages.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { Neighbour } from "./neighbour.ts";
import type { MeshContact } from "./openings.ts";
import { ASK, readKey, readKeys } from "./requests.ts";
import type { Requester } from "./requester.ts";

/** Whoever has fewer links is a newcomer and no network. */
const NETWORK_LINKS = 8;
/** Further neighbours of a stranger that are invited once one of them turned out to be unknown here. */
const FANOUT = 6;
/** Invitations sent; and those followed. */
const SENT_MAX = 16;
const SENT_PER_SECOND = 0.5;
const FOLLOWED_MAX = 6;
const FOLLOWED_PER_SECOND = 0.2;
/** How long two need to become linked, at most. */
const BETWEEN_MS = 30_000;
/** Pairs and ways remembered. */
const REMEMBERED_MAX = 32;

export interface MergerOptions extends Pick<Requester, "request"> {
  readonly own: MeshKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly table: LinkTable;
  /** Asks a neighbour for the contact of one of its own; the answer comes to `told`. */
  ask(via: Neighbour, key: MeshKey): void;
  open(contact: MeshContact): void;
  deliver(body: Uint8Array, from: MeshKey, answer: (body: Uint8Array) => void): void;
}

interface Invitation {
  readonly via: Neighbour;
  /** How many more of the neighbours of that one, if this one is unknown here. */
  readonly more: number;
}

export class Merger {
  readonly #options: MergerOptions;
  readonly #sent: Allowance;
  readonly #followed: Allowance;
  /** Contacts asked for. */
  readonly #asked = new Map<MeshKey, Invitation>();
  /** Brought together by this peer: whom each may reach through it. */
  readonly #pairs = new Map<MeshKey, { readonly other: MeshKey; readonly untilMs: number }>();
  /** Who is reached through which go-between. */
  readonly #ways = new Map<MeshKey, { readonly through: MeshKey; readonly untilMs: number }>();

  constructor(options: MergerOptions) {
    this.#options = options;
    const nowMs = options.clock.monotonicMs();
    this.#sent = new Allowance(SENT_MAX, SENT_PER_SECOND, nowMs);
    this.#followed = new Allowance(FOLLOWED_MAX, FOLLOWED_PER_SECOND, nowMs);
  }

  /** A neighbour has told its table for the first time: with nobody in common it may be of another network. */
  greeted(neighbour: Neighbour): void {
    const { table } = this.#options;
    const { digest } = neighbour;
    if (table.size <= NETWORK_LINKS || digest.size < NETWORK_LINKS) return;
    if (digest.keys.some((key) => table.neighbours.has(key))) return;
    this.#invite(neighbour, FANOUT);
  }

  /** A neighbour has told a contact. @returns whether it was asked for here */
  told(from: Neighbour, key: MeshKey, contact: Uint8Array): boolean {
    const invitation = this.#asked.get(key);
    if (invitation?.via !== from) return false;
    this.#asked.delete(key);
    const through = this.#towards(key, from);
    if (contact.length === 0 || through === undefined) return true;
    const body = encode([ASK.meet, key, contact]);
    this.#options.request(key, false, body, { through }, (answer) => {
      const [follower] = answer === undefined ? [] : (readKeys(answer.body) ?? []);
      if (follower === undefined) return;
      this.#remember(this.#pairs, key, { other: follower, untilMs: this.#untilMs() });
      this.#remember(this.#pairs, follower, { other: key, untilMs: this.#untilMs() });
      for (let i = 0; i < invitation.more; i++) this.#invite(from, 0);
    });
    return true;
  }

  /** Serves what other peers' mergers ask. @returns whether it was answered here */
  serve(
    ask: number,
    fields: FieldReader,
    { exact, origin }: { readonly exact: boolean; readonly origin: MeshKey },
    answer: (body: Uint8Array) => void,
  ): boolean {
    const key = readKey(fields);
    if (ask === ASK.meet) {
      if (exact) return false;
      const follows = this.#follow({ key, contact: fields.bytes(1, CONTACT_BYTES_MAX) }, origin);
      answer(encode(follows ? [this.#options.own] : []));
      return true;
    }
    const body = fields.bytes(0, BODY_BYTES_MAX);
    if (!exact) return false;
    if (ask === ASK.handOn) {
      if (this.#known(this.#pairs, origin)?.other !== key) return false;
      this.#options.request(key, true, encode([ASK.handedOn, origin, body]), {}, (handed) => {
        if (handed !== undefined) answer(handed.body);
      });
      return true;
    }
    // Only who belongs beside this peer is answered by the way it came: a liar can make nobody else unreachable.
    const { table } = this.#options;
    if (table.isSibling(key) && !table.neighbours.has(key))
      this.#remember(this.#ways, key, { through: origin, untilMs: this.#untilMs() });
    this.#options.deliver(body, key, answer);
    return true;
  }

  /** A way to a peer that can only be reached by a go-between: its key and what to ask it. */
  wayTo(
    key: MeshKey,
    body: Uint8Array,
  ): { readonly through: MeshKey; readonly body: Uint8Array } | undefined {
    if (this.#ways.size === 0 || this.#options.table.neighbours.has(key)) return undefined;
    const way = this.#known(this.#ways, key);
    return way === undefined ? undefined : { through: way.through, body: encode([ASK.handOn, key, body]) };
  }

  #invite(via: Neighbour, more: number): void {
    const { table, clock, random } = this.#options;
    const { digest } = via;
    const key = digest.keys[Math.floor(random.unit() * digest.size)];
    if (key === undefined) return;
    const isKnown = key === this.#options.own || table.neighbours.has(key) || this.#asked.has(key);
    if (isKnown || !this.#sent.take(clock.monotonicMs())) return;
    this.#remember(this.#asked, key, { via, more });
    this.#options.ask(via, key);
  }

  /** The neighbour closest to a key, of those that are no strangers themselves. */
  #towards(key: MeshKey, stranger: Neighbour): Neighbour | undefined {
    const isFamiliar = (one: Neighbour): boolean =>
      one !== stranger && !one.isSuspect && !one.digest.has(stranger.key);
    return this.#options.table.closest(key, this.#options.table.size).find(isFamiliar);
  }

  #follow(contact: MeshContact, origin: MeshKey): boolean {
    const { own, table, clock } = this.#options;
    const { key } = contact;
    if (key === own || table.neighbours.has(key) || !table.isSibling(key)) return false;
    for (const { digest } of table.neighbours.values()) if (digest.has(key)) return false;
    if (!this.#followed.take(clock.monotonicMs())) return false;
    this.#remember(this.#ways, key, { through: origin, untilMs: this.#untilMs() });
    this.#options.open(contact);
    return true;
  }

  #untilMs(): number {
    return this.#options.clock.monotonicMs() + BETWEEN_MS;
  }

  #known<T extends { readonly untilMs: number }>(map: Map<MeshKey, T>, key: MeshKey): T | undefined {
    const known = map.get(key);
    if (known === undefined || known.untilMs > this.#options.clock.monotonicMs()) return known;
    map.delete(key);
    return undefined;
  }

  #remember<T>(map: Map<MeshKey, T>, key: MeshKey, value: T): void {
    map.delete(key);
    map.set(key, value);
    if (map.size > REMEMBERED_MAX) map.delete(map.keys().next().value as MeshKey);
  }
}
