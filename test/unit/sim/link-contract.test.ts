/** The simulator's links keep the contract that real ones keep, on a fast path, a narrow one and one that trembles. */
import { SimClock } from "../../../peer/adapters/sim/clock.ts";
import { simLinkPair, type SimPathOptions } from "../../../peer/adapters/sim/link.ts";
import { seededRandom } from "../../../peer/adapters/sim/random.ts";
import type { LinkKind } from "../../../peer/links/link.ts";
import { type LinkPair, linkContract } from "../../contract/link.ts";

function simPair(options: Partial<SimPathOptions<LinkKind>>): LinkPair {
  const clock = new SimClock();
  const random = seededRandom("link contract");
  const { first, second } = simLinkPair<LinkKind>({ clock, random, kind: "tcp", ...options });
  return { a: first, b: second, settle: () => clock.run(), dispose: () => clock.close() };
}

linkContract("simulated", () => simPair({}));
linkContract("narrow simulated", () => simPair({ latencyMs: 40, bytesPerSecond: 1_000_000 }));
linkContract("trembling simulated", () =>
  simPair({ kind: "relay", jitterMs: 50, bytesPerSecond: 10_000_000, unackedBytesMax: 2 * 1024 * 1024 }),
);
