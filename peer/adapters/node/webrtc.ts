/**
 * WebRTC by node-datachannel (libdatachannel, usrsctp, OpenSSL). Its native callbacks abort the process when anything
 * throws inside, and it believes the SDP it is given, so both are fenced here.
 */
import type { DataChannel, IceServer as NativeIceServer, PeerConnection } from "node-datachannel";
import { type ErrorCode, PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";
import type { IceServer, RtcConnection, RtcPair, RtcSignal, WebRtcHost } from "../../runtime.ts";
import { joinPooled, plainView } from "./memory.ts";

type Native = typeof import("node-datachannel");

/** The window is what limits one connection over distance: 8 MiB give 58 MB/s at 50 ms where 1 MiB gives 10. */
const SCTP_SETTINGS = {
  recvBufferSize: 8 * 1024 * 1024,
  sendBufferSize: 2 * 1024 * 1024,
  maxChunksOnQueue: 65_536,
  initialCongestionWindow: 64,
} as const;
const BUFFER_LOW_BYTES: number = 256 * 1024;
const SDP_CHARACTERS_MAX = 16_384;
/** libjuice uses two of each at most. */
const STUN_MAX = 2;
const TURN_MAX = 2;
/** A session above has what was not acknowledged, so that a moment is enough. */
const CLOSE_WAIT_MS = 1_000;
const FLUSH_STEP_MS = 5;
/** Turns of the event loop without a message, after which none is left. */
const QUIET_TURNS = 3;

export interface NodeWebRtcOptions {
  /** Gather candidates on this address only, for tests. @default all interfaces */
  readonly bindAddress?: string;
}

/** Undefined where there is no binary for the platform, or Deno runs without `--allow-ffi`. */
export async function loadNodeWebRtc(options: NodeWebRtcOptions = {}): Promise<WebRtcHost | undefined> {
  let native: Native;
  try {
    native = await import("node-datachannel");
    settleOnce(native);
  } catch {
    return undefined;
  }
  return { open: (connection) => new NodeRtcConnection(native, { ...connection, ...options }) };
}

let settled = false;

/** Process-wide, and only before the first connection. */
function settleOnce(native: Native): void {
  if (settled) return;
  native.setSctpSettings(SCTP_SETTINGS);
  settled = true;
}

/** Native objects that JavaScript forgets are collected and closed, even while bytes are under way. */
const alive = new Set<NodeRtcConnection>();
let connections = 0;

class NodeRtcConnection implements RtcConnection {
  readonly #peer: PeerConnection;
  /** Undefined until the other side has announced it. */
  #channel: DataChannel | undefined;
  readonly #role: "offerer" | "answerer";
  #waiting: Extract<RtcSignal, { kind: "candidate" }>[] = [];
  #described = false;
  #open = false;
  #over = false;
  #closing = false;
  #channelClosed = false;
  #wasHigh = false;
  #received = 0;
  onOpen: () => void = () => {};
  onMessage: (bytes: Uint8Array) => void = () => {};
  onText: (text: string) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};

  constructor(native: Native, options: Parameters<WebRtcHost["open"]>[0] & NodeWebRtcOptions) {
    this.#role = options.role;
    this.#peer = new native.PeerConnection(`peerloom-${connections++}`, {
      iceServers: nativeIceServers(options.iceServers),
      maxMessageSize: FRAME_BYTES_MAX,
      disableAutoNegotiation: true,
      ...(options.bindAddress === undefined ? {} : { bindAddress: options.bindAddress }),
    });
    alive.add(this);
    this.#peer.onLocalDescription(
      this.#guarded((sdp: string, kind: string) => {
        if (kind === "offer" || kind === "answer") options.onSignal({ kind, sdp });
      }),
    );
    this.#peer.onLocalCandidate(
      this.#guarded((candidate: string, mid: string) =>
        options.onSignal({ kind: "candidate", candidate, mid }),
      ),
    );
    this.#peer.onGatheringStateChange(
      this.#guarded((state: string) => {
        // The last candidates may come by their own queue in the same turn.
        if (state === "complete") setImmediate(() => options.onGathered?.());
      }),
    );
    this.#peer.onStateChange(
      this.#guarded((state: string) => {
        // "disconnected" may pass; the session above notices silence by itself.
        if (state === "failed") this.#end('its state is "failed"');
        else if (state === "closed") this.#closedByOther();
      }),
    );
    const { announced } = options;
    if (announced === undefined)
      this.#use(this.#peer.createDataChannel("peerloom", { negotiated: true, id: 0 }));
    else if (options.role === "offerer")
      this.#use(this.#peer.createDataChannel(announced.label, { unordered: !announced.ordered }));
    else
      this.#peer.onDataChannel(
        this.#guarded((channel: DataChannel) => {
          if (this.#channel !== undefined || this.#over) channel.close();
          else this.#use(channel);
        }),
      );
    if (options.role === "offerer") this.#peer.setLocalDescription();
  }

  accept(signal: RtcSignal): void {
    if (this.#over) return;
    try {
      if (signal.kind !== "candidate") this.#describe(signal);
      else if (this.#described) this.#addCandidate(signal);
      else this.#waiting.push(signal);
    } catch (cause) {
      this.#end("the other side's description was refused", cause);
    }
  }

  get bufferedBytes(): number {
    return this.#over || this.#channelClosed ? 0 : (this.#channel?.bufferedAmount() ?? 0);
  }

  get messageBytesMax(): number {
    return this.#over ? 0 : (this.#channel?.maxMessageSize() ?? 0);
  }

  send(parts: readonly Uint8Array[]): void {
    const { bytes, written } = joinPooled(parts);
    this.#send((channel) => channel.sendMessageBinary(bytes));
    // It has its own copy.
    written?.();
  }

  sendText(text: string): void {
    this.#send((channel) => channel.sendMessage(text));
  }

  fingerprints(): { readonly local: string; readonly remote: string } {
    return {
      local: fingerprintOf(this.#peer.localDescription()?.sdp ?? ""),
      remote: this.#peer.remoteFingerprint().value.toLowerCase(),
    };
  }

  chosenPair(): Promise<RtcPair | undefined> {
    return Promise.resolve(this.#peer.getSelectedCandidatePair() ?? undefined);
  }

  close(waitMs: number = CLOSE_WAIT_MS): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    this.onMessage = () => {};
    const deadlineMs = performance.now() + (this.#open ? waitMs : 0);
    const flush = (): void => {
      if (this.#over) return;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) this.#end(undefined);
      else if (this.bufferedBytes > 0) setTimeout(flush, FLUSH_STEP_MS);
      else {
        // SCTP still holds what was not acknowledged, and closing the connection would drop it. Closing the channel goes
        // behind it; the other side then closes the connection.
        this.#channelClosed = true;
        this.#channel?.close();
        setTimeout(() => this.#end(undefined), leftMs);
      }
    };
    flush();
  }

  destroy(): void {
    this.#end(undefined);
  }

  #use(channel: DataChannel): void {
    this.#channel = channel;
    channel.setBufferedAmountLowThreshold(BUFFER_LOW_BYTES);
    channel.onOpen(this.#guarded(() => this.#opened()));
    channel.onMessage(this.#guarded((message: string | Buffer | ArrayBuffer) => this.#receive(message)));
    channel.onBufferedAmountLow(
      this.#guarded(() => {
        // The event comes late: what was sent meanwhile may have filled the buffer again, and then another follows.
        if (!this.#wasHigh || this.bufferedBytes > BUFFER_LOW_BYTES) return;
        this.#wasHigh = false;
        this.onDrain();
      }),
    );
    channel.onClosed(
      this.#guarded(() => {
        if (!this.#channelClosed) this.#closedByOther();
      }),
    );
    channel.onError(this.#guarded((error: string) => this.#end(error)));
    // One that was announced is open already.
    if (channel.isOpen()) this.#opened();
  }

  #send(send: (channel: DataChannel) => void): void {
    const channel = this.#channel;
    if (channel === undefined || this.#over || this.#closing) return;
    try {
      send(channel);
      if (channel.bufferedAmount() > BUFFER_LOW_BYTES) this.#wasHigh = true;
    } catch (cause) {
      this.#end("sending failed", cause);
    }
  }

  #describe({ kind, sdp }: Extract<RtcSignal, { kind: "offer" | "answer" }>): void {
    if (this.#described || kind !== (this.#role === "offerer" ? "answer" : "offer")) return;
    checkSdp(sdp);
    // The answerer becomes DTLS server. As a client its first flight often comes before the offerer's ICE is up, and
    // OpenSSL sends it again after a second: a third of all connections stalled so.
    this.#peer.setRemoteDescription(
      sdp.replace("a=setup:actpass", "a=setup:active"),
      kind === "offer" ? "offer" : "answer",
    );
    this.#described = true;
    if (this.#role === "answerer") this.#peer.setLocalDescription();
    for (const each of this.#waiting.splice(0)) this.#addCandidate(each);
  }

  /** One bad candidate (a name that does not resolve, a connection just closed) spoils nothing. */
  #addCandidate({ candidate, mid }: Extract<RtcSignal, { kind: "candidate" }>): void {
    try {
      this.#peer.addRemoteCandidate(candidate, mid);
    } catch {
      // The others decide.
    }
  }

  #opened(): void {
    if (this.#over || this.#open) return;
    this.#open = true;
    this.onOpen();
  }

  #receive(message: string | Buffer | ArrayBuffer): void {
    if (this.#over) return;
    this.#received += 1;
    // The message may come in before the event that says the channel is open.
    this.#opened();
    if (typeof message === "string") {
      if (!this.#closing) this.onText(message);
    } else this.onMessage(message instanceof ArrayBuffer ? new Uint8Array(message) : plainView(message));
  }

  /** Its callbacks come by queues of their own: messages from before the end may come behind it, for as many turns as they last. */
  #closedByOther(): void {
    let seen = -1;
    let quietTurns = 0;
    const wait = (): void => {
      quietTurns = this.#received === seen ? quietTurns + 1 : 0;
      seen = this.#received;
      if (quietTurns < QUIET_TURNS) setImmediate(wait);
      else this.#end("the other side closed it", undefined, this.#open ? "link/closed" : "link/failed");
    };
    wait();
  }

  /** Undefined: closed on purpose. */
  #end(why: string | undefined, cause?: unknown, code: ErrorCode = "link/failed"): void {
    if (this.#over) return;
    this.#over = true;
    const error =
      why === undefined || this.#closing
        ? undefined
        : new PeerloomError(code, `The WebRTC connection ended: ${why}.`, { cause });
    try {
      if (!this.#channelClosed) this.#channel?.close();
      this.#peer.close();
    } catch {
      // Closed by the other side meanwhile.
    }
    alive.delete(this);
    this.onClose(error);
  }

  #guarded<Arguments extends unknown[]>(
    callback: (...values: Arguments) => void,
  ): (...values: Arguments) => void {
    return (...values) => {
      try {
        callback(...values);
      } catch (error) {
        // Out of the native callback, or the process aborts; a defect of ours must still be seen.
        queueMicrotask(() => {
          throw error;
        });
      }
    };
  }
}

/** What reaches native code is one application section with one fingerprint and plain ICE credentials. */
function checkSdp(sdp: string): void {
  const count = (pattern: RegExp): number => (sdp.match(pattern) ?? []).length;
  const credential = /^[A-Za-z0-9+/]{4,256}$/;
  const ufrag = /^a=ice-ufrag:(\S+)\r?$/m.exec(sdp)?.[1] ?? "";
  const password = /^a=ice-pwd:(\S+)\r?$/m.exec(sdp)?.[1] ?? "";
  const isSound =
    sdp.length <= SDP_CHARACTERS_MAX &&
    count(/^m=/gm) === 1 &&
    /^m=application /m.test(sdp) &&
    count(/^a=fingerprint:/gm) === 1 &&
    /^a=fingerprint:sha-256 /im.test(sdp) &&
    credential.test(ufrag) &&
    credential.test(password) &&
    password.length >= 22;
  if (!isSound) throw new PeerloomError("wire/malformed", "That is no description of a data channel.");
}

function fingerprintOf(sdp: string): string {
  return (/^a=fingerprint:sha-256 ([0-9A-Fa-f:]+)/m.exec(sdp)?.[1] ?? "").toLowerCase();
}

/** Host and port apart, since an IPv6 address in URL form is refused; TURN over UDP only, the rest is ignored there. */
function nativeIceServers(servers: readonly IceServer[]): NativeIceServer[] {
  const all = servers.flatMap(nativeIceServer);
  const isTurn = ({ relayType }: NativeIceServer): boolean => relayType !== undefined;
  return [
    ...all.filter((server) => !isTurn(server)).slice(0, STUN_MAX),
    ...all.filter(isTurn).slice(0, TURN_MAX),
  ];
}

function nativeIceServer({ urls, username, credential }: IceServer): NativeIceServer[] {
  return urls.flatMap((url) => {
    const match = /^(stun|turn):(\[[^\]]+\]|[^:?]+)(?::(\d+))?(?:\?transport=(\w+))?$/.exec(url);
    if (match === null || (match[4] !== undefined && match[4] !== "udp")) return [];
    const [, scheme, host = "", port = "3478"] = match;
    const hostname = host.replace(/^\[|\]$/g, "");
    if (scheme === "stun") return [{ hostname, port: Number(port) }];
    if (username === undefined || credential === undefined) return [];
    return [{ hostname, port: Number(port), username, password: credential, relayType: "TurnUdp" as const }];
  });
}
