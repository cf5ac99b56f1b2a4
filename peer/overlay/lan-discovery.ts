/**
 * Finds the peers of one's network on the local one, without any edge: says by multicast DNS where this peer listens,
 * asks who else is there, and has those who answer dialled (lan-contacts.ts). It decides when something is said; what is
 * said and believed is in lan-notice.ts, the packets are the host's.
 */
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { LanHost, LanReach, LanSocket, Runtime, Timer } from "../runtime.ts";
import { LanContacts, type LanContactsOptions } from "./lan-contacts.ts";
import { contactOfNotice, isLoopback, lanNotice, lanTag } from "./lan-notice.ts";

/** With so many links a peer finds the others through them. */
const LAN_LINKS_WANTED = 8;
/** Peers that are there have answered by then: two questions, and the second that an answer may have to wait. */
export const LAN_SETTLE_MS = 1_500;
const LOOK_EVERY_MS = 20;
/** RFC 6762 §10, for all that does not name a host. Nobody is believed for longer. */
export const LAN_TTL_SECONDS = 4_500;
/** Said twice (RFC 6762 §8.3), and nothing more often than that (§6). */
export const LAN_SAID_AGAIN_MS = 1_000;
/** Peers that were asked, or started, at once, speak apart (RFC 6762 §6). */
export const LAN_JITTER_MS = { min: 20, max: 120 } as const;
/** Asked again after the first, doubled each time until the last (RFC 6762 §5.2, where the last may be an hour). */
export const LAN_ASK_MS = { first: 1_000, max: 300_000 } as const;

export interface LanDiscoveryOptions extends Omit<LanContactsOptions, "wantsLinks"> {
  readonly runtime: Pick<Runtime, "clock" | "random" | "log" | "hash">;
  readonly host: LanHost;
  readonly id: PeerId;
  readonly network: NetworkName;
  readonly reach: LanReach;
  listenAddresses(): readonly string[];
  /** Links to other peers that stand. */
  linkCount(): number;
}

export class LanDiscovery {
  readonly #options: LanDiscoveryOptions;
  readonly #contacts: LanContacts;
  #tag = "";
  #socket: LanSocket | undefined;
  #opening: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #asking: Timer | undefined;
  #announcing: Timer | undefined;
  #answering: Timer | undefined;
  #saidMs = Number.NEGATIVE_INFINITY;
  #settledAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LanDiscoveryOptions) {
    this.#options = options;
    this.#contacts = new LanContacts({ ...options, wantsLinks: () => this.#wantsLinks() });
  }

  /** Begins, beside whatever else the peer does. A machine that cannot multicast is no error: nobody is found then. */
  open(): void {
    if (this.#opening !== undefined) return;
    this.#settledAtMs = this.#options.runtime.clock.monotonicMs() + LAN_SETTLE_MS;
    this.#opening = this.#open().catch((error: unknown) => {
      this.#settledAtMs = Number.NEGATIVE_INFINITY;
      this.#options.runtime.log.debug("no discovery on the local network", { error: String(error) });
    });
  }

  /**
   * Gives a peer that has just begun the time to hear of another: until it has, or there is somebody to ask, or whoever is
   * there must have answered. Never throws: whoever connects finds out by itself.
   */
  async settle(
    id: PeerId,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    const { clock } = this.#options.runtime;
    const untilMs = clock.monotonicMs() + timeoutMs;
    const isOver = (): boolean =>
      id === this.#options.id ||
      this.#closed !== undefined ||
      signal?.aborted === true ||
      clock.monotonicMs() >= Math.min(untilMs, this.#settledAtMs);
    while (!isOver() && !this.#contacts.knows(id) && this.#options.linkCount() === 0) {
      await clock.sleep(LOOK_EVERY_MS);
    }
  }

  /** Says farewell. Resolves when nothing is open. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #open(): Promise<void> {
    const { host, network, reach, runtime } = this.#options;
    this.#tag = await lanTag(runtime.hash, network);
    const socket = await host.open({
      reach,
      onQuestion: (tag) => this.#asked(tag),
      onNotice: ({ texts, ttlSeconds }, source) => this.#heard(texts, ttlSeconds, source),
      onInterface: () => this.#begin(),
    });
    if (this.#closed !== undefined) {
      await socket.close();
      return;
    }
    this.#socket = socket;
    this.#begin();
  }

  async #close(): Promise<void> {
    this.#stop();
    // A farewell is owed to those who heard us.
    if (this.#saidMs !== Number.NEGATIVE_INFINITY) this.#say(0);
    await this.#contacts.close();
    await this.#opening;
    await this.#socket?.close();
  }

  /** The start, and a new one when an interface has come up. */
  #begin(): void {
    if (this.#closed !== undefined || this.#socket === undefined) return;
    const { clock } = this.#options.runtime;
    this.#stop();
    this.#say(LAN_TTL_SECONDS);
    this.#announcing = clock.setTimer(LAN_SAID_AGAIN_MS, () => this.#say(LAN_TTL_SECONDS));
    this.#asking = clock.setTimer(this.#jitterMs(), () => this.#ask(LAN_ASK_MS.first));
  }

  #stop(): void {
    this.#asking?.cancel();
    this.#announcing?.cancel();
    this.#answering?.cancel();
    this.#answering = undefined;
  }

  #ask(nextMs: number): void {
    // Who has links enough leaves the network in peace, and looks whether that is still so.
    if (this.#wantsLinks()) this.#socket?.ask(this.#tag);
    this.#contacts.look();
    this.#asking = this.#options.runtime.clock.setTimer(nextMs, () =>
      this.#ask(Math.min(nextMs * 2, LAN_ASK_MS.max)),
    );
  }

  #asked(tag: string | undefined): void {
    if (this.#closed !== undefined || (tag !== undefined && tag !== this.#tag)) return;
    // One answer for all who ask meanwhile.
    if (this.#answering !== undefined) return;
    const { clock } = this.#options.runtime;
    const quietMs = this.#saidMs + LAN_SAID_AGAIN_MS - clock.monotonicMs();
    this.#answering = clock.setTimer(Math.max(this.#jitterMs(), quietMs), () => this.#say(LAN_TTL_SECONDS));
  }

  #say(ttlSeconds: number): void {
    const { id, reach, runtime } = this.#options;
    const addresses = this.#options.listenAddresses();
    this.#answering?.cancel();
    this.#answering = undefined;
    const notice = lanNotice({ id, tag: this.#tag, reach, addresses }, ttlSeconds);
    if (notice === undefined) return;
    this.#saidMs = runtime.clock.monotonicMs();
    this.#socket?.say(notice);
  }

  #heard(texts: readonly string[], ttlSeconds: number, source: string): void {
    const { id, reach } = this.#options;
    // The system hands out what other sockets of the machine are members for, too.
    if (this.#closed !== undefined || (reach === "loopback" && !isLoopback(source))) return;
    const contact = contactOfNotice(texts, this.#tag, source);
    if (contact === undefined || contact.id === id) return;
    if (ttlSeconds === 0) this.#contacts.forget(contact.id);
    else if (contact.addresses.length > 0)
      this.#contacts.hear(contact, Math.min(ttlSeconds, LAN_TTL_SECONDS) * 1_000);
  }

  #wantsLinks(): boolean {
    return this.#options.linkCount() < LAN_LINKS_WANTED;
  }

  #jitterMs(): number {
    const { min, max } = LAN_JITTER_MS;
    return min + this.#options.runtime.random.unit() * (max - min);
  }
}
