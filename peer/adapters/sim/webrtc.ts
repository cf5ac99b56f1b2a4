/**
 * WebRTC between machines of a simulated internet. Descriptions and candidates have the form that other code reads; two connections that have
 * exchanged them meet after the round trips that ICE, DTLS and SCTP take, unless both are behind hard NATs.
 */
import { toHex } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { Clock, Random, RtcConnection, RtcEnd, RtcPair, RtcSignal, WebRtcHost } from "../../runtime.ts";
import type { SimInternet, SimMachine, SimTransport } from "./internet.ts";
import type { SimLink } from "./link-end.ts";

/** One for the ICE check, two for DTLS 1.2 (RFC 6347), two for SCTP (RFC 9260). */
const OPEN_ROUND_TRIPS = 5;
/** Checks that met silence are made again after so long, and so often. */
const RETRY_MS = 500;
const RETRIES_MAX = 20;
const TOKEN_BYTES = 32;
/** Before each message: whether it is text. */
const BINARY: Uint8Array = Uint8Array.of(0);
const TEXT: Uint8Array = Uint8Array.of(1);
const TEXT_FLAG = 1;
const PORT_MIN = 49_152;
const PORTS = 16_384;
const CHANNEL = { kind: "webrtc", frameBytesMax: FRAME_BYTES_MAX + BINARY.length } as const;

/** A process on a machine. */
export interface SimRtcOwner {
  readonly machine: SimMachine;
  /** Its own, which may stand still. */
  readonly clock: Clock;
  readonly random: Random;
}

/** All connections of one internet. */
export class SimWebRtc {
  readonly #internet: SimInternet;
  readonly #connections = new Map<string, SimRtcConnection>();

  constructor(internet: SimInternet) {
    this.#internet = internet;
  }

  host(owner: SimRtcOwner): WebRtcHost {
    return {
      open: (options) => new SimRtcConnection(this.#internet, this.#connections, owner, options),
    };
  }

  /** A machine is gone without a word, and the process that runs there next knows nothing of its connections. */
  lose(machine: SimMachine): void {
    for (const connection of this.#connections.values())
      if (connection.owner.machine === machine) connection.lose();
  }
}

class SimRtcConnection implements RtcConnection {
  readonly messageBytesMax = FRAME_BYTES_MAX;
  readonly #internet: SimInternet;
  readonly #connections: Map<string, SimRtcConnection>;
  readonly owner: SimRtcOwner;
  /** Its certificate, as it were. */
  readonly token: string;
  readonly port: number;
  readonly #options: Parameters<WebRtcHost["open"]>[0];
  #other: SimRtcConnection | undefined;
  #end: SimLink<SimTransport> | undefined;
  #isClosing = false;
  #isOver = false;
  onOpen: () => void = () => {};
  onMessage: (bytes: Uint8Array) => void = () => {};
  onText: (text: string) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};

  constructor(
    internet: SimInternet,
    connections: Map<string, SimRtcConnection>,
    owner: SimRtcOwner,
    options: Parameters<WebRtcHost["open"]>[0],
  ) {
    this.#internet = internet;
    this.#connections = connections;
    this.owner = owner;
    this.#options = options;
    this.token = toHex(owner.random.bytes(TOKEN_BYTES));
    this.port = PORT_MIN + Math.floor(owner.random.unit() * PORTS);
    connections.set(this.token, this);
    if (options.role === "offerer") this.#describe("offer");
  }

  accept(signal: RtcSignal): void {
    if (signal.kind === "candidate" || this.#other !== undefined || this.#isOver) return;
    const token = /^a=fingerprint:sim ([0-9a-f]+)/m.exec(signal.sdp)?.[1] ?? "";
    this.#other = this.#connections.get(token);
    if (this.#other === undefined) return;
    if (signal.kind === "offer") this.#describe("answer");
    else this.#meet(this.#other);
  }

  send(parts: readonly Uint8Array[]): void {
    this.#end?.send([BINARY, ...parts]);
  }

  sendText(text: string): void {
    this.#end?.send([TEXT, new TextEncoder().encode(text)]);
  }

  get bufferedBytes(): number {
    return this.#end?.bufferedBytes ?? 0;
  }

  fingerprints(): { readonly local: string; readonly remote: string } {
    return { local: pairs(this.token), remote: pairs(this.#other?.token ?? "") };
  }

  chosenPair(): Promise<RtcPair | undefined> {
    const other = this.#other;
    return Promise.resolve(other && { local: this.end(), remote: other.end() });
  }

  close(): void {
    if (this.#isClosing || this.#isOver) return;
    this.#isClosing = true;
    if (this.#end === undefined) this.#finish(undefined);
    else this.#end.close();
  }

  destroy(): void {
    this.#isClosing = true;
    if (this.#end === undefined) this.#finish(undefined);
    else this.#end.destroy();
  }

  /** Whoever is there is told nothing, and nobody is answered any more. */
  lose(): void {
    this.#isOver = true;
    this.#connections.delete(this.token);
  }

  /** Tells the description and the one candidate there is, after the events that wait already. */
  #describe(kind: "offer" | "answer"): void {
    const { machine, clock } = this.owner;
    const { onSignal, onGathered } = this.#options;
    clock.defer(() => {
      if (this.#isOver) return;
      onSignal({ kind, sdp: `v=0\r\na=fingerprint:sim ${this.token}\r\n` });
      const related = machine.nat === "none" ? "" : " raddr 0.0.0.0 rport 0";
      const candidate = `candidate:1 1 udp 1 ${machine.address} ${this.port} typ ${this.kind()}${related}`;
      onSignal({ kind: "candidate", candidate, mid: "0" });
      onGathered?.();
    });
  }

  end(): RtcEnd {
    return { type: this.kind(), address: this.owner.machine.address, port: this.port };
  }

  kind(): "host" | "srflx" {
    return this.owner.machine.nat === "none" ? "host" : "srflx";
  }

  /** Both know each other. */
  #meet(other: SimRtcConnection): void {
    const [here, there] = [this.owner.machine, other.owner.machine];
    if (here.nat === "hard" && there.nat === "hard") return; // Until whoever waits gives up.
    let retries = 0;
    const attempt = (): void => {
      if (this.#isOver || other.#isOver) return;
      if (!this.#internet.reaches(here, there)) {
        if (++retries <= RETRIES_MAX) this.#internet.clock.schedule(RETRY_MS, attempt);
        return;
      }
      const { first, second } = this.#internet.connect(here, there, CHANNEL);
      this.#opened(first);
      other.#opened(second);
    };
    this.#internet.clock.schedule(OPEN_ROUND_TRIPS * this.#internet.rttMs(here, there), attempt);
  }

  #opened(end: SimLink<SimTransport>): void {
    this.#end = end;
    end.onFrame = (frame) => {
      const message = frame.subarray(1);
      if (frame[0] === TEXT_FLAG) this.onText(new TextDecoder().decode(message));
      else this.onMessage(message);
    };
    end.onDrain = () => this.onDrain();
    end.onClose = (error) => this.#finish(error ?? closedByOther());
    this.onOpen();
  }

  #finish(error: PeerloomError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connections.delete(this.token);
    this.onClose(this.#isClosing ? undefined : error);
  }
}

function closedByOther(): PeerloomError {
  return new PeerloomError("link/closed", "The other side has closed the connection.");
}

function pairs(hex: string): string {
  return (hex.match(/../g) ?? []).join(":");
}
