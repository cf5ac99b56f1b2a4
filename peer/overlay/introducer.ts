/**
 * The edge as the connector sees it: somebody who knows members, carries sealed signals to them and makes relay channels.
 * Every message is sealed to its target and opened here; what reaches the handlers was proved to come from `from`.
 */
import { isAtLeast } from "../../shared/budget.ts";
import type { PeerloomError } from "../../shared/errors.ts";
import type { ChannelId, NetworkName, PeerId } from "../../shared/ids.ts";
import type { Contact } from "../../shared/messages.ts";
import type { Identity } from "../identity/identity.ts";
import { sealSignal, SignalOpener } from "../links/sealed-signal.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import type { Rendezvous } from "./rendezvous.ts";

export interface RelayGrant {
  readonly channel: ChannelId;
  readonly ticket: string;
}

export interface IntroducerOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  readonly rendezvous: Rendezvous;
}

export class Introducer {
  readonly #options: IntroducerOptions;
  readonly #opener: SignalOpener;
  /** A proved member signalled. */
  onSignal: (from: PeerId, message: SignalMessage) => void = () => {};
  /** A proved member sent a frame as a signal. */
  onFrame: (from: PeerId, message: Extract<SignalMessage, { readonly kind: "frame" }>) => void = () => {};
  /** A proved member dials through a relay channel. */
  onRelayOffer: (from: PeerId, grant: RelayGrant) => void = () => {};
  /** A signal did not reach its target. */
  onSignalError: (to: PeerId, error: PeerloomError) => void = () => {};

  constructor(options: IntroducerOptions) {
    this.#options = options;
    const { identity, network, runtime, rendezvous } = options;
    this.#opener = new SignalOpener({ identity, network, clock: runtime.clock });
    rendezvous.onSignal = (from, sealed) => {
      this.#open(from, sealed, (message) => {
        if (message.kind === "frame") this.onFrame(from, message);
        else this.onSignal(from, message);
      });
    };
    rendezvous.onRelayOffer = ({ from, channel, ticket, sealed }) => {
      this.#open(from, sealed, (message) => {
        if (message.kind === "dial") this.onRelayOffer(from, { channel, ticket });
      });
    };
    rendezvous.onSignalError = (to, error) => this.onSignalError(to, error);
  }

  get edge(): string {
    return this.#options.rendezvous.edge;
  }

  /** It makes relay channels, as far as it has said. */
  get relays(): boolean {
    return !isAtLeast(this.#options.rendezvous.stage, "relay-off");
  }

  /** At the rendezvous now, so that others can be signalled there. */
  get isJoined(): boolean {
    return this.#options.rendezvous.state.phase === "joined";
  }

  /** @throws PeerloomError `edge/unreachable`, `aborted` */
  async find(peerId: PeerId, signal: AbortSignal): Promise<Contact | undefined> {
    await this.#options.rendezvous.waitUntilJoined(signal);
    return this.#options.rendezvous.find(peerId, signal);
  }

  /** @throws PeerloomError `peer/not-found`, `edge/unreachable`, `edge/relay-unavailable`, `aborted` */
  async relay(peerId: PeerId, dial: SignalMessage, signal: AbortSignal): Promise<RelayGrant> {
    await this.#options.rendezvous.waitUntilJoined(signal);
    return this.#options.rendezvous.relay(peerId, await this.#seal(peerId, dial), signal);
  }

  /** Sends without waiting; a failure is told to `onSignalError`. */
  signal(peerId: PeerId, message: SignalMessage): void {
    this.carry(peerId, message).catch((error: unknown) =>
      this.#options.runtime.log.debug("signal not sealed", { error: String(error) }),
    );
  }

  /**
   * As `signal`. Resolves when the message is on its way.
   * @throws PeerloomError `wire/too-large`
   */
  async carry(peerId: PeerId, message: SignalMessage): Promise<void> {
    const { rendezvous } = this.#options;
    const sealed = await this.#seal(peerId, message);
    // Between two sockets, as after a page thawed: the next one carries it, or the error is told.
    const { phase } = rendezvous.state;
    if (phase === "waiting" || phase === "joining") await rendezvous.waitUntilJoined().catch(() => {});
    rendezvous.signal(peerId, sealed);
  }

  #seal(to: PeerId, message: SignalMessage): Promise<Uint8Array> {
    const { identity, network, runtime } = this.#options;
    return sealSignal(identity, to, network, message, runtime.clock.nowMs(), runtime.random);
  }

  #open(claimed: PeerId, sealed: Uint8Array, take: (message: SignalMessage) => void): void {
    const { log } = this.#options.runtime;
    this.#opener.open(sealed).then(
      ({ from, message }) => {
        // The edge says who sent it; the signature proves it.
        if (from === claimed) take(message);
        else log.warn("signal under another name", {});
      },
      (error: unknown) => log.warn("signal refused", { error: String(error) }),
    );
  }
}
