/** The browser's RTCPeerConnection, with one data channel: both sides make it with id 0, or the offerer announces it. */
import { bufferSource, concatBytes } from "../../../shared/bytes.ts";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { RtcConnection, RtcEnd, RtcPair, RtcSignal, WebRtcHost } from "../../runtime.ts";

const BUFFER_LOW_BYTES: number = 256 * 1024;
/** A session above has what was not acknowledged, so that a moment is enough. */
const CLOSE_WAIT_MS = 1_000;
const FLUSH_STEP_MS = 10;

export function browserWebRtc(): WebRtcHost | undefined {
  if (!("RTCPeerConnection" in globalThis)) return undefined; // Workers have none.
  return { open: (options) => new BrowserRtcConnection(options) };
}

/** What is read of an entry: of a transport, of a pair, of a candidate. */
interface Stats {
  readonly selectedCandidatePairId?: string;
  readonly localCandidateId?: string;
  readonly remoteCandidateId?: string;
  readonly candidateType?: string;
  readonly address?: string;
  readonly port?: number;
}

class BrowserRtcConnection implements RtcConnection {
  readonly #peer: RTCPeerConnection;
  /** Undefined until the other side has announced it. */
  #channel: RTCDataChannel | undefined;
  readonly #role: "offerer" | "answerer";
  readonly #onSignal: (signal: RtcSignal) => void;
  readonly #waiting: RTCIceCandidateInit[] = [];
  #accepting: Promise<void> = Promise.resolve();
  #open = false;
  #closing = false;
  #over = false;
  onOpen: () => void = () => {};
  onMessage: (bytes: Uint8Array) => void = () => {};
  onText: (text: string) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};

  constructor({ role, iceServers, announced, onSignal, onGathered }: Parameters<WebRtcHost["open"]>[0]) {
    this.#role = role;
    this.#onSignal = onSignal;
    this.#peer = new RTCPeerConnection({
      iceServers: iceServers.map(({ urls, ...rest }) => ({ ...rest, urls: [...urls] })),
    });
    this.#peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate === null) onGathered?.();
      else if (candidate.candidate !== "") {
        onSignal({ kind: "candidate", candidate: candidate.candidate, mid: candidate.sdpMid ?? "0" });
      }
    });
    this.#peer.addEventListener("connectionstatechange", () => {
      const state = this.#peer.connectionState;
      if (state === "failed") this.#end('its state is "failed"');
      else if (state === "closed") this.#closedByOther();
    });
    if (announced === undefined)
      this.#use(this.#peer.createDataChannel("peerloom", { negotiated: true, id: 0 }));
    else if (role === "offerer")
      this.#use(this.#peer.createDataChannel(announced.label, { ordered: announced.ordered }));
    else
      this.#peer.addEventListener("datachannel", ({ channel }) => {
        if (this.#channel !== undefined || this.#over) channel.close();
        else this.#use(channel);
      });
    if (role === "offerer") this.#step("the offer could not be made", () => this.#offer());
  }

  accept(signal: RtcSignal): void {
    this.#step("the other side's description was refused", () => this.#accept(signal));
  }

  get bufferedBytes(): number {
    return this.#channel?.bufferedAmount ?? 0;
  }

  get messageBytesMax(): number {
    return this.#peer.sctp?.maxMessageSize ?? FRAME_BYTES_MAX;
  }

  send(parts: readonly Uint8Array[]): void {
    const message = bufferSource(concatBytes(...parts));
    this.#send((channel) => channel.send(message));
  }

  sendText(text: string): void {
    this.#send((channel) => channel.send(text));
  }

  #send(send: (channel: RTCDataChannel) => void): void {
    if (this.#over || this.#closing || this.#channel === undefined) return;
    try {
      send(this.#channel);
    } catch (cause) {
      this.#end("sending failed", cause);
    }
  }

  fingerprints(): { readonly local: string; readonly remote: string } {
    return {
      local: fingerprintOf(this.#peer.localDescription?.sdp),
      // The browser refuses any certificate but the one this names.
      remote: fingerprintOf(this.#peer.remoteDescription?.sdp),
    };
  }

  async chosenPair(): Promise<RtcPair | undefined> {
    // An ICE transport that tells it at once is not in every browser. https://www.w3.org/TR/webrtc-stats/
    const stats: ReadonlyMap<string | undefined, Stats> = new Map(await this.#peer.getStats());
    for (const { selectedCandidatePairId } of stats.values()) {
      const pair = stats.get(selectedCandidatePairId);
      if (pair === undefined) continue;
      return {
        local: endOf(stats.get(pair.localCandidateId)),
        remote: endOf(stats.get(pair.remoteCandidateId)),
      };
    }
    return undefined;
  }

  close(waitMs: number = CLOSE_WAIT_MS): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    const deadlineMs = performance.now() + waitMs;
    const flush = (): void => {
      const isFlushing = this.#channel?.readyState === "open" && this.#channel.bufferedAmount > 0;
      const leftMs = deadlineMs - performance.now();
      if (this.#over) return;
      if (isFlushing && leftMs > 0) setTimeout(flush, FLUSH_STEP_MS);
      else if (this.#channel?.readyState === "open" && leftMs > 0) {
        // What was not acknowledged yet goes before the channel's end, and is lost with the connection's.
        this.#channel.close();
        setTimeout(() => this.#end(undefined), leftMs);
      } else this.#end(undefined);
    };
    this.onMessage = () => {};
    this.onText = () => {};
    flush();
  }

  destroy(): void {
    this.#end(undefined);
  }

  async #offer(): Promise<void> {
    await this.#peer.setLocalDescription();
    this.#tell("offer");
  }

  async #accept(signal: RtcSignal): Promise<void> {
    if (signal.kind === "candidate") {
      const candidate = { candidate: signal.candidate, sdpMid: signal.mid };
      if (this.#peer.remoteDescription === null) this.#waiting.push(candidate);
      else await this.#peer.addIceCandidate(candidate).catch(() => {}); // One bad candidate spoils nothing.
      return;
    }
    if (
      this.#peer.remoteDescription !== null ||
      signal.kind !== (this.#role === "offerer" ? "answer" : "offer")
    )
      return;
    await this.#peer.setRemoteDescription({ type: signal.kind, sdp: signal.sdp });
    if (this.#role === "answerer") {
      await this.#peer.setLocalDescription();
      this.#tell("answer");
    }
    for (const candidate of this.#waiting.splice(0))
      await this.#peer.addIceCandidate(candidate).catch(() => {});
  }

  #tell(kind: "offer" | "answer"): void {
    const sdp = this.#peer.localDescription?.sdp;
    if (sdp !== undefined) this.#onSignal({ kind, sdp });
  }

  /** One after the other, in the order they came. */
  #step(why: string, step: () => Promise<void>): void {
    this.#accepting = this.#accepting
      .then(() => (this.#over ? undefined : step()))
      .catch((cause: unknown) => this.#end(why, cause));
  }

  #use(channel: RTCDataChannel): void {
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFER_LOW_BYTES;
    // One that was announced opens after this event, even where it looks open now.
    channel.addEventListener("open", () => this.#opened());
    channel.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data === "string") this.onText(data);
      else this.onMessage(new Uint8Array(data));
    });
    channel.addEventListener("bufferedamountlow", () => this.onDrain());
    channel.addEventListener("close", () => this.#closedByOther());
  }

  #opened(): void {
    if (this.#over) return;
    this.#open = true;
    this.onOpen();
  }

  #closedByOther(): void {
    this.#end("the other side closed it", undefined, this.#open ? "link/closed" : "link/failed");
  }

  /** Undefined: closed on purpose. */
  #end(why: string | undefined, cause?: unknown, code: ErrorCode = "link/failed"): void {
    if (this.#over) return;
    this.#over = true;
    this.#channel?.close();
    this.#peer.close();
    this.onClose(
      why === undefined || this.#closing
        ? undefined
        : new PeerloomError(code, `The WebRTC connection ended: ${why}.`, { cause }),
    );
  }
}

function endOf(stats: Stats = {}): RtcEnd {
  const { candidateType: type = "", address = "", port = 0 } = stats;
  return { type, address, port };
}

function fingerprintOf(sdp: string | undefined): string {
  return (/^a=fingerprint:sha-256 ([0-9A-Fa-f:]+)/m.exec(sdp ?? "")?.[1] ?? "").toLowerCase();
}
