/**
 * What a peer asks of the program it runs in. Node, Deno, browsers and the simulator each supply one `Runtime`; nothing
 * else in the peer knows which of them it is. Types only, so that every layer may name them.
 */
import type { PeerloomError } from "../shared/errors.ts";
import type { UdpHost } from "./runtime-udp.ts";

/** Everything a peer needs from its host. */
export interface Runtime {
  readonly name: "node" | "deno" | "browser" | "sim";
  readonly clock: Clock;
  readonly random: Random;
  readonly aead: AeadProvider;
  readonly hash: HashProvider;
  /** Undefined where the host has no sockets of that kind. */
  readonly tcp: TcpHost | undefined;
  /** For the bytes of other programs. Undefined where the host has none. */
  readonly sockets: SocketHost | undefined;
  readonly websocket: WebSocketHost;
  readonly webrtc: WebRtcHost | undefined;
  /** Undefined where the host has no datagram sockets. */
  readonly udp: UdpHost | undefined;
  /** Undefined where the host cannot speak to the local network. */
  readonly lan: LanHost | undefined;
  /** The process's own state: the identity key, later the address book. */
  readonly storage: KeyValueStorage;
  /** Undefined in browsers, where files are Blobs and OPFS handles. */
  readonly files: FileSystem | undefined;
  /** Undefined, or left out, where there are none. */
  readonly originFiles?: OriginFileHost | undefined;
  /** Undefined, or left out, where nothing outlives the process. */
  readonly logs?: LogHost | undefined;
  /** Undefined, or left out, where the host has no threads to run modules in. */
  readonly sandboxes?: SandboxHost | undefined;
  /** Undefined, or left out, where the program runs until it ends. */
  readonly lifecycle?: LifecycleHost | undefined;
  readonly log: Log;
}

/** What befalls the program as a whole: a page is hidden, frozen, put away and shown again; the machine's network changes. */
export interface LifecycleHost {
  /** @returns watches no longer */
  watch(events: LifecycleEvents): () => void;
}

export interface LifecycleEvents {
  /** It may have stood still, or the network is another one: what was open may be dead. */
  back(): void;
  /** It is put away, and what is open now is cut, or would keep it from coming back. @param isOver it will not come back */
  away(isOver: boolean): void;
}

export interface Clock {
  /** Wall clock, ms since 1970. May jump: only for what other machines read. */
  nowMs(): number;
  /** Never goes back: for durations and deadlines. */
  monotonicMs(): number;
  /** Timers come so late without anything having stood still: hidden pages get theirs by the second. @default 0 */
  readonly slackMs?: number;
  /** Calls once after `delayMs`. Does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** @throws the signal's reason when aborted before the time is over */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls after the events that are already waiting, as soon as possible (setImmediate, or the like). */
  defer(callback: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  unit(): number;
}

/** Ciphers for session frames. `aes-256-gcm` is everywhere; `aes-128-ocb` (RFC 7253) where the host has it in C. */
export type AeadName = "aes-256-gcm" | "aes-128-ocb";

export interface AeadProvider {
  /** Best first; always holds `aes-256-gcm`. */
  readonly supported: readonly AeadName[];
  importKey(name: AeadName, key: Uint8Array): Promise<AeadKey> | AeadKey;
}

/** Seals with a 12-byte nonce and a 16-byte tag at the end. Results may come at once or later: hosts differ. */
export interface AeadKey {
  /**
   * @param parts plaintext in pieces, sealed as if joined; not kept
   * @returns header is not included; the pieces joined are ciphertext and tag, each in memory of its own
   */
  seal(
    nonce: Uint8Array,
    header: Uint8Array,
    parts: readonly Uint8Array[],
  ): Uint8Array[] | Promise<Uint8Array[]>;
  /** @returns the plaintext, in memory of its own, or undefined when it was not sealed with this key, nonce and header */
  open(
    nonce: Uint8Array,
    header: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/** Hashing for the handshake, at once where the host can: each wait for WebCrypto's threads costs more than the hash. */
export interface HashProvider {
  sha256(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** HKDF-SHA-256 (RFC 5869), which is Noise's HKDF when `info` is empty. */
  hkdf(
    secret: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ): Uint8Array | Promise<Uint8Array>;
}

/** A connected byte pipe. The link layer puts frames on it. */
export interface ByteSocket {
  /** For people. */
  readonly remoteAddress: string;
  /** IP address of the other end; undefined where the host does not tell. */
  readonly remoteHost?: string | undefined;
  /** Takes the pieces as one write, and copies them. */
  write(parts: readonly Uint8Array[]): void;
  /** Bytes taken and not yet given to the operating system. */
  readonly bufferedBytes: number;
  close(): void;
  /** Drops everything unsent. */
  destroy(): void;
  /** Memory is valid during the call only. */
  onData: (bytes: Uint8Array) => void;
  /** `bufferedBytes` has fallen to zero. */
  onDrain: () => void;
  /** Called once. */
  onClose: (error: PeerloomError | undefined) => void;
}

/** A message socket: WebSocket, client or server side. Binary messages and short texts. */
export interface MessageSocket {
  /** For people. */
  readonly remoteAddress: string;
  /** IP address of the other end; undefined where the host does not tell. */
  readonly remoteHost?: string | undefined;
  /** Sends the pieces as one message, and copies them. */
  send(parts: readonly Uint8Array[]): void;
  sendText(text: string): void;
  readonly bufferedBytes: number;
  close(code?: number, reason?: string): void;
  /** Without waiting for the closing handshake. */
  destroy(): void;
  /** Memory is valid during the call only. */
  onMessage: (bytes: Uint8Array) => void;
  onText: (text: string) => void;
  /** `bufferedBytes` has fallen below 256 KiB after having been above. Hosts without the event poll. */
  onDrain: () => void;
  /** Called once. `code` and `reason` as in RFC 6455. */
  onClose: (code: number, reason: string) => void;
}

export interface TcpHost {
  /** @throws PeerloomError `link/failed`, `aborted` */
  connect(
    address: { readonly host: string; readonly port: number },
    signal: AbortSignal,
  ): Promise<ByteSocket>;
  /**
   * One port for TCP and WebSocket: the first bytes tell (an HTTP request line means WebSocket).
   * @throws PeerloomError `link/failed` when the port is taken
   */
  listen(
    options: { readonly host: string; readonly port: number },
    accept: { tcp(socket: ByteSocket, firstBytes: Uint8Array): void; websocket(socket: MessageSocket): void },
  ): Promise<Listener>;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Addresses others may try: the host itself, or every interface's address when it is `0.0.0.0` or `::`. */
  addresses(): readonly string[];
  /** Resolves when the port is free again; accepted sockets stay. */
  close(): Promise<void>;
}

/** Plain TCP, to and from other programs on the machine or near it. */
export interface SocketHost {
  /** @throws PeerloomError `link/failed` */
  connect(
    address: { readonly host: string; readonly port: number },
    signal: AbortSignal,
  ): Promise<PlainSocket>;
  /** @throws PeerloomError `link/failed` when the port is taken */
  listen(
    options: { readonly host: string; readonly port: number },
    accept: (socket: PlainSocket) => void,
  ): Promise<SocketListener>;
}

export interface SocketListener {
  readonly host: string;
  readonly port: number;
  /** Takes no more; resolves when those it took are over too. */
  close(): Promise<void>;
}

/** One connection. Each half ends by itself, as in TCP. */
export interface PlainSocket {
  readonly remoteAddress: string;
  /** Ends with the other program's half; reads no faster than it is read. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Writing waits for the other program; closing ends this half. */
  readonly writable: WritableStream<Uint8Array>;
  /** Ends both halves at once, which the other program sees as a reset. Twice is harmless. */
  reset(): void;
}

export interface WebSocketHost {
  /**
   * Never offers compression where that can be chosen: sealed bytes do not shrink.
   * @throws PeerloomError `link/failed`, `aborted`
   */
  connect(url: string, signal: AbortSignal, options?: WebSocketOptions): Promise<MessageSocket>;
}

export interface WebSocketOptions {
  /** A longer message ends the socket, where the host can tell before it has all of it. @default FRAME_BYTES_MAX */
  readonly messageBytesMax?: number;
}

/** An ICE server as in W3C's RTCIceServer. */
export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** What two WebRTC sides tell each other. */
export type RtcSignal =
  | { readonly kind: "offer" | "answer"; readonly sdp: string }
  | { readonly kind: "candidate"; readonly candidate: string; readonly mid: string };

export interface WebRtcHost {
  /**
   * One peer connection with one reliable data channel: ordered and negotiated with id 0 on both sides, unless it is announced.
   * The offerer's `onSignal` is called with the offer soon after.
   */
  open(options: {
    readonly role: "offerer" | "answerer";
    readonly iceServers: readonly IceServer[];
    /** The offerer tells of the channel in band (RFC 8832), as other programs do; the answerer takes the first that comes. */
    readonly announced?: RtcChannel | undefined;
    onSignal(signal: RtcSignal): void;
    /** All candidates there are have been told to `onSignal`. */
    onGathered?(): void;
  }): RtcConnection;
}

/** What the offerer says of its channel; an answerer's is ignored. */
export interface RtcChannel {
  readonly label: string;
  readonly ordered: boolean;
}

/** Both ends of a way that ICE has found. */
export interface RtcPair {
  readonly local: RtcEnd;
  readonly remote: RtcEnd;
}

export interface RtcEnd {
  /** `host`, `srflx`, `prflx` or `relay` (RFC 8839 §5.1). */
  readonly type: string;
  /** What a browser hides is no IP address. */
  readonly address: string;
  readonly port: number;
}

export interface RtcConnection {
  /** Takes what the other side signalled. Candidates may come before the description; they wait here. Never throws. */
  accept(signal: RtcSignal): void;
  /** Memory must not change afterwards. */
  send(parts: readonly Uint8Array[]): void;
  sendText(text: string): void;
  readonly bufferedBytes: number;
  /** The longest message both sides take, bytes; known once open. */
  readonly messageBytesMax: number;
  /** SHA-256 fingerprints of both certificates, `aa:bb:…` lower case; known once open. */
  fingerprints(): { readonly local: string; readonly remote: string };
  /** The candidate pair in use, known once open; undefined where the host does not tell. */
  chosenPair(): Promise<RtcPair | undefined>;
  /** Gives what was sent so long to arrive; ends sooner when the other side has closed too. @default 1_000 */
  close(waitMs?: number): void;
  /** At once, also while it closes. Drops everything unsent. */
  destroy(): void;
  onOpen: () => void;
  onMessage: (bytes: Uint8Array) => void;
  onText: (text: string) => void;
  /** `bufferedBytes` has fallen below 256 KiB after having been above. */
  onDrain: () => void;
  /** Called once, also when it never opened. `link/closed`: it was open, and the other side has closed it; `link/failed`: all else. */
  onClose: (error: PeerloomError | undefined) => void;
}

/** How far a peer's notices go: `loopback` never leaves the machine. */
export type LanReach = "loopback" | "lan";

/**
 * Multicast DNS (RFC 6762): the host asks, says and hears service notices (RFC 6763) of the one type
 * `_peerloom._tcp.local`. What stands in them, and when they are said, is the peer's business.
 */
export interface LanHost {
  /** @throws PeerloomError `link/unavailable` where nothing can be multicast */
  open(options: { readonly reach: LanReach } & LanEvents): Promise<LanSocket>;
}

/** What is heard, one's own voice included. Strangers' words: bounded in number and size, and nothing else. */
export interface LanEvents {
  /** Somebody asks who is there: of the network with that tag, or of any. */
  onQuestion(tag: string | undefined): void;
  /** `texts`: at most 16 of at most 255 bytes. `source`: the IP address that it came from. */
  onNotice(notice: Pick<LanNotice, "texts" | "ttlSeconds">, source: string): void;
  /** An interface has come up; nobody there has heard anything yet. */
  onInterface(): void;
}

export interface LanSocket {
  /** Asks all peers of a network to say their notices. */
  ask(tag: string): void;
  say(notice: LanNotice): void;
  /** Resolves when what was said has left and nothing is open. */
  close(): Promise<void>;
}

/** One peer's service instance. */
export interface LanNotice {
  /** The instance's and its host's name: one DNS label, nobody else's. */
  readonly label: string;
  /** Of the network, hex: a subtype of the service, so that others can be left unasked. */
  readonly tag: string;
  /** Where it listens. Not empty. */
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  /** `key=value`, at most 255 bytes each. */
  readonly texts: readonly string[];
  /** How long others may remember it; 0: a farewell. */
  readonly ttlSeconds: number;
}

/** Small values by name; each write is atomic and durable. */
export interface KeyValueStorage {
  get(key: string): Promise<StoredValue | undefined>;
  set(key: string, value: StoredValue): Promise<void>;
}

/** Bytes, or (browsers only) a non-extractable key that IndexedDB keeps as it is. */
export type StoredValue = Uint8Array | CryptoKey;

/** Paths are absolute and in the host's own notation. Every failure is a PeerloomError. */
export interface FileSystem {
  /** @throws `files/not-found` */
  stat(path: string): Promise<{
    readonly kind: "file" | "directory" | "other";
    readonly bytes: number;
    readonly modifiedMs: number;
  }>;
  exists(path: string): Promise<boolean>;
  /** Names in a directory, sorted by code unit. Symbolic links are reported as `other` by `stat`. */
  list(path: string): Promise<readonly string[]>;
  /** `read` needs the file; `update` makes it when absent and keeps what is there. @throws `files/not-found`, `files/unwritable` */
  open(path: string, mode: "read" | "update"): Promise<FileHandle>;
  /** Makes parents too. @throws `files/unwritable` */
  makeDirectory(path: string): Promise<void>;
  /** Moves to a name where nothing stands, or an empty folder does. @throws `files/exists`, and both are as they were */
  rename(from: string, to: string): Promise<void>;
  /** Moves a file over whatever file stands there, in one step. @throws `files/exists` when it is a folder */
  replace(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /**
   * Keeps what `path` stands for from everybody else, by a file of that name; one whose process is gone is taken over.
   * @returns ends it @throws `files/locked`, `files/unwritable`
   */
  lock(path: string): Promise<() => Promise<void>>;
  /** The bytes under `path`'s file system that may still be written, or undefined when unknown. */
  freeBytes(path: string): Promise<number | undefined>;
  /** Joins segments with the host's separator. */
  join(...segments: readonly string[]): string;
  /** The last segment. */
  baseName(path: string): string;
  /** The folder that it lies in. */
  folderOf(path: string): string;
}

export interface FileHandle {
  /** Fills as much of `into` as there is at `offset`; the count is smaller only at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** @throws `files/disk-full`, `files/unwritable` */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** Returns when what was written survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Files of a page's origin that people do not see: what the page fetches lies there, and not in memory. */
export interface OriginFileHost {
  /**
   * Takes a file for this page, and makes it when it is absent. What no page uses goes where it is old, too much, or in the way.
   * @param name 1 to 200 of `a-z 0-9`
   * @returns undefined where the browser gives this page none
   * @throws PeerloomError `files/locked` another page writes to it
   */
  open(name: string): Promise<OriginFile | undefined>;
}

/** Calls are done in their order. */
export interface OriginFile {
  /** How long it was when it was taken. */
  readonly bytes: number;
  /** As `FileHandle.read`. @throws `files/changed` when it was finished, and others have written to it or removed it since */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Takes the bytes with the memory that they lie in. @throws `files/disk-full`, `files/unwritable` */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** Writes no more, so that other pages may have it too. */
  finish(): Promise<File>;
  /** Lets it go: it stays for another time, unless nothing was ever written to it. Twice is harmless. */
  close(): Promise<void>;
  /** Lets it go, and it goes too unless another page uses it. */
  remove(): Promise<void>;
}

/** Logs of this peer's own that only grow, kept beside its identity. */
export interface LogHost {
  /**
   * Opens a log, empty when there was none. One opener at a time.
   * @param name 1 to 200 of `a-z 0-9 -`
   * @throws PeerloomError `data/unwritable`
   */
  open(name: string): Promise<LogFile>;
}

/** What was appended last may be cut short when the process or the machine dies; what `sync` waited for is whole. */
export interface LogFile {
  readonly bytes: number;
  /** Fills as much of `into` as there is at `offset`. @returns how much @throws PeerloomError `data/unwritable` */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** One call at a time. @throws PeerloomError `data/unwritable` */
  append(bytes: Uint8Array): Promise<void>;
  /** Cuts what is behind. */
  truncate(bytes: number): Promise<void>;
  /** Returns when what was appended survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Threads in which strangers' WebAssembly runs. It has no imports, so it reaches nothing but its own memory. */
export interface SandboxHost {
  /** Processors that may compute at once. */
  readonly cores: number;
  /** Starts a thread. What fails shows at its first call. */
  start(): Sandbox;
}

/** One thread with one module at a time. One call at a time. */
export interface Sandbox {
  /**
   * Compiles a module in place of the last one.
   * @throws PeerloomError `compute/module-invalid`, `compute/unavailable` where no WebAssembly runs
   */
  load(module: Uint8Array): Promise<void>;
  /**
   * Runs a fresh instance of the module, so that nothing is left of the call before.
   * @throws PeerloomError `compute/trap`, `compute/memory-limit` (it trapped with all memory it may have in use), `compute/too-large`,
   * `compute/stack-limit` (another host may have more of it), `compute/unavailable` when the thread is gone
   */
  run(input: Uint8Array, limits: SandboxLimits): Promise<Uint8Array>;
  /** Ends the thread at once, whatever it does; a call under way is rejected. Twice is harmless. */
  kill(): Promise<void>;
}

export interface SandboxLimits {
  readonly outputBytesMax: number;
  /** What the module was bounded to; for telling why it trapped. */
  readonly memoryBytesMax: number;
}

/** Events with fields; silent by default. Never keys, payloads or invites. */
export interface Log {
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
}
