/** The browser's RTCPeerConnection, with one data channel that both sides make with id 0. */
import { bufferSource, concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { RtcConnection, RtcSignal, WebRtcHost } from "../../runtime.ts";

const BUFFER_LOW_BYTES: number = 256 * 1024;
/** Closing gives what was sent this long to leave. */
const CLOSE_FLUSH_MS = 1_000;
const FLUSH_STEP_MS = 10;

export function browserWebRtc(): WebRtcHost | undefined {
  if (!("RTCPeerConnection" in globalThis)) return undefined; // Workers have none.
  return { open: (options) => new BrowserRtcConnection(options) };
}

class BrowserRtcConnection implements RtcConnection {
  readonly #peer: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #role: "offerer" | "answerer";
  readonly #onSignal: (signal: RtcSignal) => void;
  readonly #waiting: RTCIceCandidateInit[] = [];
  #accepting: Promise<void> = Promise.resolve();
  #over = false;
  onOpen: () => void = () => {};
  onMessage: (bytes: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};

  constructor({ role, iceServers, onSignal }: Parameters<WebRtcHost["open"]>[0]) {
    this.#role = role;
    this.#onSignal = onSignal;
    this.#peer = new RTCPeerConnection({
      iceServers: iceServers.map(({ urls, ...rest }) => ({ ...rest, urls: [...urls] })),
    });
    this.#peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate !== null && candidate.candidate !== "") {
        onSignal({ kind: "candidate", candidate: candidate.candidate, mid: candidate.sdpMid ?? "0" });
      }
    });
    this.#peer.addEventListener("connectionstatechange", () => {
      const state = this.#peer.connectionState;
      if (state === "failed" || state === "closed") this.#end(`its state is "${state}"`);
    });
    this.#channel = this.#peer.createDataChannel("peerloom", { negotiated: true, id: 0 });
    this.#channel.binaryType = "arraybuffer";
    this.#channel.bufferedAmountLowThreshold = BUFFER_LOW_BYTES;
    this.#channel.addEventListener("open", () => this.#opened());
    this.#channel.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data !== "string") this.onMessage(new Uint8Array(data));
    });
    this.#channel.addEventListener("bufferedamountlow", () => this.onDrain());
    this.#channel.addEventListener("close", () => this.#end("the channel was closed"));
    if (role === "offerer") this.#step("the offer could not be made", () => this.#offer());
  }

  accept(signal: RtcSignal): void {
    this.#step("the other side's description was refused", () => this.#accept(signal));
  }

  get bufferedBytes(): number {
    return this.#channel.bufferedAmount;
  }

  get messageBytesMax(): number {
    return this.#peer.sctp?.maxMessageSize ?? FRAME_BYTES_MAX;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#over) return;
    try {
      this.#channel.send(bufferSource(concatBytes(...parts)));
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

  describe(): string {
    return "webrtc";
  }

  remoteHost(): string | undefined {
    // Not in every browser, whatever the types say.
    return this.#peer.sctp?.transport.iceTransport.getSelectedCandidatePair?.()?.remote?.address ?? undefined;
  }

  close(): void {
    if (this.#over) return;
    const deadlineMs = performance.now() + CLOSE_FLUSH_MS;
    const flush = (): void => {
      const isFlushing = this.#channel.readyState === "open" && this.#channel.bufferedAmount > 0;
      if (isFlushing && performance.now() < deadlineMs) setTimeout(flush, FLUSH_STEP_MS);
      else this.#end(undefined);
    };
    this.onMessage = () => {};
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

  #opened(): void {
    if (!this.#over) this.onOpen();
  }

  /** Undefined: closed on purpose. */
  #end(why: string | undefined, cause?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#channel.close();
    this.#peer.close();
    this.onClose(
      why === undefined
        ? undefined
        : new PeerloomError("link/failed", `The WebRTC connection ended: ${why}.`, { cause }),
    );
  }
}

function fingerprintOf(sdp: string | undefined): string {
  return (/^a=fingerprint:sha-256 ([0-9A-Fa-f:]+)/m.exec(sdp ?? "")?.[1] ?? "").toLowerCase();
}
