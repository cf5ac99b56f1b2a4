/** TCP between machines of a simulated internet. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { ByteSocket, Clock, TcpHost } from "../../runtime.ts";
import type { SimInternet, SimMachine, SimTransport } from "./internet.ts";
import type { SimLink } from "./link-end.ts";

/** As the hosts of real peers have it. */
const CONNECT_TIMEOUT_MS = 10_000;
/** A SYN that met silence is sent again after so long (RFC 6298 §2.1). */
const RETRY_MS = 1_000;
/** Ports that are chosen by the system begin here (RFC 6335). */
const PORT_CHOSEN_MIN = 49_152;
const PORT_MAX = 65_535;
/** Bytes have no frames: a write is as long as it is. */
const STREAM = { kind: "tcp", frameBytesMax: Number.POSITIVE_INFINITY, bufferLowBytes: 0 } as const;

/** @param clock the process's own, which may stand still */
export function simTcp(internet: SimInternet, machine: SimMachine, clock: Clock): TcpHost {
  return {
    async connect({ host, port }, signal) {
      const untilMs = clock.monotonicMs() + CONNECT_TIMEOUT_MS;
      signal.throwIfAborted();
      for (;;) {
        const target = internet.at(host);
        if (target !== undefined && target.nat === "none" && internet.reaches(machine, target)) {
          await clock.sleep(internet.rttMs(machine, target), signal);
          const accept = target.ports.get(port);
          if (accept === undefined) throw unreachable(host, port, "refused");
          // Cut while the answer was on its way: asked again.
          if (internet.reaches(machine, target)) {
            const { first, second } = internet.connect(machine, target, STREAM);
            accept(second, machine);
            return byteSocket(first, `${host}:${port}`, host);
          }
        }
        if (clock.monotonicMs() >= untilMs) throw unreachable(host, port, "no answer");
        await clock.sleep(RETRY_MS, signal);
      }
    },

    listen({ host, port }, accept) {
      const chosen = port === 0 ? freePort(machine) : port;
      if (chosen === undefined || machine.ports.has(chosen))
        return Promise.reject(new PeerloomError("link/failed", `Port ${port} of ${host} is taken.`));
      machine.ports.set(chosen, (end, from) => {
        const socket = byteSocket(end, from.address, from.address);
        end.onFrame = (firstBytes) => accept.tcp(socket, firstBytes);
      });
      return Promise.resolve({
        host,
        port: chosen,
        addresses: () => [`tcp://${machine.address}:${chosen}`],
        close() {
          machine.ports.delete(chosen);
          return Promise.resolve();
        },
      });
    },
  };
}

function freePort({ ports }: SimMachine): number | undefined {
  for (let port = PORT_CHOSEN_MIN; port <= PORT_MAX; port++) if (!ports.has(port)) return port;
  return undefined;
}

function unreachable(host: string, port: number, why: string): PeerloomError {
  return new PeerloomError("link/failed", `${host}:${port} cannot be reached: ${why}.`);
}

function byteSocket(end: SimLink<SimTransport>, remoteAddress: string, remoteHost: string): ByteSocket {
  return {
    remoteAddress,
    remoteHost,
    write: (parts) => end.send(parts),
    get bufferedBytes() {
      return end.bufferedBytes;
    },
    close: () => end.close(),
    destroy: () => end.destroy(),
    get onData() {
      return end.onFrame;
    },
    set onData(handler) {
      end.onFrame = handler;
    },
    get onDrain() {
      return end.onDrain;
    },
    set onDrain(handler) {
      end.onDrain = handler;
    },
    get onClose() {
      return end.onClose;
    },
    set onClose(handler) {
      end.onClose = handler;
    },
  };
}
