/**
 * Who may come in, decided in the Worker: every touch of a Durable Object is billed, so what can be refused is refused
 * before. Limits count address prefixes (/24, /64), because single addresses cost an attacker nothing.
 */
import { SHARDS_MAX } from "../shared/limits.ts";
import { countOf, type Env, words } from "./env.ts";
import { mayPass } from "./request-counter.ts";

/** Open rendezvous sockets that one prefix may have in one object: a large office behind one address fits. */
export const SOCKETS_PER_PREFIX_MAX = 2_000;
/** Origins under which one edge may be dialled; each costs a signature check in the worst case. */
export const ORIGINS_MAX = 8;

/** The address the edge sees, or "" where the host does not tell. */
export function clientAddress(request: Request): string {
  return request.headers.get("cf-connecting-ip") ?? "";
}

/**
 * `192.0.2.7` -> `192.0.2.0/24`, `2001:db8::1` -> `2001:db8:0:0/64`. Undefined for loopback and unknown addresses, which are
 * not limited: they are this machine's own, or those of a proxy that hides all others.
 */
export function addressPrefix(address: string): string | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}$/.exec(mapped?.[1] ?? address);
  if (v4 !== null) return v4[1] === "127" ? undefined : `${v4[1]}.${v4[2]}.${v4[3]}.0/24`;
  if (!address.includes(":") || address === "::1") return undefined;
  const [head = "", tail] = address.toLowerCase().split("::", 2);
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array.from({ length: gap }, () => "0"), ...last].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}/64`;
}

/** False when this prefix has asked too often. Each kind of request has a count of its own. */
export async function isAllowed(
  env: Env,
  kind:
    | "join"
    | "relay"
    | "ice"
    | "peerjs"
    | "peerjs-list"
    | "search"
    | "announce"
    | "health"
    | "metrics"
    | "cost",
  request: Request,
): Promise<boolean> {
  const prefix = addressPrefix(clientAddress(request));
  if (prefix === undefined) return true;
  const key = `${kind}:${prefix}`;
  return env.LIMIT === undefined ? mayPass(key, Date.now()) : (await env.LIMIT.limit({ key })).success;
}

/** The origins that a join may be signed for: the one of this request and the configured ones. */
export function acceptedOrigins(env: Env, request: Request): readonly string[] {
  return [...new Set([new URL(request.url).origin, ...words(env.PUBLIC_ORIGINS)])].slice(0, ORIGINS_MAX);
}

/** @param configured `RENDEZVOUS_SHARDS` or `PEERJS_SHARDS` */
export function shardCount(configured: string | undefined): number {
  return countOf(configured, 1, SHARDS_MAX);
}
