/**
 * The edge's PeerServer, on one object and on several, beside PeerServer itself and beside a bare object, which is what workerd takes: sockets
 * opened a second, one message's time, messages a second when every pair always has some under way, memory of an idle socket. All objects of one
 * workerd share its thread, so what several cost beside one is read from the CPU of a message: each machine more would bring as much again.
 * `node test/bench/peerjs.ts [--rounds 3] [--sockets 1000] [--atOnce 64] [--underWay 1] [--seconds 5] [--messages 2000]`
 */
import { setTimeout as rest } from "node:timers/promises";
import { runBenchmark } from "./lib/benchmark.ts";
import { closeClients, openClients, type PeerjsClient, sendCandidate } from "./lib/peerjs-clients.ts";
import { withServer } from "./lib/processes.ts";
import { quantile } from "./lib/statistics.ts";

/**
 * Opened, used and closed before anything is measured: what the first clients load belongs to the process. So many that none of them says more than one
 * client may.
 */
const FIRST = 200;
/** Lets the garbage of the joins go; part of the measurement, not a wait for anything. */
const REST_MS = 2_000;

await runBenchmark({
  name: "peerjs",
  stacks: ["peerserver", "peerjs-bare", "peerloom-peerjs", "peerloom-peerjs-2", "peerloom-peerjs-4"],
  rounds: 3,
  numbers: { sockets: 1_000, atOnce: 64, underWay: 1, seconds: 5, messages: 2_000 },
  ratios: [
    { of: "peerloom-peerjs", to: "peerserver", figure: "openedPerSecond", atLeast: 0.5 },
    { of: "peerloom-peerjs", to: "peerserver", figure: "messagesPerSecond", atLeast: 0.5 },
    { of: "peerloom-peerjs", to: "peerserver", figure: "p50Us" },
    { of: "peerloom-peerjs", to: "peerserver", figure: "p99Us" },
    { of: "peerloom-peerjs", to: "peerserver", figure: "idleKiB" },
    { of: "peerloom-peerjs", to: "peerjs-bare", figure: "openedPerSecond" },
    { of: "peerloom-peerjs", to: "peerjs-bare", figure: "messagesPerSecond" },
    { of: "peerloom-peerjs", to: "peerjs-bare", figure: "idleKiB" },
    { of: "peerloom-peerjs-2", to: "peerserver", figure: "messagesPerSecond" },
    { of: "peerloom-peerjs-4", to: "peerserver", figure: "messagesPerSecond" },
    { of: "peerloom-peerjs-2", to: "peerloom-peerjs", figure: "cpuUsAMessage" },
    { of: "peerloom-peerjs-4", to: "peerloom-peerjs", figure: "cpuUsAMessage" },
  ],
  measure: (stack, { sockets = 0, atOnce = 0, underWay = 0, seconds = 0, messages = 0 }) =>
    withServer(stack, async (server, url) => {
      const first = await openClients(url, FIRST, FIRST);
      await saturate(first.clients, 1, 1);
      await closeClients(first.clients);
      const before = await server.call("usage", { collect: true });

      const startMs = performance.now();
      const { clients, tookMs } = await openClients(url, sockets, atOnce);
      const openedPerSecond = sockets / ((performance.now() - startMs) / 1000);
      await rest(REST_MS);
      const idle = await server.call("usage", { collect: true });
      const times = await timeMessages(clients, messages);
      const timed = await server.call("usage", { collect: false });
      const messagesPerSecond = await saturate(clients, underWay, seconds);
      const after = await server.call("usage", { collect: false });
      await closeClients(clients);
      return {
        openedPerSecond,
        cpuUsAnOpen: ((idle.cpuSeconds - before.cpuSeconds) * 1e6) / sockets,
        openP99Ms: quantile(tookMs, 0.99),
        p50Us: quantile(times, 0.5),
        p99Us: quantile(times, 0.99),
        messagesPerSecond,
        cpuUsAMessage: ((after.cpuSeconds - timed.cpuSeconds) * 1e6) / (messagesPerSecond * seconds),
        idleKiB: (idle.residentBytes - before.residentBytes) / sockets / 1024,
      };
    }),
});

/** One message under way at a time, through pair after pair. @returns microseconds */
async function timeMessages(clients: readonly PeerjsClient[], count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const from = clients[(2 * index) % clients.length] as PeerjsClient;
    const to = clients[(2 * index + 1) % clients.length] as PeerjsClient;
    const startMs = performance.now();
    await new Promise<void>((resolve, reject) => {
      to.onMessage = resolve;
      to.onClose = from.onClose = reject;
      sendCandidate(from, to);
    });
    times.push((performance.now() - startMs) * 1000);
  }
  return times;
}

/** Every message that comes is answered, so that each pair keeps as many under way as it began with. @returns messages a second */
async function saturate(
  clients: readonly PeerjsClient[],
  underWay: number,
  seconds: number,
): Promise<number> {
  let count = 0;
  let isOver = false;
  let left = 0;
  let settle = (): void => {};
  const { promise: broken, reject: onBroken } = Promise.withResolvers<never>();
  for (const client of clients) client.onClose = onBroken;
  for (let index = 0; index + 1 < clients.length; index += 2) {
    const pair = [clients[index] as PeerjsClient, clients[index + 1] as PeerjsClient] as const;
    for (const [from, to] of [pair, [pair[1], pair[0]]] as const)
      from.onMessage = () => {
        count += 1;
        if (!isOver) sendCandidate(from, to);
        else if (--left === 0) settle();
      };
    for (let i = 0; i < underWay; i++, left++) sendCandidate(...pair);
  }
  const startMs = performance.now();
  await Promise.race([broken, rest(seconds * 1000)]);
  const perSecond = count / ((performance.now() - startMs) / 1000);
  // Whoever asks next for the times of messages must not meet these.
  const settled = new Promise<void>((resolve) => (settle = resolve));
  isOver = true;
  await Promise.race([broken, settled]);
  for (const client of clients) {
    client.onMessage = () => {};
    client.onClose = () => {};
  }
  return perSecond;
}
