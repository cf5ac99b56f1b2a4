/**
 * Signals through the rendezvous: each message sealed to its target, so that the edge carries what it cannot read.
 */
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import { sealSignal } from "../links/sealed-signal.ts";
import type { Signaller, SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import { abortError } from "./abort.ts";
import type { Rendezvous } from "./rendezvous.ts";

export interface RendezvousSignallerOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  readonly rendezvous: Pick<Rendezvous, "waitUntilJoined" | "signal">;
}

/** That the target is not there is learnt later, by the rendezvous' `onSignalError`. */
export class RendezvousSignaller implements Signaller {
  readonly #options: RendezvousSignallerOptions;

  constructor(options: RendezvousSignallerOptions) {
    this.#options = options;
  }

  /** @throws PeerloomError `edge/unreachable`, `id/invalid`, `wire/too-large`, `peer/closed`, `aborted` */
  async send(to: PeerId, message: SignalMessage, options: { readonly signal: AbortSignal }): Promise<void> {
    const { runtime, identity, network, rendezvous } = this.#options;
    await rendezvous.waitUntilJoined(options.signal);
    const sealed = await sealSignal(identity, to, network, message, runtime.clock.nowMs(), runtime.random);
    if (options.signal.aborted) throw abortError(options.signal);
    rendezvous.signal(to, sealed);
  }
}
