/** Bulk without end, and pings beside it. */
import type { StreamPriority } from "../../../peer/session/contract.ts";
import { readExactly } from "./traffic.ts";
import type { World } from "./world.ts";

/** Round trips of so many small messages, the quickest first. */
export async function pingMs(world: World, count: number, priority: StreamPriority): Promise<number[]> {
  const stream = await world.sessionOf("alice")!.open("echo/1", { priority });
  const [reader, writer] = [stream.readable.getReader(), stream.writable.getWriter()];
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = world.clock.monotonicMs();
    const written = writer.write(new Uint8Array(64));
    await world.until(readExactly(reader, 64), 30_000);
    await written;
    times.push(world.clock.monotonicMs() - startMs);
    await world.clock.advance(37);
  }
  stream.reset();
  return times.toSorted((a, b) => a - b);
}

/** Alice sends; what Bob has got is counted in `received[index]`. */
export async function pourForEver(
  world: World,
  priority: StreamPriority,
  received: number[],
  index: number,
): Promise<void> {
  const protocol = `sink/${index}`;
  world.bob.handlers.set(protocol, async ({ readable }) => {
    for await (const chunk of readable) received[index] = (received[index] ?? 0) + chunk.length;
  });
  const { writable } = await world.sessionOf("alice")!.open(protocol, { priority });
  const writer = writable.getWriter();
  const pouring = (async () => {
    for (;;) await writer.write(new Uint8Array(65_536));
  })();
  pouring.catch(() => {}); // The world ends some time.
}
