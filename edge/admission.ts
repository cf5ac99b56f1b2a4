/** How a peer comes in: an upgrade is answered by a challenge, a join by what the network looks like. */
import { isAtLeast } from "../shared/budget.ts";
import { sha256 } from "../shared/bytes.ts";
import { refusalOf } from "../shared/credential.ts";
import type { ErrorCode } from "../shared/errors.ts";
import { type NetworkName, parseNetworkName, parsePeerId, type PeerId, publicKeyOf } from "../shared/ids.ts";
import { BEACONS_MAX, RENDEZVOUS_SOCKETS_MAX, RETURN_PASS_TTL_MS, WIRE_VERSION } from "../shared/limits.ts";
import type { Contact } from "../shared/messages.ts";
import { beaconsKept, pickBeacons } from "./beacons.ts";
import { bannedResponse, bans, closedResponse } from "./door.ts";
import { ticketKey } from "./edge-keys.ts";
import { errorResponse } from "./http-errors.ts";
import { challengeVersion, type JoinMessage, refusalOfJoin } from "./join.ts";
import type { Greeted, Joined, Member } from "./members.ts";
import { decodeMember, type EdgeMember, MEMBER_HEADER } from "./passes.ts";
import { acceptedOrigins, addressPrefix, clientAddress, SOCKETS_PER_PREFIX_MAX } from "./policy.ts";
import { CLOSE, type RendezvousCore } from "./rendezvous-core.ts";
import { BACK_HEADER, BACK_QUERY, mintReturnPass } from "./return-pass.ts";
import { rendezvousName, SHARD_HEADER } from "./shards.ts";

const NONCE_BYTES = 32;

export class Admission {
  readonly #core: RendezvousCore;

  constructor(core: RendezvousCore) {
    this.#core = core;
  }

  /** Opens a socket and sends its challenge. The Worker has checked the network's name. */
  open(request: Request): Response {
    const { ctx, env, members, meter } = this.#core;
    const nowMs = Date.now();
    for (const socket of members.overdue(nowMs)) {
      this.#core.refuse(
        socket,
        CLOSE.policy,
        "edge/challenge-failed",
        "No join came in time. Connect again.",
      );
    }
    const network = parseNetworkName(new URL(request.url).pathname.split("/")[3] ?? "");
    if (network === undefined) return errorResponse("network/invalid-name", "This is not a network name.");
    meter.upgrade(network, nowMs);
    if (meter.stage(nowMs) === "closed") return closedResponse(meter.leftMs(nowMs));
    if (members.size >= RENDEZVOUS_SOCKETS_MAX) {
      return errorResponse(
        "edge/over-capacity",
        "This network's rendezvous is full. Raise RENDEZVOUS_SHARDS, or try again later.",
      );
    }
    const address = clientAddress(request);
    const prefix = addressPrefix(address);
    const bannedMs = bans.leftMs(prefix, nowMs);
    if (bannedMs > 0) return bannedResponse(bannedMs);
    if (prefix !== undefined && ctx.getWebSockets(prefix).length >= SOCKETS_PER_PREFIX_MAX) {
      return errorResponse(
        "edge/too-many-sockets",
        `${prefix} has ${SOCKETS_PER_PREFIX_MAX} sockets open. Close some.`,
      );
    }
    const { 0: client, 1: socket } = new WebSocketPair();
    ctx.acceptWebSocket(socket, prefix === undefined ? [] : [prefix]);
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const origins = acceptedOrigins(env, request);
    const shard = Number(request.headers.get(SHARD_HEADER) ?? 0);
    const hearsBudget = new URL(request.url).searchParams.has(BACK_QUERY);
    const passOf = parsePeerId(request.headers.get(BACK_HEADER) ?? "");
    const pass = decodeMember(request.headers.get(MEMBER_HEADER));
    members.greet(socket, {
      phase: "greeted",
      nonce,
      atMs: nowMs,
      origins,
      network,
      shard,
      address,
      hearsBudget,
      passOf,
      ...(pass !== undefined && { pass }),
    });
    this.#core.send(socket, {
      kind: "challenge",
      version: challengeVersion(request),
      nonce,
      timeMs: nowMs,
    });
    return new Response(null, { status: 101, webSocket: client });
  }

  async join(socket: WebSocket, greeted: Greeted, join: JoinMessage): Promise<void> {
    const { env, members, meter, others, book } = this.#core;
    members.beginVerifying(socket);
    const refusal = await refusalOfJoin(join, greeted, Date.now());
    const key = await sha256(publicKeyOf(join.id));
    if (members.state(socket) === undefined) return; // it left meanwhile
    if (refusal !== undefined) {
      if (refusal.isForged) this.#core.strike(socket);
      this.#core.refuse(socket, CLOSE.policy, refusal.code, refusal.message);
      return;
    }
    const { network, shard, address, hearsBudget, pass } = greeted;
    if (greeted.passOf !== join.id && meter.stage(Date.now()) === "members") {
      const message = "This edge takes no newcomers today. Join through a peer that is in.";
      this.#core.refuse(socket, CLOSE.later, "edge/over-budget", message);
      return;
    }
    const kept = pass && (await this.#refusalOfMember(network, shard, pass, join.id));
    if (members.state(socket) === undefined) return;
    if (kept !== undefined) {
      this.#core.putOut(socket, kept);
      return;
    }
    const back = hearsBudget ? await this.#returnPass(join.id, network) : "";
    if (members.state(socket) === undefined) return;
    this.#core.retire(join.id);
    const known = members.beacons();
    const beacons = pickBeacons(known.length >= BEACONS_MAX ? known : members.all(), key, randomUnit);
    const keep = join.beacon && members.beaconCount < beaconsKept(env);
    const joined: Joined = {
      phase: "joined",
      network,
      shard,
      id: join.id,
      key,
      beacon: keep,
      addresses: join.addresses,
      hearsBudget,
      ...(pass !== undefined && { pass: { ...pass, counted: [] } }),
    };
    members.join(socket, joined, Date.now());
    // Before `joined`: what the peer asks for then it asks for with its pass.
    if (hearsBudget) this.#tellBudget(socket, back);
    this.#core.send(socket, {
      kind: "joined",
      beacons: beacons.map(contactOf),
      keep,
      relay: !isAtLeast(meter.stage(Date.now()), "relay-off"),
      members: members.joinedCount,
      address,
    });
    if (join.version < WIRE_VERSION) this.#core.counters.add("joins_before");
    const list = pass && book.signed;
    if (list !== undefined) {
      this.#core.send(socket, { kind: "bans", list });
      await this.#core.shelf.keep(Date.now());
    }
    this.#core.counted(joined, "joins");
    if (others.any) await others.retire(network, shard, join.id);
  }

  /** Why somebody whose pass was good a moment ago may not join all the same. */
  async #refusalOfMember(
    network: NetworkName,
    shard: number,
    pass: EdgeMember,
    joining: PeerId,
  ): Promise<ErrorCode | undefined> {
    if (pass.member !== joining) return "network/not-member";
    const { env, book } = this.#core;
    const banned = await book.bans(network);
    const refusal = refusalOf(pass, Date.now(), (key) => banned.keys.has(key));
    if (refusal !== undefined || pass.counted.length === 0) return refusal;
    if (shard === 0) return book.use(network, pass.counted, joining, Date.now());
    return env.RENDEZVOUS.getByName(rendezvousName(network, 0)).useInvites(pass.counted, joining);
  }

  /** Lets this member in again while newcomers are refused, and shows that it is in. */
  async #returnPass(member: PeerId, network: NetworkName): Promise<string> {
    return mintReturnPass(member, network, Date.now() + RETURN_PASS_TTL_MS, await ticketKey(this.#core.env));
  }

  #tellBudget(socket: WebSocket, pass: string): void {
    const { meter } = this.#core;
    const nowMs = Date.now();
    const [stage, leftMs] = [meter.stage(nowMs), meter.leftMs(nowMs)];
    this.#core.send(socket, { kind: "budget", stage, leftMs, pass });
  }
}

export function contactOf({ id, addresses }: Member): Contact {
  return { id, addresses };
}

/** Uniform in [0, 1), without Math.random: beacons must not be predictable. */
function randomUnit(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] as number) / 2 ** 32;
}
