/** A relay link over a socket that keeps what is sent, on a clock that the test moves. */
import { dialRelay } from "../../../peer/links/relay.ts";
import type { Link } from "../../../peer/links/link.ts";
import type { MessageSocket, Runtime } from "../../../peer/runtime.ts";
import { channelIdFrom } from "../../../shared/ids.ts";
import { PONG_TEXT } from "../../../shared/limits.ts";
import { FakeClock } from "../rendezvous/fake-clock.ts";

export interface Sent {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

export interface RelayScene {
  readonly clock: FakeClock;
  readonly link: Link;
  readonly sent: readonly Sent[];
  /** When it said how much it has received. */
  readonly acknowledgedAtMs: readonly number[];
  /** What the object says. */
  say(text: string): void;
  /** A frame comes from the other side. */
  hear(bytes: Uint8Array): void;
  drained(): number;
}

export async function openRelay(): Promise<RelayScene> {
  const clock = new FakeClock();
  const sent: Sent[] = [];
  const acknowledgedAtMs: number[] = [];
  const socket: MessageSocket = {
    remoteAddress: "edge",
    bufferedBytes: 0,
    send: (parts) => void sent.push({ atMs: clock.monotonicMs(), bytes: Buffer.concat(parts) }),
    sendText: (text) => {
      if (text.startsWith("ack:")) acknowledgedAtMs.push(clock.monotonicMs());
      else socket.onText(PONG_TEXT);
    },
    close: () => socket.onClose(1000, ""),
    destroy: () => {},
    onMessage: () => {},
    onText: () => {},
    onDrain: () => {},
    onClose: () => {},
  };
  const runtime = { clock, websocket: { connect: async () => socket } } as unknown as Runtime;
  const address = { edge: "https://edge.example", channel: channelIdFrom(new Uint8Array(16)), ticket: "" };
  const link = await dialRelay(runtime, address, new AbortController().signal);
  let drains = 0;
  link.onDrain = () => (drains += 1);
  return {
    clock,
    link,
    sent,
    acknowledgedAtMs,
    say: (text) => socket.onText(text),
    hear: (bytes) => socket.onMessage(bytes),
    drained: () => drains,
  };
}
