/**
 * Signalling: what two peers tell each other in order to make links. Links do not care who does the carrying: the
 * rendezvous, a session that already stands, the overlay. Whoever carries it seals it to its target and proves
 * its sender, so a signal that arrives here is known to come from `from`.
 */
import type { PeerId } from "../../shared/ids.ts";
import type { RtcSignal } from "../runtime.ts";

/**
 * `dial` asks for links, `rtc` negotiates one WebRTC connection, `addresses` says where the sender listens, `meet` asks one who has left
 * the rendezvous to come there, since a relay channel takes two members. `frame` carries one frame of a session that has no better link
 * yet (signalled.ts).
 */
export type SignalMessage =
  | {
      readonly kind: "dial";
      /** 8 random bytes that name the attempt. */
      readonly dialId: Uint8Array;
      readonly addresses: readonly string[];
    }
  | { readonly kind: "rtc"; readonly connectionId: Uint8Array; readonly signal: RtcBatch }
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "meet" }
  | {
      readonly kind: "frame";
      /** 8 random bytes that name the link. */
      readonly linkId: Uint8Array;
      /** Counts the frames of one side from 0. */
      readonly seq: number;
      readonly frame: Uint8Array;
    }
  /** The dial or connection of that id does not come about; `code` says why, as the sender sees it. */
  | { readonly kind: "refuse"; readonly id: Uint8Array; readonly code: string };

export const SIGNAL_ID_BYTES = 8;

/** What one message says of a connection: a description with the candidates known so far in it, or those found later. */
export type RtcBatch =
  | RtcSignal
  | { readonly kind: "candidates"; readonly candidates: readonly string[]; readonly mid: string };

/** Carries signal messages to one peer after the other. */
export interface Signaller {
  /**
   * Resolves when the message is on its way, not when it has arrived.
   * @throws PeerloomError `peer/not-found`, `edge/unreachable`, `aborted`
   */
  send(to: PeerId, message: SignalMessage, options: { readonly signal: AbortSignal }): Promise<void>;
}
