/** Scripts of links, streams and accidents between the two peers of a world, and their performance. */
import { expect } from "vitest";
import type { Noticed } from "../../../peer/adapters/sim/link.ts";
import type { StreamPriority } from "../../../peer/session/contract.ts";
import { RESUME_MS } from "../../../peer/session/resumption.ts";
import { firstDifference, readAll, writeAll } from "./traffic.ts";
import { inWorld, type PeerName, type Wire, type World } from "./world.ts";

export interface Flow {
  readonly opener: PeerName;
  readonly priority: StreamPriority;
  /** Bytes from the opener, and back. */
  readonly there: number;
  readonly back: number;
  readonly pieceBytesMax: number;
  readonly readerRestsMs: number;
}

export type Accident = { readonly afterMs: number; readonly link: number } & (
  | { readonly kind: "cut"; readonly noticed: Noticed }
  | { readonly kind: "pause"; readonly forMs: number }
  | { readonly kind: "close" | "destroy"; readonly by: "first" | "second" }
  | { readonly kind: "add"; readonly wire: Wire }
  /** A message beside the streams; they and the openings of streams share a queue. */
  | { readonly kind: "signal"; readonly by: PeerName; readonly bytes: number }
);

export interface Script {
  readonly seed: number;
  readonly sealingMsMax: number;
  readonly wires: readonly Wire[];
  readonly flows: readonly Flow[];
  readonly accidents: readonly Accident[];
  /** A new link is dialled so long after both sides were without. */
  readonly relinkMs: number;
}

/** Long enough for the slowest wire, all waits for dead paths and all resumptions of one script. */
const TRANSFER_MS_MAX = 600_000;

/** Plays one script; all flows must be complete at its end. */
export function play({ seed, sealingMsMax, wires, flows, accidents, relinkMs }: Script): Promise<void> {
  return inWorld({ seed, sealingMsMax }, async (world) => {
    expect(relinkMs).toBeLessThan(RESUME_MS);
    await world.connect(wires[0]);
    for (const more of wires.slice(1)) world.link(more);
    relinkWhenAlone(world, relinkMs);
    const running = flows.map((each, index) => run(world, each, `flow/${index}`));
    const signals = { alice: [] as string[], bob: [] as string[] };
    for (const each of accidents) {
      world.clock.schedule(each.afterMs, () => {
        if (each.kind === "signal") signals[each.by].push(signal(world, each));
        else happen(world, each);
      });
    }
    const outcomes = await world.until(Promise.all(running), TRANSFER_MS_MAX);
    expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual([]);
    const heard = ({ told }: { readonly told: readonly string[] }): string[] =>
      told.filter((each) => each.startsWith("signal"));
    await world.untilTrue(
      () =>
        heard(world.alice).length >= signals.bob.length && heard(world.bob).length >= signals.alice.length,
    );
    expect(heard(world.alice)).toEqual(signals.bob);
    expect(heard(world.bob)).toEqual(signals.alice);
    expect([...world.alice.told, ...world.bob.told]).not.toContain("end");
  });
}

/** What a connector does in a real peer: a session without a path gets a new one; a failed dial is tried again. */
function relinkWhenAlone(world: World, afterMs: number): void {
  for (const peer of [world.alice, world.bob]) {
    const relink = (): void => {
      world.clock.schedule(afterMs, () => {
        if (world.sessionOf(peer.name)?.path.kind !== "none") return;
        const { connected } = world.link({ dialler: peer.name, kind: "relay", latencyMs: 30 });
        connected.catch(() => relink());
      });
    };
    peer.onPathless = relink;
  }
}

/** @returns what the other side will have been told */
function signal(world: World, { by, bytes }: { readonly by: PeerName; readonly bytes: number }): string {
  world.sessionOf(by)?.sendSignal(new Uint8Array(bytes));
  return `signal ${bytes}`;
}

function happen(world: World, accident: Exclude<Accident, { readonly kind: "signal" }>): void {
  const link = world.links[accident.link];
  if (accident.kind === "add") world.link(accident.wire);
  else if (link === undefined) return;
  else if (accident.kind === "cut") link.cut(accident.noticed);
  else if (accident.kind === "pause") {
    link.pause();
    world.clock.schedule(accident.forMs, () => link.resume());
  } else if (accident.kind === "close") link[accident.by].close();
  else link[accident.by].destroy();
}

/** Carries one flow both ways. @returns what was wrong with what arrived */
async function run(world: World, flow: Flow, name: string): Promise<string | undefined> {
  const random = world.random.fork(name);
  const [there, back] = [random.bytes(flow.there), random.bytes(flow.back)];
  const rest =
    flow.readerRestsMs === 0 ? undefined : { clock: world.clock, random, msMax: flow.readerRestsMs };
  const { pieceBytesMax } = flow;
  const answered = Promise.withResolvers<Uint8Array>();
  const answerer = flow.opener === "alice" ? world.bob : world.alice;
  answerer.handlers.set(name, async (stream) => {
    const reading = readAll(stream.readable, rest);
    await writeAll(stream.writable, back, { random, pieceBytesMax });
    answered.resolve(await reading);
  });
  const session = world.sessionOf(flow.opener);
  if (session === undefined) return "no session";
  const stream = await session.open(name, { priority: flow.priority });
  const [returned, arrived] = await Promise.all([
    readAll(stream.readable, rest),
    answered.promise,
    writeAll(stream.writable, there, { random, pieceBytesMax }),
  ]);
  await stream.closed;
  return firstDifference(there, arrived) ?? firstDifference(back, returned);
}
