/**
 * The ways to a WebRTC link, by who carries the signals: the edge, peers, or, for those whom the edge has named to a newcomer, the edge for
 * the first links and peers for all others. Peers that do not carry make no difference but time: then the edge is asked after all.
 */
import { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Link } from "../links/link.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import { EdgeTurns } from "./edge-turns.ts";
import type { Introducer } from "./introducer.ts";
import { unknownToPeers } from "./no-path.ts";
import type { Overlay } from "./overlay.ts";
import type { RtcNegotiations } from "./rtc-negotiations.ts";
import type { Way } from "./way.ts";

/** Who is linked to others asks them before the edge. */
const AFTER_ADDRESS_MS = 100;
/** What peers carry has led to a link by then, or somebody on the way does not carry. */
const CARRIED_MS = 3_000;

export interface WebRtcWaysOptions {
  readonly runtime: Runtime;
  /** Undefined without an edge. */
  readonly introducer: Pick<Introducer, "signal"> | undefined;
  /** Undefined where peers carry nothing, or not yet. */
  readonly overlay: Pick<Overlay, "size" | "isReady" | "isLinked" | "signal"> | undefined;
  /** Undefined where there is no WebRTC or it must not be used. */
  readonly rtc: Rtc | undefined;
}

type Rtc = Pick<RtcNegotiations, "offer" | "isAnswered">;

/** Asks a peer through others what it says of itself. */
type LookUp = (peerId: PeerId, signal: AbortSignal) => Promise<Contact | undefined>;

export class WebRtcWays {
  readonly #options: WebRtcWaysOptions;
  readonly #lookUp: LookUp;
  readonly #turns: EdgeTurns;

  constructor(options: WebRtcWaysOptions, lookUp: LookUp) {
    this.#options = options;
    this.#lookUp = lookUp;
    this.#turns = new EdgeTurns(options.runtime.clock);
  }

  /** Signals carried by the overlay, where there is one. */
  throughPeers(peerId: PeerId): Way[] {
    const { overlay, rtc } = this.#options;
    if (overlay === undefined || rtc === undefined) return [];
    return [
      {
        name: "webrtc through peers",
        afterMs: AFTER_ADDRESS_MS,
        link: async (signal) => {
          // Nobody waits for the answer of somebody who is not there.
          if (!(await overlay.isLinked(signal)))
            throw new PeerloomError(
              "link/unavailable",
              "No other peer is linked that could carry the signals.",
            );
          if ((await this.#lookUp(peerId, signal)) === undefined) throw unknownToPeers(peerId);
          return rtc.offer(peerId, (message) => void overlay.signal(peerId, message), signal);
        },
      },
    ];
  }

  /**
   * To somebody whom the edge has named, at the rendezvous now: the edge carries a newcomer's first signals, peers all others as soon as one
   * link stands, and the edge those to whom peers do not carry. One whom no peer knows may be of a network apart, which grows together with
   * this one so; one who is silent is not worth it once there are enough links.
   */
  introduced(peerId: PeerId, hasAddress: boolean): Way[] {
    const { introducer, overlay, rtc } = this.#options;
    if (introducer === undefined || rtc === undefined) return [];
    const uncarried = Promise.withResolvers<"unknown" | "silent">();
    uncarried.promise.catch(() => {}); // Nobody may be waiting for it.
    const byEdge = async (isNeeded: () => boolean, signal: AbortSignal): Promise<Link | undefined> => {
      const end = await this.#turns.take(isNeeded, signal);
      if (end === undefined) return undefined;
      // A link that was made is no neighbour yet: its turn ends when its time is over.
      return this.#offerByEdge(introducer, rtc, peerId, signal).catch((error: unknown) => {
        end();
        throw error;
      });
    };
    const first = async (signal: AbortSignal): Promise<Link> => {
      try {
        const link = await byEdge(() => overlay === undefined || overlay.size === 0, signal);
        if (link !== undefined) return link;
        return await this.#offerThroughPeers(rtc, peerId, uncarried.resolve, signal);
      } finally {
        // Nothing is left for the edge to do, unless it was asked before.
        uncarried.reject(new PeerloomError("link/unavailable", "The edge would carry no further."));
      }
    };
    const after = async (signal: AbortSignal): Promise<Link> => {
      const why = await uncarried.promise;
      const link = await byEdge(() => why === "unknown" || overlay?.isReady !== true, signal);
      if (link !== undefined) return link;
      throw new PeerloomError("link/unavailable", "There are enough links without this one.");
    };
    return [
      { name: "webrtc", afterMs: hasAddress ? AFTER_ADDRESS_MS : 0, link: first },
      { name: "webrtc by the edge after all", afterMs: 0, link: after },
    ];
  }

  #offerByEdge(
    introducer: Pick<Introducer, "signal">,
    rtc: Rtc,
    peerId: PeerId,
    signal: AbortSignal,
  ): Promise<Link> {
    return rtc.offer(peerId, (message) => introducer.signal(peerId, message), signal);
  }

  /** @param giveUp called when nobody carries, as soon as that shows */
  async #offerThroughPeers(
    rtc: Rtc,
    peerId: PeerId,
    giveUp: (why: "unknown" | "silent") => void,
    signal: AbortSignal,
  ): Promise<Link> {
    const { overlay, runtime } = this.#options;
    const timer = runtime.clock.setTimer(CARRIED_MS, () => {
      // Who has answered was reached, and what is missing then is a path.
      if (!rtc.isAnswered(peerId)) giveUp("silent");
    });
    const send = (message: SignalMessage): void => {
      void overlay?.signal(peerId, message).then((reached) => {
        if (!reached) giveUp("unknown");
      });
    };
    try {
      return await rtc.offer(peerId, send, signal);
    } finally {
      timer.cancel();
    }
  }
}
