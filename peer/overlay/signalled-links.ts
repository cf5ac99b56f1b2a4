/** The links of one peer whose frames the edge carries as signals: few, short-lived, and only while that leaves room for other signals. */
import { toHex } from "../../shared/bytes.ts";
import { type PeerId, short } from "../../shared/ids.ts";
import { SignalledLink } from "../links/signalled.ts";
import { SIGNAL_ID_BYTES, type SignalMessage } from "../links/signaller.ts";
import type { Runtime } from "../runtime.ts";
import { Allowance } from "./allowance.ts";
import type { Introducer } from "./introducer.ts";

/** Dialled and accepted each. Of 400 messages that a socket may send at once, and 40 a second, each link takes 32 at most. */
const LINKS_MAX = 4;
const LINKS_PER_SECOND = 0.5;
const PAST_MAX = 64;

type FrameMessage = Extract<SignalMessage, { readonly kind: "frame" }>;

export class SignalledLinks {
  readonly #runtime: Runtime;
  readonly #introducer: Pick<Introducer, "edge" | "carry">;
  readonly #accept: (link: SignalledLink) => void;
  readonly #dialled = new Map<string, SignalledLink>();
  readonly #accepted = new Map<string, SignalledLink>();
  /** Of links that are over: what comes late begins no new one. Past so many the oldest is forgotten. */
  readonly #past = new Set<string>();
  readonly #dials: Allowance;
  readonly #accepts: Allowance;

  constructor(
    runtime: Runtime,
    introducer: Pick<Introducer, "edge" | "carry">,
    accept: (link: SignalledLink) => void,
  ) {
    this.#runtime = runtime;
    this.#introducer = introducer;
    this.#accept = accept;
    const nowMs = runtime.clock.monotonicMs();
    this.#dials = new Allowance(LINKS_MAX, LINKS_PER_SECOND, nowMs);
    this.#accepts = new Allowance(LINKS_MAX, LINKS_PER_SECOND, nowMs);
  }

  /** Undefined when there were many of late. */
  dial(peerId: PeerId): SignalledLink | undefined {
    const { clock, random } = this.#runtime;
    if (this.#dialled.size >= LINKS_MAX || !this.#dials.take(clock.monotonicMs())) return undefined;
    return this.#open(this.#dialled, peerId, random.bytes(SIGNAL_ID_BYTES));
  }

  /** A proved member sent it. Its first frame opens a link, unless there are too many: then its dial waits for the relay. */
  receive(from: PeerId, { linkId, seq, frame }: FrameMessage): void {
    const key = keyOf(from, linkId);
    let link = this.#dialled.get(key) ?? this.#accepted.get(key);
    if (link === undefined) {
      const isNew = !this.#past.has(key) && this.#accepted.size < LINKS_MAX;
      if (!isNew || !this.#accepts.take(this.#runtime.clock.monotonicMs())) return;
      link = this.#open(this.#accepted, from, linkId);
      this.#accept(link);
    }
    link.receive(seq, frame);
  }

  close(): void {
    for (const link of [...this.#dialled.values(), ...this.#accepted.values()]) link.destroy();
  }

  #open(links: Map<string, SignalledLink>, peerId: PeerId, linkId: Uint8Array): SignalledLink {
    const { edge } = this.#introducer;
    const key = keyOf(peerId, linkId);
    const link = new SignalledLink({
      clock: this.#runtime.clock,
      description: `signals to ${short(peerId)} by ${edge}`,
      carry: (seq, frame) => this.#introducer.carry(peerId, { kind: "frame", linkId, seq, frame }),
      over: () => {
        links.delete(key);
        this.#past.add(key);
        if (this.#past.size > PAST_MAX) this.#past.delete(this.#past.keys().next().value ?? "");
      },
    });
    links.set(key, link);
    return link;
  }
}

function keyOf(peerId: PeerId, linkId: Uint8Array): string {
  return `${peerId}/${toHex(linkId)}`;
}
