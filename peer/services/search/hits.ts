/**
 * What a search has found so far: tickets from strangers, read before anybody sees them, and the same content of several peers made one. A ticket
 * that is none, that is of another network or names nobody is dropped. What a name says is its sharer's word until the manifest is
 * there; that the bytes are those of the hash is proved when they are fetched.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import {
  formatTicket,
  parseTicket,
  PROVIDERS_MAX,
  type Ticket,
  TICKET_CHARACTERS_MAX,
} from "../files/ticket.ts";

/** `own`: this peer shares it itself. */
export type SearchWay = "own" | "index" | "dht" | "flood";

export interface SearchHit {
  /** As its sharer calls it; safe to print. */
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of the manifest, hex: what the ticket fetches. */
  readonly hash: string;
  /** For `files.get`; it names those who have it. */
  readonly ticket: string;
  /** The way that found it first. */
  readonly via: SearchWay;
  /** Peers known to have it. */
  readonly sources: number;
}

interface Found {
  readonly ticket: Ticket;
  readonly via: SearchWay;
  sources: number;
  providers: Ticket["providers"];
}

export class Hits {
  readonly #network: NetworkName;
  readonly #limit: number;
  readonly #waiting = new Map<string, Found>();
  readonly #given = new Set<string>();

  constructor(network: NetworkName, limit: number) {
    this.#network = network;
    this.#limit = limit;
  }

  /** Sound answers so far, what was known already among them. */
  answers = 0;

  /** Different contents, given out or waiting. */
  get count(): number {
    return this.#given.size + this.#waiting.size;
  }

  get left(): number {
    return Math.max(0, this.#limit - this.count);
  }

  /** @param known what an index says: the hash, and how many have it */
  add(
    texts: readonly string[],
    via: SearchWay,
    known?: { readonly hash: string; readonly sources: number },
  ): void {
    for (const text of texts) {
      const ticket = readHit(text, this.#network);
      if (ticket === undefined) continue;
      const hash = toHex(ticket.hash);
      if (known !== undefined && known.hash !== hash) continue;
      this.answers += 1;
      if (this.#given.has(hash)) continue;
      const there = this.#waiting.get(hash);
      if (there === undefined && this.left === 0) continue;
      const found = there ?? { ticket, via, sources: 0, providers: [] };
      found.providers = withProvider(found.providers, ticket);
      found.sources = Math.max(found.sources, found.providers.length, known?.sources ?? 0);
      this.#waiting.set(hash, found);
    }
  }

  /** Gives out what waits; the same is not found again. */
  take(): SearchHit[] {
    const hits = [...this.#waiting].map(([hash, { ticket, via, sources, providers }]) => {
      this.#given.add(hash);
      const { name, bytes } = ticket;
      return {
        name: printableName(name),
        bytes,
        hash,
        ticket: formatTicket({ ...ticket, providers }),
        via,
        sources,
      };
    });
    this.#waiting.clear();
    return hits;
  }
}

/**
 * A listed ticket is its sharer's own and names it first. Others in it are left out, and so is who makes the ticket too long: else one liar could
 * crowd out all who do have it.
 */
function withProvider(known: Ticket["providers"], ticket: Ticket): Ticket["providers"] {
  const [sharer] = ticket.providers;
  if (sharer === undefined || known.length >= PROVIDERS_MAX || known.some(({ id }) => id === sharer.id))
    return known;
  const providers = [...known, sharer];
  return formatTicket({ ...ticket, providers }).length <= TICKET_CHARACTERS_MAX ? providers : known;
}

/** Undefined: no ticket, of another network, or without anybody who has it. */
export function readHit(text: string, network: NetworkName): Ticket | undefined {
  try {
    const ticket = parseTicket(text);
    return ticket.network === network && ticket.providers.length > 0 ? ticket : undefined;
  } catch (error) {
    if (error instanceof PeerloomError) return undefined;
    throw error;
  }
}

/** Tickets with control characters in their names are refused already; these would turn a line's direction or break it. */
export function printableName(name: string): string {
  return name.replaceAll(/[\p{Zl}\p{Zp}\u061c\u200e\u200f\ufeff]/gu, "\u{fffd}");
}
