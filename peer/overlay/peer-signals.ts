/**
 * Sealed signals that peers carry: to a peer by its key, and back. An offer asks for its answer by return, along the way it came:
 * a newcomer's first neighbour knows it at once, all others only when they have heard of it.
 */
import type { FieldReader } from "../../shared/codec.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import { sealSignal, SignalOpener } from "../links/sealed-signal.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { BODY_BYTES_MAX } from "./mesh/mesh-messages.ts";

/** An answer that is ready by then goes by return. Who asks sends its question again after 400 ms. */
const RETURN_MS = 200;
const NOTHING = new Uint8Array(0);

/** Answers once. @returns whether it was in time */
type WayBack = (body: Uint8Array) => boolean;
const NO_WAY_BACK: WayBack = () => false;

export interface PeerSignalsOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  /** Has a peer asked through others, to take these fields; undefined when nobody of that id answers. */
  question(peerId: PeerId, fields: readonly unknown[]): Promise<Uint8Array | undefined>;
}

export class PeerSignals {
  readonly #options: PeerSignalsOptions;
  readonly #opener: SignalOpener;
  readonly #returns = new Set<Timer>();
  /** Forged, stale or replayed. */
  refused = 0;
  /** A proved peer signalled; `answer` goes back by the way it came, while that is open. */
  onSignal: (from: PeerId, message: SignalMessage, answer: (message: SignalMessage) => void) => void =
    () => {};

  constructor(options: PeerSignalsOptions) {
    this.#options = options;
    const { identity, network, runtime } = options;
    this.#opener = new SignalOpener({ identity, network, clock: runtime.clock });
  }

  /** Has a signal carried. @returns whether somebody says that it arrived; never rejects */
  send(to: PeerId, message: SignalMessage): Promise<boolean> {
    return this.#say(to, message, NO_WAY_BACK);
  }

  /** Takes what was carried here: the fields behind the first. @throws PeerloomError `wire/malformed` */
  receive(fields: FieldReader, answer: (body: Uint8Array) => void): void {
    const sealed = fields.bytes(1, BODY_BYTES_MAX);
    if (fields.hasMore && fields.boolean()) {
      this.#take(sealed, this.#wayBack(answer));
      return;
    }
    answer(NOTHING);
    this.#take(sealed);
  }

  close(): void {
    for (const timer of this.#returns) timer.cancel();
    this.#returns.clear();
  }

  /** Answers with nothing when its time is over. */
  #wayBack(answer: (body: Uint8Array) => void): WayBack {
    const timer = this.#options.runtime.clock.setTimer(RETURN_MS, () => back(NOTHING));
    const back = (body: Uint8Array): boolean => {
      if (!this.#returns.delete(timer)) return false;
      timer.cancel();
      answer(body);
      return true;
    };
    this.#returns.add(timer);
    return back;
  }

  #take(sealed: Uint8Array, back: WayBack = NO_WAY_BACK): void {
    const { log } = this.#options.runtime;
    this.#opener.open(sealed).then(
      ({ from, message }) => this.onSignal(from, message, (reply) => void this.#say(from, reply, back)),
      (error: unknown) => {
        this.refused += 1;
        back(NOTHING);
        log.debug("signal refused", { error: String(error) });
      },
    );
  }

  async #say(to: PeerId, message: SignalMessage, back: WayBack): Promise<boolean> {
    const { question, identity, network, runtime } = this.#options;
    const { clock, random, log } = runtime;
    try {
      const sealed = await sealSignal(identity, to, network, message, clock.nowMs(), random);
      if (back(sealed)) return true;
      const wantsAnswer = message.kind === "rtc" && message.signal.kind === "offer";
      const answer = await question(to, wantsAnswer ? [sealed, true] : [sealed]);
      if (answer !== undefined && answer.length > 0) this.#take(answer);
      return answer !== undefined;
    } catch (error) {
      log.debug("signal not carried", { error: String(error) });
      return false;
    }
  }
}
