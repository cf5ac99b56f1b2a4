/**
 * Sealed signals that peers carry: to a peer by its key, and back. An offer asks for its answer by return, along the way it came:
 * a newcomer's first neighbour knows it at once, all others only when they have heard of it. Whoever carries a signal may say that it has
 * arrived; the peer it was for shows that it has read it, by its id or by a sealed answer.
 */
import { equalBytes, toHex } from "../../shared/bytes.ts";
import type { FieldReader } from "../../shared/codec.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import { MESSAGE_ID_BYTES } from "../identity/envelope.ts";
import type { Identity } from "../identity/identity.ts";
import { X25519_PUBLIC_BYTES } from "../identity/x25519.ts";
import { type OpenedSignal, sealSignal, SignalOpener } from "../links/sealed-signal.ts";
import type { SignalMessage } from "../links/signaller.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { BODY_BYTES_MAX } from "./mesh/mesh-messages.ts";
import type { RequestOptions } from "./mesh/requester.ts";

/** An answer that is ready by then goes by return. Who asks sends its question again after 400 ms. */
const RETURN_MS = 200;
/** Answers remembered for copies of what they answer; past that the oldest is forgotten, and such a copy is none. */
const ANSWERS_MAX = 64;
const NOTHING = new Uint8Array(0);

/** Answers once. @returns whether it was in time */
type WayBack = (body: Uint8Array) => boolean;
const NO_WAY_BACK: WayBack = () => false;

export interface PeerSignalsOptions {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  /** Has a peer asked through others, to take these fields; undefined when nobody of that id answers. */
  question(
    peerId: PeerId,
    fields: readonly unknown[],
    options: RequestOptions,
  ): Promise<Uint8Array | undefined>;
}

export class PeerSignals {
  readonly #options: PeerSignalsOptions;
  readonly #opener: SignalOpener;
  readonly #returns = new Set<Timer>();
  /** By the ephemeral key of the signal: other copies of one come by other ways. */
  readonly #answers = new Map<string, Promise<Uint8Array>>();
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

  /** Has a signal carried. @returns whether it arrived, as it shows or as all others say; never rejects */
  send(to: PeerId, message: SignalMessage): Promise<boolean> {
    return this.#say(to, message, NO_WAY_BACK);
  }

  /** Takes what was carried here: the fields behind the first. @throws PeerloomError `wire/malformed` */
  receive(fields: FieldReader, answer: (body: Uint8Array) => void): void {
    const sealed = fields.bytes(1, BODY_BYTES_MAX);
    const waits = fields.hasMore && fields.boolean();
    const name = toHex(sealed.subarray(0, X25519_PUBLIC_BYTES));
    void (this.#answers.get(name) ?? this.#take(name, sealed, waits)).then(answer);
  }

  close(): void {
    for (const timer of this.#returns) timer.cancel();
    this.#returns.clear();
  }

  /** @returns what is answered to it, and to copies of it */
  async #take(name: string, sealed: Uint8Array, waits: boolean): Promise<Uint8Array> {
    const opened = await this.#open(sealed);
    if (opened === undefined) return NOTHING;
    const { from, message, messageId } = opened;
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    this.#answers.set(name, promise);
    if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value as string);
    const back = waits ? this.#wayBack(resolve, messageId) : NO_WAY_BACK;
    if (!waits) resolve(messageId);
    this.onSignal(from, message, (reply) => void this.#say(from, reply, back));
    return promise;
  }

  /** Answers that it was read when the time for more is over. */
  #wayBack(answer: (body: Uint8Array) => void, messageId: Uint8Array): WayBack {
    const timer = this.#options.runtime.clock.setTimer(RETURN_MS, () => back(messageId));
    const back = (body: Uint8Array): boolean => {
      if (!this.#returns.delete(timer)) return false;
      timer.cancel();
      answer(body);
      return true;
    };
    this.#returns.add(timer);
    return back;
  }

  async #open(sealed: Uint8Array): Promise<OpenedSignal | undefined> {
    try {
      return await this.#opener.open(sealed);
    } catch (error) {
      this.refused += 1;
      this.#options.runtime.log.debug("signal refused", { error: String(error) });
      return undefined;
    }
  }

  async #say(to: PeerId, message: SignalMessage, back: WayBack): Promise<boolean> {
    const { question, identity, network, runtime } = this.#options;
    const { clock, random, log } = runtime;
    try {
      const id = random.bytes(MESSAGE_ID_BYTES);
      const sealed = await sealSignal(identity, to, network, message, clock.nowMs(), random, id);
      if (back(sealed)) return true;
      const wantsAnswer = message.kind === "rtc" && message.signal.kind === "offer";
      const isProved = async (body: Uint8Array): Promise<boolean> => {
        if (body.length <= MESSAGE_ID_BYTES) return equalBytes(body, id);
        const opened = wantsAnswer ? await this.#open(body) : undefined;
        if (opened?.from !== to) return false;
        this.onSignal(to, opened.message, (reply) => void this.#say(to, reply, NO_WAY_BACK));
        return true;
      };
      const fields = wantsAnswer ? [sealed, true] : [sealed];
      const answer = await question(to, fields, {
        isProved: (body, done) => void isProved(body).then(done),
      });
      return answer !== undefined;
    } catch (error) {
      log.debug("signal not carried", { error: String(error) });
      return false;
    }
  }
}
