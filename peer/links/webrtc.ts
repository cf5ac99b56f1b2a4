/**
 * A WebRTC data channel as a link, and the negotiation that makes one. The host opens the connection; offers, answers
 * and candidates go through whoever the caller names. The digest of both certificates is the link's binding, so that
 * the session above can prove that nobody sits between two DTLS ends.
 */
import { concatBytes, sha256, utf8 } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits.ts";
import type { Clock, IceServer, Random, RtcConnection, RtcPair, WebRtcHost } from "../runtime.ts";
import { BaseLink } from "./base-link.ts";
import { candidatesOf, type IceCandidate, type IceCandidates } from "./candidates.ts";
import { CheckedAddresses } from "./checked-addresses.ts";
import type { Link } from "./link.ts";
import { SignalBatches, signalsOf } from "./signal-batches.ts";
import type { RtcBatch } from "./signaller.ts";

/** ICE agents go on for 40 s where UDP is blocked; what has not opened by now will not. */
export const NEGOTIATION_TIMEOUT_MS = 10_000;
/** An honest side has a handful; SDP and candidates are the other peer's words. */
const SIGNALS_MAX = 64;
/** Candidates of one side that are remembered; past that they are used and forgotten. */
const CANDIDATES_MAX = 64;
/** Lost in all of them once in more than a thousand times, on the busiest machine seen. */
const RETRIES_MAX = 3;
/** The first waits so long at most, each further one twice as long: what has kept the machine busy may be over then. */
const RETRY_MS = 50;

export interface NegotiationOptions {
  readonly host: WebRtcHost;
  readonly role: "offerer" | "answerer";
  readonly iceServers: readonly IceServer[];
  readonly clock: Clock;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Carries a batch of signals to the other side. */
  send(batch: RtcBatch): void;
}

export interface WebRtcNegotiation {
  /** Takes a batch of the other side. Never throws. */
  accept(batch: RtcBatch): void;
  /** What both sides have offered each other so far. */
  readonly candidates: IceCandidates;
  /** @throws PeerloomError `link/timeout`, `link/failed`, `aborted` */
  readonly link: Promise<Link>;
}

/**
 * Makes a connection anew when it has failed at the very start: libdatachannel starts ICE before it notes the other's fingerprint, so that DTLS
 * fails at once where ICE is quicker, as on a busy machine. A fresh connection is another race.
 * @throws what the last attempt threw; at once what is not `link/failed`; the signal's reason
 */
export async function withFreshConnections<T>(
  attempt: () => Promise<T>,
  { clock, random }: { readonly clock: Pick<Clock, "sleep">; readonly random: Pick<Random, "unit"> },
  signal?: AbortSignal,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await attempt();
    } catch (error) {
      const isRace = error instanceof PeerloomError && error.code === "link/failed";
      if (!isRace || retry === RETRIES_MAX) throw error;
    }
    await clock.sleep(random.unit() * RETRY_MS * 2 ** retry, signal);
  }
}

/** Begins to negotiate at once. */
export function negotiateWebRtc(options: NegotiationOptions): WebRtcNegotiation {
  const { host, role, iceServers, clock, signal } = options;
  let accepted = 0;
  const checked = new CheckedAddresses();
  const [local, remote, untried]: [IceCandidate[], IceCandidate[], IceCandidate[]] = [[], [], []];
  const batches = new SignalBatches(clock, (batch) => options.send(batch));
  const connection = host.open({
    role,
    iceServers,
    onSignal: (each) => {
      note(local, candidatesOf(each));
      batches.add(each);
    },
    onGathered: () => batches.gathered(),
  });
  const link = new Promise<Link>((resolve, reject) => {
    const fail = (error: PeerloomError): void => {
      over();
      // Closing it says only that it is closed; what counts is why.
      connection.onClose = () => {};
      connection.close();
      reject(error);
    };
    const abort = (): void =>
      fail(toPeerloomError(signal.reason, "aborted", "The negotiation was given up."));
    const timer = clock.setTimer(NEGOTIATION_TIMEOUT_MS, () => {
      fail(new PeerloomError("link/timeout", "No direct WebRTC path was found in time: UDP may be blocked."));
    });
    const over = (): void => {
      timer.cancel();
      batches.close(); // What was found meanwhile helps nobody any more.
      signal.removeEventListener("abort", abort);
    };
    connection.onClose = (error) =>
      fail(error ?? new PeerloomError("link/failed", "WebRTC closed before it was open."));
    connection.onOpen = () => {
      over();
      if (connection.messageBytesMax < FRAME_BYTES_MAX) {
        fail(
          new PeerloomError(
            "link/failed",
            `The other side takes messages of ${connection.messageBytesMax} bytes only.`,
          ),
        );
        return;
      }
      webrtcLink(connection).then(resolve, reject);
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
  return {
    link,
    candidates: { local, remote, untried },
    accept(batch) {
      const signals = signalsOf(batch);
      for (const each of signals)
        checked.said(each.kind === "candidate" ? each.candidate.length : each.sdp.length);
      for (const each of signals) {
        accepted += 1;
        if (accepted > SIGNALS_MAX) return;
        const named = candidatesOf(each);
        note(remote, named);
        if (each.kind !== "candidate" || named.some((one) => checked.admits(one))) connection.accept(each);
        else note(untried, named);
      }
    },
  };
}

function note(known: IceCandidate[], candidates: readonly IceCandidate[]): void {
  known.push(...candidates.slice(0, CANDIDATES_MAX - known.length));
}

async function webrtcLink(connection: RtcConnection): Promise<Link> {
  // Set before anything is awaited: the first frame may be here already.
  const early: Uint8Array[] = [];
  connection.onMessage = (bytes) => early.push(bytes.slice());
  const { local, remote } = connection.fingerprints();
  const [first, second] = [local, remote].toSorted();
  const binding = await sha256(concatBytes(utf8(first ?? ""), utf8(second ?? "")));
  return new WebRtcLink(connection, { binding, early, pair: await connection.chosenPair() });
}

class WebRtcLink extends BaseLink {
  readonly isTurned: boolean;
  readonly #connection: RtcConnection;
  #closing = false;

  constructor(
    connection: RtcConnection,
    {
      binding,
      early,
      pair,
    }: {
      readonly binding: Uint8Array;
      readonly early: readonly Uint8Array[];
      readonly pair: RtcPair | undefined;
    },
  ) {
    const there = pair?.remote;
    super({
      kind: "webrtc",
      description: there === undefined ? "webrtc" : `webrtc ${there.type} ${there.address}:${there.port}`,
      remoteHost: there?.address,
      binding,
    });
    this.isTurned = pair?.local.type === "relay" || there?.type === "relay";
    this.#connection = connection;
    connection.onMessage = (bytes) => {
      if (bytes.length <= FRAME_BYTES_MAX) this.receiveFrame(bytes);
      else this.#fail(frameTooLarge(bytes.length));
    };
    connection.onDrain = () => this.onDrain();
    connection.onClose = (error) => this.end(this.#closing ? undefined : error);
    for (const frame of early) this.receiveFrame(frame);
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#closing || this.isEnded) return;
    let length = 0;
    for (const part of parts) length += part.length;
    // The host would refuse it, without a reason that can be told from others.
    if (length > FRAME_BYTES_MAX) this.#fail(frameTooLarge(length));
    else this.#connection.send(parts);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#connection.close();
  }

  destroy(): void {
    this.#closing = true;
    this.#connection.destroy();
  }

  #fail(error: PeerloomError): void {
    this.end(error);
    this.destroy();
  }
}

function frameTooLarge(length: number): PeerloomError {
  return new PeerloomError("link/frame-too-large", `A frame of ${length} bytes.`);
}
