/**
 * Signal messages in envelopes: what a `Signaller` puts on the wire when a stranger (the edge, a forwarding peer) does
 * the carrying. It lies here and not beside identity/envelope.ts because identities know nothing of links.
 */
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import { EnvelopeOpener, sealEnvelope } from "../identity/envelope.ts";
import type { Identity } from "../identity/identity.ts";
import type { Clock, Random } from "../runtime.ts";
import { decodeSignal, encodeSignal } from "./signal-codec.ts";
import type { SignalMessage } from "./signaller.ts";

/** @throws PeerloomError `id/invalid`, `wire/too-large` */
export async function sealSignal(
  identity: Identity,
  to: PeerId,
  network: NetworkName,
  message: SignalMessage,
  nowMs: number,
  random: Random,
  messageId?: Uint8Array,
): Promise<Uint8Array> {
  return sealEnvelope(identity, to, network, encodeSignal(message), nowMs, random, messageId);
}

export interface OpenedSignal {
  readonly from: PeerId;
  readonly message: SignalMessage;
  readonly messageId: Uint8Array;
}

/** Opens the sealed signals of one peer in one network. */
export class SignalOpener {
  readonly #opener: EnvelopeOpener;

  constructor(options: {
    readonly identity: Identity;
    readonly network: NetworkName;
    readonly clock: Pick<Clock, "nowMs">;
  }) {
    this.#opener = new EnvelopeOpener(options);
  }

  /**
   * @returns the message, its id, and who proved to have sent it
   * @throws PeerloomError `signal/forged`, `signal/stale`, `signal/replayed`, `wire/malformed`, `wire/too-large`,
   *   `edge/rate-limited` (too many at once)
   */
  async open(sealed: Uint8Array): Promise<OpenedSignal> {
    const { from, content, messageId } = await this.#opener.open(sealed);
    return { from, message: decodeSignal(content), messageId };
  }
}
