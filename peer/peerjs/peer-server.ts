/**
 * The socket to a PeerServer, kept for as long as the door is open: heartbeats, and a new socket under the same id and token
 * whenever one is lost, with backoff and jitter. The first opening is the caller's to try again; from then on nothing but another process
 * with the same token ends it.
 */
import { parseErrorCode, PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { toHex } from "../../shared/bytes.ts";
import { backoffMs } from "../overlay/backoff.ts";
import type { MessageSocket, Runtime, Timer } from "../runtime.ts";
import type { ServerState } from "./contract.ts";
import { SERVER_MESSAGE_BYTES_MAX, SERVER_WAITING_MAX } from "./limits.ts";
import {
  type FromServer,
  HEARTBEAT,
  probeMessage,
  readServerMessage,
  type Refusal,
} from "./server-messages.ts";

/** What the stock client sends; PeerServer drops who has not for 60 or 90 s. */
const HEARTBEAT_EVERY_MS = 5_000;
/** peerloom's edge answers heartbeats; where one was answered, so many without an answer mean that the socket is dead. */
const HEARTBEATS_UNANSWERED_MAX = 3;
/** A server that has not let us in by then will not. */
const OPEN_TIMEOUT_MS = 15_000;
/** Who comes back and hears nothing asks whether it was let in. */
const PROBE_AFTER_MS = 2_000;
const BACKOFF = { firstMs: 500, maxMs: 30_000 } as const;
/** Who was let in for less than this and thrown out again waits longer each time. */
const STABLE_MS = 10_000;
/** Close code of peerloom's edge when another socket has come with the same id and token. */
const CLOSE_REPLACED = 4001;

export interface PeerServerOptions {
  readonly runtime: Pick<Runtime, "clock" | "random" | "websocket" | "log">;
  readonly url: string;
  /** For people. */
  readonly server: string;
  readonly id: string;
  onMessage(message: FromServer): void;
  onState(state: ServerState): void;
}

export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #stop = new AbortController();
  readonly #waiting: string[] = [];
  #socket: MessageSocket | undefined;
  #isOpen = false;
  #wasOpen = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PeerServerOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Resolves when the server has let us in.
   * @throws PeerloomError `peerjs/id-taken`, `peerjs/key-invalid`, `edge/unreachable`, what an edge says, `aborted`
   */
  async open(signal?: AbortSignal): Promise<void> {
    const opened = Promise.withResolvers<void>();
    const abort = (): void =>
      this.#stop.abort(toPeerloomError(signal?.reason, "aborted", "Given up on request."));
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#running = this.#run(opened.resolve, opened.reject);
    try {
      await opened.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Now, or when the server is there again. */
  send(text: string): void {
    if (this.#isOpen) this.#socket?.sendText(text);
    else {
      this.#waiting.push(text);
      if (this.#waiting.length > SERVER_WAITING_MAX) this.#waiting.shift();
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new PeerloomError("peer/closed", "This door is closed."));
    await this.#running;
  }

  async #run(opened: () => void, failed: (error: PeerloomError) => void): Promise<void> {
    const { runtime, onState } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; ; failures++) {
      let openedMs = Number.POSITIVE_INFINITY;
      const error = await this.#connect(() => {
        openedMs = runtime.clock.monotonicMs();
        this.#wasOpen = true;
        opened();
      });
      if (runtime.clock.monotonicMs() - openedMs >= STABLE_MS) failures = 0;
      if (!this.#wasOpen) {
        failed(error);
        return;
      }
      if (signal.aborted) return;
      onState({ connected: false, error });
      if (error.code === "edge/replaced") return;
      const isOver = await runtime.clock.sleep(backoffMs(failures, runtime.random, BACKOFF), signal).then(
        () => false,
        () => true,
      );
      if (isOver) return;
    }
  }

  /** One socket from its dial to its end. Never rejects. @returns why it ended */
  async #connect(onOpen: () => void): Promise<PeerloomError> {
    const { runtime, url, onState } = this.#options;
    const ended = Promise.withResolvers<PeerloomError>();
    const dialling = new AbortController();
    const end = (error: PeerloomError): void => {
      dialling.abort(error);
      ended.resolve(error);
    };
    const abort = (): void => end(toPeerloomError(this.#stop.signal.reason, "aborted", "Given up."));
    this.#stop.signal.addEventListener("abort", abort, { once: true });
    if (this.#stop.signal.aborted) abort();
    let timer: Timer | undefined = runtime.clock.setTimer(OPEN_TIMEOUT_MS, () =>
      end(this.#unreachable("did not let us in")),
    );
    try {
      const socket = await runtime.websocket.connect(url, dialling.signal, {
        messageBytesMax: SERVER_MESSAGE_BYTES_MAX,
      });
      this.#socket = socket;
      const probe = this.#wasOpen ? this.#probe(socket) : undefined;
      const heart = new Heart(runtime, socket, () => end(this.#unreachable("has gone silent")));
      socket.onClose = (code, reason) => end(this.#closedByServer(code, reason));
      socket.onText = (text) => {
        const message = readServerMessage(text);
        heart.heard(message);
        if (!this.#isOpen && (message.kind === "open" || probe?.isAnsweredBy(message) === true)) {
          timer?.cancel();
          timer = undefined;
          this.#isOpen = true;
          onOpen();
          onState({ connected: true });
          for (const waiting of this.#waiting.splice(0)) socket.sendText(waiting);
        } else if (message.kind === "id-taken" || message.kind === "invalid-key" || message.kind === "error")
          end(refusal(message));
        else if (probe?.isAnsweredBy(message) !== true) this.#options.onMessage(message);
      };
      socket.onMessage = () => {}; // last: some hosts deliver from here on
      const error = await ended.promise;
      heart.stop();
      probe?.stop();
      socket.onText = () => {};
      socket.onClose = () => {};
      socket.close(1000, "");
      return error;
    } catch (cause) {
      // A dial that was given up says so itself.
      if (dialling.signal.aborted) return await ended.promise;
      return cause instanceof PeerloomError && cause.code !== "link/failed"
        ? cause
        : this.#unreachable("cannot be reached", cause);
    } finally {
      timer?.cancel();
      this.#isOpen = false;
      this.#socket = undefined;
      this.#stop.signal.removeEventListener("abort", abort);
    }
  }

  #probe(socket: MessageSocket): { isAnsweredBy(message: FromServer): boolean; stop(): void } {
    const { clock, random } = this.#options.runtime;
    const name = `probe_${toHex(random.bytes(8))}`;
    const timer = clock.setTimer(PROBE_AFTER_MS, () => {
      if (!this.#isOpen) socket.sendText(probeMessage(this.#options.id, name));
    });
    return {
      isAnsweredBy: (message) =>
        message.kind === "signal" && message.src === this.#options.id && message.connectionId === name,
      stop: () => timer.cancel(),
    };
  }

  #closedByServer(code: number, reason: string): PeerloomError {
    if (code === CLOSE_REPLACED)
      return new PeerloomError(
        "edge/replaced",
        "Another process came with this id and token. Close one of them.",
      );
    const known = parseErrorCode(reason, "edge/unreachable");
    return known === "edge/unreachable"
      ? this.#unreachable(`closed the connection (code ${code})`)
      : new PeerloomError(known, `The PeerServer ${this.#options.server} closed the connection: ${known}.`);
  }

  #unreachable(why: string, cause?: unknown): PeerloomError {
    const detail = cause instanceof PeerloomError ? ` (${cause.message})` : "";
    return new PeerloomError(
      "edge/unreachable",
      `The PeerServer ${this.#options.server} ${why}${detail}. Check host, port and path.`,
      { cause },
    );
  }
}

/** Heartbeats of one socket, and the watch that they arrive. */
class Heart {
  readonly #clock: Runtime["clock"];
  readonly #socket: MessageSocket;
  readonly #dead: () => void;
  #timer: Timer;
  #unanswered = 0;
  #isAnswering = false;

  constructor({ clock }: Pick<Runtime, "clock">, socket: MessageSocket, dead: () => void) {
    this.#clock = clock;
    this.#socket = socket;
    this.#dead = dead;
    this.#timer = clock.setTimer(HEARTBEAT_EVERY_MS, () => this.#beat());
  }

  heard({ kind }: FromServer): void {
    this.#unanswered = 0;
    if (kind === "heartbeat") this.#isAnswering = true;
  }

  stop(): void {
    this.#timer.cancel();
  }

  #beat(): void {
    // What TCP has not taken tells of a dead path too, at a PeerServer that answers nothing.
    const isDoubtful = this.#isAnswering || this.#socket.bufferedBytes > 0;
    if (isDoubtful && this.#unanswered >= HEARTBEATS_UNANSWERED_MAX) {
      this.#dead();
      return;
    }
    this.#unanswered += 1;
    this.#socket.sendText(HEARTBEAT);
    this.#timer = this.#clock.setTimer(HEARTBEAT_EVERY_MS, () => this.#beat());
  }
}

function refusal(message: Refusal): PeerloomError {
  if (message.kind === "id-taken") {
    const text =
      "That PeerJS id is taken. Choose another, or wait: a server keeps one that vanished for a minute or two.";
    return new PeerloomError("peerjs/id-taken", text);
  }
  const said = message.kind === "error" ? message : { message: "Invalid key provided", code: undefined };
  if (said.message === "Invalid key provided")
    return new PeerloomError(
      "peerjs/key-invalid",
      "The PeerServer does not know this key. Set the option key.",
    );
  const text = said.message.replaceAll(/\p{C}/gu, " ").trim();
  return new PeerloomError(
    parseErrorCode(said.code ?? "", "edge/unreachable"),
    `The PeerServer says: ${text === "" ? "error" : text}`,
  );
}
