/**
 * Calls over one direct session beside what they could cost at least: the same bytes echoed on one open stream, and on a stream opened
 * for each, which is what a call would be without a stream of its own for all of them.
 * `node test/bench/rpc.ts [--stacks ping,rpc,stream-per-call] [--rounds 3] [--calls 5000] [--atOnce 64]`
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Peer, type Session } from "../../peer/node.ts";
import { runBenchmark } from "./lib/benchmark.ts";
import { quantile } from "./lib/statistics.ts";

const PAYLOAD_BYTES = 64;
const WARM_UP = 300;
const CLOSING_MAX = 64;
const SERVE = "serve";

interface Address {
  readonly id: string;
  readonly addresses: readonly string[];
}
interface Echo {
  echo(bytes: Uint8Array): Uint8Array;
}
/** One round trip. */
type Operation = () => Promise<void>;

const OPERATIONS: { readonly [stack: string]: (peer: Peer, session: Session) => Promise<Operation> } = {
  async ping(_, session) {
    const stream = await session.open("ping/1", { priority: "interactive" });
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    return async () => {
      await writer.write(new Uint8Array(PAYLOAD_BYTES));
      for (let got = 0; got < PAYLOAD_BYTES;) got += (await reader.read()).value?.length ?? PAYLOAD_BYTES;
    };
  },
  rpc(peer, session) {
    const { echo } = peer.rpc<Echo>(session.peerId, "bench/1");
    const payload = new Uint8Array(PAYLOAD_BYTES);
    return Promise.resolve(async () => void (await echo(payload)));
  },
  "stream-per-call"(_, session) {
    // A stream is over when its end was acknowledged; whoever opens more before that comes to the limit of streams.
    const closing = new Set<Promise<void>>();
    return Promise.resolve(async () => {
      if (closing.size >= CLOSING_MAX) await Promise.race(closing);
      const stream = await session.open("ping/1", { priority: "interactive" });
      const writer = stream.writable.getWriter();
      await writer.write(new Uint8Array(PAYLOAD_BYTES));
      const closed: Promise<void> = writer.close().then(() => void closing.delete(closed));
      closing.add(closed);
      await new Response(stream.readable).arrayBuffer();
    });
  },
};

async function measure(stack: string, { calls = 0, atOnce = 0 }: Readonly<Record<string, number>>) {
  const child = fork(fileURLToPath(import.meta.url), [SERVE], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [address] = (await once(child, "message")) as [Address];
  const peer = await Peer.open({ edge: null, webrtc: false, lan: false });
  try {
    const session = await peer.connect(address.id, { addresses: address.addresses });
    const operation = await (OPERATIONS[stack] as (typeof OPERATIONS)[string])(peer, session);
    for (let i = 0; i < WARM_UP; i++) await operation();
    const microseconds: number[] = [];
    for (let i = 0; i < calls; i++) {
      const startMs = performance.now();
      await operation();
      microseconds.push((performance.now() - startMs) * 1_000);
    }
    const figures = { p50Us: quantile(microseconds, 0.5), p99Us: quantile(microseconds, 0.99) };
    // Answers on one echoing stream cannot be told apart.
    if (stack === "ping") return figures;
    let left = 4 * calls;
    const startMs = performance.now();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (left-- > 0) await operation();
      }),
    );
    return { ...figures, callsPerSecond: (4_000 * calls) / (performance.now() - startMs) };
  } finally {
    await peer.close();
    child.disconnect();
    await once(child, "exit");
  }
}

async function serve(): Promise<void> {
  const peer = await Peer.open({ edge: null, listen: "127.0.0.1:0", webrtc: false, lan: false });
  peer.serve("bench/1", { echo: (bytes: Uint8Array) => bytes });
  process.on("disconnect", () => void peer.close().then(() => process.exit()));
  process.send?.({ id: peer.id, addresses: peer.listenAddresses } satisfies Address);
}

if (process.argv[2] === SERVE) await serve();
else {
  await runBenchmark({
    name: "rpc",
    stacks: Object.keys(OPERATIONS),
    source(name) {
      if (Object.hasOwn(OPERATIONS, name)) return {};
      throw new Error(`No stack "${name}"; there are ${Object.keys(OPERATIONS).join(", ")}.`);
    },
    rounds: 3,
    numbers: { calls: 5_000, atOnce: 64 },
    ratios: [
      { of: "rpc", to: "ping", figure: "p50Us" },
      { of: "rpc", to: "ping", figure: "p99Us" },
      { of: "rpc", to: "stream-per-call", figure: "p50Us" },
      { of: "rpc", to: "stream-per-call", figure: "callsPerSecond" },
    ],
    measure,
  });
}
