/** What an operator may set of PeerServer's options, under names of this edge, and where a peer's room is found. */
import { countOf, type Env, words } from "./env.ts";
import { shardCount } from "./policy.ts";
import { pickShard } from "./shards.ts";

/** PeerServer's own default of `key`, which the stock client sends. */
const KEYS_DEFAULT = ["peerjs"];
/** PeerServer's `alive_timeout` as a library. Longer than the minute that browsers put between the timers of a tab in the background. */
const ALIVE_SECONDS_DEFAULT = 90;
const ALIVE_SECONDS_MAX = 3_600;
/** PeerServer's `expire_timeout`. */
const EXPIRE_SECONDS_DEFAULT = 5;
const EXPIRE_SECONDS_MAX = 300;
/** workerd allows 32,768 sockets an object. PeerServer's `concurrent_limit` is 5,000. */
const SOCKETS_MAX = 20_000;

export interface PeerjsOptions {
  readonly aliveMs: number;
  readonly expireMs: number;
  readonly socketsMax: number;
  readonly shards: number;
}

export function peerjsOptions(env: Env): PeerjsOptions {
  return {
    aliveMs: countOf(env.PEERJS_ALIVE_SECONDS, ALIVE_SECONDS_DEFAULT, ALIVE_SECONDS_MAX) * 1000,
    expireMs: countOf(env.PEERJS_EXPIRE_SECONDS, EXPIRE_SECONDS_DEFAULT, EXPIRE_SECONDS_MAX) * 1000,
    socketsMax: countOf(env.PEERJS_SOCKETS_MAX, SOCKETS_MAX, SOCKETS_MAX),
    shards: shardCount(env.PEERJS_SHARDS),
  };
}

/** No PeerJS client is served. */
export function isOff(env: Env): boolean {
  return words(env.PEERJS_KEYS).includes("none");
}

export function isKey(env: Env, key: string): boolean {
  const configured = words(env.PEERJS_KEYS);
  return !isOff(env) && (configured.length > 0 ? configured : KEYS_DEFAULT).includes(key);
}

/** Discovery is allowed key by key: who may use one key learns nothing of the others. */
export function isListed(env: Env, key: string): boolean {
  return isKey(env, key) && words(env.PEERJS_DISCOVERY).includes(key);
}

/** The name of one room. */
export function roomName(key: string, shard: number): string {
  return `${key}/${shard}`;
}

export function keyOfRoom(name: string): string {
  return name.slice(0, name.lastIndexOf("/"));
}

export function shardOfRoom(name: string): number {
  return Number(name.slice(name.lastIndexOf("/") + 1));
}

/** The shard that keeps an id: always the same, so that an id has one holder. */
export function shardOf(id: string, shards: number): number {
  return shards === 1 ? 0 : pickShard(shards, hash32(id) / 2 ** 32);
}

/** FNV-1a over UTF-16 units with MurmurHash3's finisher: spreads ids that differ in their last digit. Not for secrets. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
