/**
 * Where workerd runs on a machine of one's own, the whole process dies when its file descriptors run out, and every socket with it. So
 * it is looked up how many are in use, in Linux's own list of them, and sockets are refused before the end. On Cloudflare nothing of
 * this is configured, and nothing is asked.
 */
import { countOf, type Env } from "./env.ts";

/** Said with `edge/over-capacity`. */
export const NO_ROOM =
  "This edge has as many sockets as its process may open. Raise its limit of open files, or try again later.";

/** Kept for what is no socket: files of objects, requests for the page, outgoing connections. */
const RESERVED_SHARE = 0.1;
/** workerd takes two for a socket; a relay channel's object has files besides. */
const PER_SOCKET = 4;
/** Where there was no room, it is counted again after so long at the earliest: a list of thousands costs milliseconds. */
const RECOUNT_MS = 250;

/** Descriptors that may still be given to sockets before the next count. */
let granted = 0;
let countedMs = Number.NEGATIVE_INFINITY;
let counting: Promise<void> | undefined;

/** False when another socket could be the one too many. Asked before each upgrade. */
export async function hasRoom(env: Env, nowMs: number): Promise<boolean> {
  const { DESCRIPTORS } = env;
  const max = countOf(env.DESCRIPTORS_MAX, 0, Number.MAX_SAFE_INTEGER);
  if (DESCRIPTORS === undefined || max === 0) return true;
  if (granted < PER_SOCKET && nowMs - countedMs >= RECOUNT_MS) counting ??= recount(DESCRIPTORS, max, nowMs);
  await counting;
  if (granted < PER_SOCKET) return false;
  granted -= PER_SOCKET;
  return true;
}

/** Half of what is free, so that what else takes descriptors meanwhile does not matter. */
export function grantOf(used: number, max: number): number {
  return Math.max(0, Math.floor((max * (1 - RESERVED_SHARE) - used) / 2));
}

async function recount(descriptors: Fetcher, max: number, nowMs: number): Promise<void> {
  try {
    const response = await descriptors.fetch("http://descriptors/");
    granted = grantOf(((await response.json()) as readonly unknown[]).length, max);
  } catch {
    granted = 0; // not even the list could be opened
  } finally {
    countedMs = nowMs;
    counting = undefined;
  }
}
