/** What the parts of one rendezvous share: its members and its account, the other shards, and how a socket is told something and closed. */
import type { Stage, Usage } from "../shared/budget.ts";
import type { ErrorCode } from "../shared/errors.ts";
import { REFUSAL_TEXT } from "../shared/credential.ts";
import type { NetworkName, PeerId } from "../shared/ids.ts";
import { encodeFromRendezvous, type FromRendezvous } from "../shared/messages.ts";
import { BansShelf } from "./bans-shelf.ts";
import { bans, OVER_BUDGET } from "./door.ts";
import type { Env } from "./env.ts";
import { type Joined, Members } from "./members.ts";
import { Meter } from "./meter.ts";
import { meteredKv } from "./metered-kv.ts";
import { Counters, type Report, sendReport } from "./metrics.ts";
import { NetworkBook } from "./network-book.ts";
import { closeSocket } from "./sockets.ts";
import { OtherShards, rendezvousName } from "./shards.ts";
import { Stubborn } from "./stubborn.ts";

/** Close codes of a rendezvous socket; the reason is the error code. */
export const CLOSE = {
  normal: 1000,
  replaced: 4001,
  policy: 1008,
  tooLarge: 1009,
  restart: 1012,
  later: 1013,
} as const;

/** What `network/too-many-invites` says; peers say it of none. */
const TOO_MANY_INVITES =
  "This network's edge counts as many invites as it can. Ask for one without a use count, or for old ones to be revoked.";

export class RendezvousCore {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly members: Members;
  readonly others: OtherShards;
  readonly meter: Meter;
  readonly stubborn: Stubborn;
  readonly book: NetworkBook;
  readonly shelf: BansShelf;
  readonly counters: Counters = new Counters();

  constructor(ctx: DurableObjectState, env: Env) {
    this.ctx = ctx;
    this.env = env;
    const spend = (usage: Partial<Usage>): void => this.meter.use(usage, this.network, Date.now());
    this.book = new NetworkBook({ kv: meteredKv(ctx.storage.kv, spend) });
    this.shelf = new BansShelf(ctx.storage, spend);
    this.members = new Members(ctx.getWebSockets(), Date.now());
    this.others = new OtherShards(env, {
      calls: (network) => this.meter.use({ objectRequests: 1 }, network, Date.now()),
      keep: (work) => ctx.waitUntil(work),
    });
    this.meter = new Meter({
      ctx,
      env,
      kind: "rendezvous",
      name: ctx.id.name ?? "",
      present: () => ({ sockets: this.members.size, members: this.members.joinedCount }),
      onStage: (stage, leftMs) => this.#stageChanged(stage, leftMs),
    });
    this.stubborn = new Stubborn(ctx, this.meter);
  }

  get network(): NetworkName {
    const name = this.ctx.id.name ?? "";
    return name.slice(0, name.lastIndexOf("/")) as NetworkName;
  }

  /**
   * A member of this shard is sent a message of another. What would be more than it may be sent is lost: a flood must not have the other shards
   * asked for it as well.
   * @returns whether it is here
   */
  deliver(to: PeerId, bytes: Uint8Array): boolean {
    const member = this.members.get(to);
    if (member === undefined) return false;
    if (this.members.mayReceive(member.socket, bytes.length, Date.now()))
      return this.sendBytes(member.socket, bytes);
    this.counters.add("errors:edge/rate-limited");
    return true;
  }

  async deliverElsewhere({ network, shard }: Joined, to: PeerId, bytes: Uint8Array): Promise<boolean> {
    return this.others.any && this.others.deliver(network, shard, to, bytes);
  }

  /** A question to all other shards. */
  countCalls(network: NetworkName): void {
    this.meter.use({ objectRequests: this.others.count }, network, Date.now());
  }

  /** Whoever joined before under this id goes. */
  retire(id: PeerId): void {
    const member = this.members.get(id);
    if (member === undefined) return;
    this.refuse(
      member.socket,
      CLOSE.replaced,
      "edge/replaced",
      "The same peer has joined again on another socket.",
    );
  }

  notFound(socket: WebSocket, request: number): void {
    this.send(socket, {
      kind: "error",
      request,
      code: "peer/not-found",
      message: "No member of that id is here.",
    });
  }

  /** Its address prefix stays out, for longer each time. Sockets are tagged with their prefix. */
  ban(socket: WebSocket): void {
    const [prefix] = this.ctx.getTags(socket);
    if (prefix !== undefined) bans.add(prefix, Date.now());
  }

  /** It said what nobody says in good faith, but may by a defect: its address prefix stays out when that comes often. */
  strike(socket: WebSocket): void {
    const [prefix] = this.ctx.getTags(socket);
    if (prefix !== undefined) bans.strike(prefix, Date.now());
  }

  /** No member any more, or not yet. */
  putOut(socket: WebSocket, code: ErrorCode): void {
    this.refuse(socket, CLOSE.policy, code, REFUSAL_TEXT[code] ?? TOO_MANY_INVITES);
  }

  /** Tells the socket why, closes it, and forgets it. */
  refuse(socket: WebSocket, closeCode: number, code: ErrorCode, message: string): void {
    this.send(socket, { kind: "error", request: 0, code, message });
    const state = this.members.state(socket);
    this.members.remove(socket);
    socket.serializeAttachment(null);
    closeSocket(socket, closeCode, code);
    if (state?.phase !== "joined") this.stubborn.closedStranger(socket);
    this.counters.add(`errors:${code}`);
    if (state !== undefined && state.phase !== "verifying") this.#reportIfDue(state);
  }

  left(socket: WebSocket): void {
    const state = this.members.state(socket);
    this.members.remove(socket);
    socket.serializeAttachment(null);
    closeSocket(socket, CLOSE.normal, ""); // workerd does not answer a close by itself once the object has slept, and the peer would wait in vain
    if (state === undefined || state.phase === "verifying") return;
    if (this.members.size === 0) {
      void this.meter.finish(state.network);
      this.#report(state);
    } else this.#reportIfDue(state);
  }

  /** Counts something, and reports if that is due. */
  counted(member: Joined, name: "joins" | "signals" | "finds"): void {
    this.counters.add(name);
    this.#reportIfDue(member);
  }

  drainCounters(): Report {
    const { size, joinedCount } = this.members;
    return { counts: this.counters.drain(), sockets: size, members: joinedCount };
  }

  send(socket: WebSocket, message: FromRendezvous): void {
    this.sendBytes(socket, encodeFromRendezvous(message));
  }

  sendBytes(socket: WebSocket, bytes: Uint8Array): boolean {
    try {
      socket.send(bytes);
      return true;
    } catch {
      return false; // closing; its event is still to come
    }
  }

  /** Outgoing messages cost nothing. When the edge closes, so do its sockets: each could still send. */
  #stageChanged(stage: Stage, leftMs: number): void {
    for (const { socket, hearsBudget } of this.members.all()) {
      if (hearsBudget) this.send(socket, { kind: "budget", stage, leftMs, pass: "" });
    }
    if (stage !== "closed") return;
    for (const socket of this.ctx.getWebSockets()) {
      if (this.members.state(socket) !== undefined)
        this.refuse(socket, CLOSE.later, "edge/over-budget", OVER_BUDGET);
    }
  }

  #reportIfDue(of: Pick<Joined, "network" | "shard">): void {
    if (this.counters.takeTurn(Date.now())) this.#report(of);
  }

  #report({ network, shard }: Pick<Joined, "network" | "shard">): void {
    this.meter.use({ objectRequests: 1 }, network, Date.now());
    sendReport(
      this.ctx,
      this.env,
      { kind: "rendezvous", name: rendezvousName(network, shard) },
      this.drainCounters(),
    );
  }
}
