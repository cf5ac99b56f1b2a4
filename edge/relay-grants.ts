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
import { mintTicket } from "./tickets.ts";

const QUOTA_SPENT =
  "Relays have passed as much for one of the two as its invite allows in a day. Reach each other directly, or wait for the next day.";

type RelayAsk = Extract<ToRendezvous, { readonly kind: "relay" }>;

export class RelayGrants {
  readonly #core: RendezvousCore;

  constructor(core: RendezvousCore) {
    this.#core = core;
  }

  /** Bytes a day that relays pass for a member of this shard; undefined: any number, or it is not here. */
  quota(id: PeerId): number | undefined {
    return this.#core.members.get(id)?.pass?.relayBytesPerDay;
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
    const quotas = [this.quota(member.id), await this.#quotaElsewhere(member, to)] as const;
    if (await this.#isQuotaSpent(member, [member.id, to], quotas)) {
      const code = "network/relay-quota";
      this.#core.send(socket, { kind: "error", request, code, message: QUOTA_SPENT });
      return;
    }
    const channel = channelIdFrom(crypto.getRandomValues(new Uint8Array(CHANNEL_ID_BYTES)));
    const expiresMs = Date.now() + RELAY_TICKET_TTL_MS;
    const key = await ticketKey(env);
    const { network } = member;
    const [own, other] = await Promise.all([
      mintTicket(
        {
          channel,
          side: 0,
          peer: member.id,
          network,
          expiresMs,
          ...(quotas[0] !== undefined && { quotaBytes: quotas[0] }),
        },
        key,
      ),
      mintTicket(
        {
          channel,
          side: 1,
          peer: to,
          network,
          expiresMs,
          ...(quotas[1] !== undefined && { quotaBytes: quotas[1] }),
        },
        key,
      ),
    ]);
    const offer = encodeFromRendezvous({
      kind: "relay-offer",
      from: member.id,
      channel,
      ticket: other,
      sealed,
    });
    if (this.#core.deliver(to, offer) || (await this.#core.deliverElsewhere(member, to, offer))) {
      this.#core.send(socket, { kind: "relay-ready", request, channel, ticket: own });
    } else this.#core.notFound(socket, request);
  }

  async #quotaElsewhere({ network, shard }: Joined, id: PeerId): Promise<number | undefined> {
    const { members, others } = this.#core;
    const isElsewhere = networkKindOf(network) === "invite" && others.any && !members.get(id);
    if (!isElsewhere) return this.quota(id);
    this.#core.countCalls(network);
    return others.relayQuota(network, shard, id);
  }

  /** Told before a channel is made that would carry nothing. */
  async #isQuotaSpent(
    { network, shard }: Joined,
    members: readonly [PeerId, PeerId],
    quotas: readonly [number | undefined, number | undefined],
  ): Promise<boolean> {
    const { env, book } = this.#core;
    for (const [index, quotaBytes] of quotas.entries()) {
      if (quotaBytes === undefined) continue;
      const member = members[index as 0 | 1];
      const first = env.RENDEZVOUS.getByName(rendezvousName(network, 0));
      const left =
        shard === 0
          ? book.relayLeft(member, quotaBytes, Date.now())
          : await first.relayLeft(member, quotaBytes);
      if (left <= 0) return true;
    }
    return false;
  }
}
