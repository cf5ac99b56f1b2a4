/**
 * Who else is in a swarm, as far as this peer knows from streams of its own: getters that give as well, and sources that gave something. It
 * tells them to each other (peer exchange), and a download looks here for sources.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { TicketProvider } from "./ticket.ts";

/** Past that the one known longest is forgotten. */
export const MEMBERS_MAX = 64;

export class Members {
  readonly #members = new Map<PeerId, TicketProvider>();
  readonly #listeners = new Set<(member: TicketProvider) => void>();

  all(): readonly TicketProvider[] {
    return [...this.#members.values()];
  }

  add(member: TicketProvider): void {
    const isNew = !this.#members.has(member.id);
    this.#members.delete(member.id);
    this.#members.set(member.id, member);
    const [oldest] = this.#members.keys();
    if (this.#members.size > MEMBERS_MAX && oldest !== undefined) this.#members.delete(oldest);
    if (isNew) for (const listener of this.#listeners) listener(member);
  }

  delete(id: PeerId): void {
    this.#members.delete(id);
  }

  /** Calls for each that is new. @returns ends it */
  watch(listener: (member: TicketProvider) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
