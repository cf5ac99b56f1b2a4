/** A PeerServer whose every word is the test's, and a runtime that has nothing else. */
import type {
  MessageSocket,
  RtcConnection,
  Runtime,
  WebRtcHost,
  WebSocketHost,
} from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import { FakeClock } from "../rendezvous/fake-clock.ts";

export class FakeServerSocket implements MessageSocket {
  readonly remoteAddress = "fake";
  bufferedBytes = 0;
  onMessage: MessageSocket["onMessage"] = () => {};
  onText: MessageSocket["onText"] = () => {};
  onDrain: MessageSocket["onDrain"] = () => {};
  onClose: MessageSocket["onClose"] = () => {};
  readonly url: URL;
  readonly sent: Record<string, unknown>[] = [];
  isClosed = false;

  constructor(url: string) {
    this.url = new URL(url);
  }

  send(): void {
    throw new Error("PeerServer is sent texts");
  }

  sendText(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.isClosed = true;
  }

  destroy(): void {
    this.isClosed = true;
  }

  say(message: unknown): void {
    this.onText(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** Messages but heartbeats. */
  get signals(): Record<string, unknown>[] {
    return this.sent.filter(({ type }) => type !== "HEARTBEAT");
  }
}

/** A connection that opens and speaks when it is told to. */
export class FakeRtc implements RtcConnection {
  readonly options: Parameters<WebRtcHost["open"]>[0];
  onOpen: () => void = () => {};
  onMessage: RtcConnection["onMessage"] = () => {};
  onText: RtcConnection["onText"] = () => {};
  onDrain: () => void = () => {};
  onClose: RtcConnection["onClose"] = () => {};
  readonly accepted: unknown[] = [];
  readonly sent: (Uint8Array | string)[] = [];
  bufferedBytes = 0;
  messageBytesMax = FRAME_BYTES_MAX;
  ended = "";

  constructor(options: Parameters<WebRtcHost["open"]>[0]) {
    this.options = options;
  }

  accept(signal: unknown): void {
    this.accepted.push(signal);
  }

  send(parts: readonly Uint8Array[]): void {
    this.sent.push(new Uint8Array(Buffer.concat(parts)));
  }

  sendText(text: string): void {
    this.sent.push(text);
  }

  fingerprints(): { local: string; remote: string } {
    return { local: "aa", remote: "bb" };
  }

  chosenPair(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  close(): void {
    this.ended ||= "closed";
    this.onClose(undefined);
  }

  destroy(): void {
    this.ended ||= "destroyed";
    this.onClose(undefined);
  }
}

export class FakeHost implements WebSocketHost, WebRtcHost {
  readonly clock = new FakeClock();
  readonly sockets: FakeServerSocket[] = [];
  readonly rtc: FakeRtc[] = [];
  /** Dials are refused. */
  isDown = false;

  async connect(url: string): Promise<MessageSocket> {
    if (this.isDown) throw new PeerloomError("link/failed", "refused");
    const socket = new FakeServerSocket(url);
    this.sockets.push(socket);
    return socket;
  }

  open(options: Parameters<WebRtcHost["open"]>[0]): RtcConnection {
    const rtc = new FakeRtc(options);
    this.rtc.push(rtc);
    return rtc;
  }

  get socket(): FakeServerSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nobody dialled");
    return socket;
  }

  runtime(unit: () => number = () => 0.5): Runtime {
    let made = 0;
    const parts: Partial<Runtime> = {
      clock: this.clock,
      websocket: this,
      webrtc: this,
      // Each id is another one, the same in every run.
      random: { bytes: (length) => new Uint8Array(length).fill((made += 1)), unit },
      log: { debug: () => {}, warn: () => {} },
    };
    return new Proxy(parts as Runtime, {
      get: (target, name) => {
        if (name in target) return target[name as keyof Runtime];
        throw new Error(`runtime.${String(name)} is not a door's business`);
      },
    });
  }
}
