/** Makes relay channels for two members: who may have one, and the tickets that open it. */
import { isAtLeast } from "../shared/budget.ts";
import { REFUSAL_TEXT } from "../shared/credential.ts";
import { CHANNEL_ID_BYTES, channelIdFrom, networkKindOf, type PeerId } from "../shared/ids.ts";
import { RELAY_TICKET_TTL_MS } from "../shared/limits.ts";
import { encodeFromRendezvous, type ToRendezvous } from "../shared/messages.ts";
import { ticketKey } from "./edge-keys.ts";
import type { Joined } from "./members.ts";
import { may } from "./passes.ts";
import type { RendezvousCore } from "./rendezvous-core.ts";
import { rendezvousName } from "./shards.ts";
import { mintTicket, type RelayMembership, type RelaySide } from "./tickets.ts";

const QUOTA_SPENT =
  "Relays have passed as much for one of the two as its invite allows in a day. Reach each other directly, or wait for the next day.";

type RelayAsk = Extract<ToRendezvous, { readonly kind: "relay" }>;

export class RelayGrants {
  readonly #core: RendezvousCore;

  constructor(core: RendezvousCore) {
    this.#core = core;
  }

  /** Undefined when the member is not here, or is one no longer. */
  membership(id: PeerId): RelayMembership | undefined {
    const pass = this.#core.members.get(id)?.pass;
    if (pass === undefined || pass.expiresMs <= Date.now()) return undefined;
    const { expiresMs, keys, relayBytesPerDay: quotaBytes } = pass;
    return { expiresMs, keys, ...(quotaBytes !== undefined && { quotaBytes }) };
  }

  async grant(socket: WebSocket, member: Joined, { request, to, sealed }: RelayAsk): Promise<void> {
    const { env, meter } = this.#core;
    if (to === member.id) {
      this.#core.send(socket, {
        kind: "error",
        request,
        code: "connect/self",
        message: "A relay channel has two peers.",
      });
      return;
    }
    if (isAtLeast(meter.stage(Date.now()), "relay-off")) {
      const text = "This edge relays no more today. Reach each other directly.";
      this.#core.send(socket, { kind: "error", request, code: "edge/relay-off", message: text });
      return;
    }
    if (!may(member.pass, "relay")) {
      const code = "network/not-allowed";
      this.#core.send(socket, { kind: "error", request, code, message: REFUSAL_TEXT[code] ?? code });
      return;
    }
    const { network } = member;
    const isByInvite = networkKindOf(network) === "invite";
    const [own, other] = isByInvite
      ? [this.membership(member.id), await this.#membershipAnywhere(member, to)]
      : [];
    if (isByInvite && (own === undefined || other === undefined)) {
      this.#core.notFound(socket, request);
      return;
    }
    if (await this.#isQuotaSpent(member, [own, other])) {
      const code = "network/relay-quota";
      this.#core.send(socket, { kind: "error", request, code, message: QUOTA_SPENT });
      return;
    }
    const channel = channelIdFrom(crypto.getRandomValues(new Uint8Array(CHANNEL_ID_BYTES)));
    const expiresMs = Date.now() + RELAY_TICKET_TTL_MS;
    const key = await ticketKey(env);
    const ticket = (side: RelaySide, peer: PeerId, membership?: RelayMembership): Promise<string> =>
      mintTicket({ channel, side, peer, network, expiresMs, ...(membership && { membership }) }, key);
    const tickets = await Promise.all([ticket(0, member.id, own), ticket(1, to, other)]);
    const offer = encodeFromRendezvous({
      kind: "relay-offer",
      from: member.id,
      channel,
      ticket: tickets[1],
      sealed,
    });
    if (this.#core.deliver(to, offer) || (await this.#core.deliverElsewhere(member, to, offer))) {
      this.#core.send(socket, { kind: "relay-ready", request, channel, ticket: tickets[0] });
    } else this.#core.notFound(socket, request);
  }

  async #membershipAnywhere({ network, shard }: Joined, id: PeerId): Promise<RelayMembership | undefined> {
    const { members, others } = this.#core;
    if (members.get(id) !== undefined || !others.any) return this.membership(id);
    this.#core.countCalls(network);
    return others.relayMembership(network, shard, id);
  }

  /** Told before a channel is made that would carry nothing. */
  async #isQuotaSpent(
    { network, shard }: Joined,
    memberships: readonly (RelayMembership | undefined)[],
  ): Promise<boolean> {
    const { env, book } = this.#core;
    for (const { keys, quotaBytes } of memberships.filter((one) => one !== undefined)) {
      if (quotaBytes === undefined) continue;
      const member = keys.at(-1) as PeerId;
      const left =
        shard === 0
          ? book.relayLeft(member, quotaBytes, Date.now())
          : await env.RENDEZVOUS.getByName(rendezvousName(network, 0)).relayLeft(member, quotaBytes);
      if (left <= 0) return true;
    }
    return false;
  }
}
