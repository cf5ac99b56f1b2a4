/** Files over a peerloom stack, for the benchmark of `share` and `get`. */
import type { Stack } from "../lib/stack.ts";
import type { PeerloomStack } from "./peerloom.ts";

export async function sharePath(stack: Stack, path: string): Promise<string> {
  const share = await peerOf(stack).files.share(path);
  return share.ticket;
}

/** @returns seconds from the ticket to the verified file on disk */
export async function getTicket(stack: Stack, ticket: string, path: string): Promise<number> {
  const startMs = performance.now();
  await peerOf(stack).files.get(ticket).saveTo(path);
  return (performance.now() - startMs) / 1000;
}

function peerOf(stack: Stack) {
  if (!("peer" in stack)) throw new Error("Only peerloom stacks share files.");
  return (stack as PeerloomStack).peer();
}
