/** What malicious peers do to the requests that they should forward. They acknowledge first, so nobody suspects them of being gone. */
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { pickOne } from "../adapters/sim/random.ts";
import { SIBLINGS } from "../overlay/mesh/link-table.ts";
import { distance, type MeshKey } from "../overlay/mesh/mesh-key.ts";
import { BODY_BYTES_MAX, encodeMesh, type Forward, PATH_MAX } from "../overlay/mesh/mesh-messages.ts";
import { ASK, ASK_MAX, BODY_LIMITS } from "../overlay/mesh/requests.ts";
import { decodeRequest, encodeAnswer } from "../services/records/protocol.ts";
import { REPLICAS } from "../services/records/upkeep.ts";
import type { Pipe } from "./pipe.ts";
import type { SimPeer, World } from "./world.ts";

/** Nothing, the claim that nobody has the key, an answer in its stead, or on to anybody. */
export type Malice = "drop" | "deny" | "lie" | "misroute";
export const MALICE: readonly Malice[] = ["drop", "deny", "lie", "misroute"];

export function abuse(world: World, from: Pipe, request: Forward): void {
  const { owner } = from;
  const { mid, origin, path } = request;
  from.send(encodeMesh({ kind: "ack", mids: [mid] }));
  if (owner.malice === "deny" || owner.malice === "lie") {
    const found = owner.malice === "lie";
    const body = found ? lie(world, owner, request) : new Uint8Array(0);
    const reply = { mid, origin, hops: path.length, found, body };
    from.send(encodeMesh({ kind: "reply", ...reply, path: path.slice(0, -1) }));
  } else if (owner.malice === "misroute" && request.ttl > 0 && path.length < PATH_MAX) {
    const astray = pickOne([...owner.links.values()], world.random);
    astray?.send(encodeMesh({ ...request, ttl: request.ttl - 1, path: [...path, owner.key] }));
  }
}

/** As good a lie as there is: of a message that it has arrived, of a record that it is kept, or that there is none, and else that the liars nearest to the key are the closest. */
function lie(world: World, liar: SimPeer, { target, body }: Forward): Uint8Array {
  const fields = new FieldReader(decode(body, BODY_LIMITS), "request");
  const ask = fields.integer(0, ASK_MAX);
  if (ask === ASK.deliver) return new Uint8Array(0);
  if (ask !== ASK.service) return encode([alliesOf(world, liar, target)]);
  const { kind } = decodeRequest(fields.bytes(0, BODY_BYTES_MAX));
  return encodeAnswer(
    kind === "get" ? { kind, records: [] } : { kind, status: "stored", copies: REPLICAS, current: undefined },
  );
}

/** Liars know each other. */
function alliesOf(world: World, liar: SimPeer, target: MeshKey): (readonly [MeshKey, Uint8Array])[] {
  const allies = world.alive.filter(({ malice }) => malice !== undefined);
  const away = (one: SimPeer): number => distance(one.key, target);
  const nearest = allies.toSorted((a, b) => away(a) - away(b)).slice(0, SIBLINGS);
  return [liar, ...nearest].map(({ key, contact }) => [key, contact] as const);
}
