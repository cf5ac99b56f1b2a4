/**
 * The owner's ban list on its way through the network: whoever gets a later one than it had keeps it, holds to it, and passes it on to those it
 * has sessions with and to the edge. A list is signed and numbered, so what is passed on can neither be made up nor go round for ever.
 */
import { type BanList, checkBans } from "../../../shared/bans.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { type NetworkName, type PeerId, short } from "../../../shared/ids.ts";
import { BANS_BYTES_MAX } from "../../../shared/limits.ts";
import type { NetworkKeys } from "../../identity/network-keys.ts";
import { verify } from "../../identity/verify.ts";
import { withDeadline } from "../../overlay/abort.ts";
import type { Timer } from "../../runtime.ts";
import type { Admission } from "../../session/admission.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";

export const BANS_PROTOCOL = "bans/1";
/** Somebody who takes no list for so long is told again when it comes the next time. */
const TELL_MS = 10_000;
/** The edge tells its list right after the join; one that has not by then has none. */
const EDGE_TELLS_MS = 1_000;
/** Memberships end at any time, and clocks are set; this often it is looked whether one has. */
const LOOK_MS_MAX = 3_600_000;

export interface BanListOptions {
  readonly host: ServiceHost;
  readonly network: NetworkName;
  readonly keys: NetworkKeys;
  readonly admission: Admission;
  /** As it was kept. */
  readonly signed: Uint8Array | undefined;
  /** @returns false when the edge is not joined */
  tellEdge(signed: Uint8Array): boolean;
}

export class BanLists {
  readonly #options: BanListOptions;
  readonly #closing = new AbortController();
  readonly #telling = new Set<Promise<unknown>>();
  readonly #waiting = new Set<(number: number) => void>();
  #signed: Uint8Array | undefined;
  #edgeKnows = 0;
  #edgeTimer: Timer | undefined;
  #lookTimer: Timer | undefined;
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: BanListOptions) {
    this.#options = options;
    this.#signed = options.signed;
    options.host.handle(BANS_PROTOCOL, (stream, session) => this.#hear(stream, session));
  }

  get list(): BanList {
    return this.#options.admission.bans;
  }

  /** A session has begun: it may be one too many, or know less than this peer. */
  begun(session: Session): void {
    const { admission } = this.#options;
    const refusal = admission.refusalOf(session.peerId);
    if (refusal !== undefined) this.#run(session.close(refusal));
    else if (admission.bansKnownTo(session.peerId) < this.list.number) this.#run(this.#tell(session));
    this.#watch();
  }

  /** This peer has joined the edge. */
  joined(): void {
    this.#edgeKnows = 0;
    this.#edgeTimer?.cancel();
    this.#edgeTimer = this.#options.host.runtime.clock.setTimer(EDGE_TELLS_MS, () => this.#tellEdge());
  }

  /** The edge says that this is the list. */
  fromEdge(signed: Uint8Array): void {
    this.#run(
      this.adopt(signed).then((number) => {
        this.#edgeKnows = Math.max(this.#edgeKnows, number);
        for (const wake of this.#waiting) wake(this.#edgeKnows);
        this.#tellEdge();
      }),
    );
  }

  /**
   * Takes a list, if it is later than the one here.
   * @returns its number
   * @throws PeerloomError `network/not-owner`, `wire/malformed`, `wire/too-large`
   */
  async adopt(signed: Uint8Array, from?: PeerId): Promise<number> {
    const { network, keys, admission, host } = this.#options;
    const list = await checkBans(signed, network, verify);
    if (!admission.adopt(list)) return list.number;
    this.#signed = signed;
    this.#keeping = this.#keeping
      .then(() => keys.keepBans(network, signed))
      .catch((error: unknown) => host.runtime.log.warn("ban list not kept", { error: String(error) }));
    this.#enforce();
    for (const session of host.sessions()) if (session.peerId !== from) this.#run(this.#tell(session));
    this.#tellEdge();
    return list.number;
  }

  /** Tells everybody there is. @returns who has it now */
  async spread(signal: AbortSignal): Promise<{ readonly edge: boolean; readonly peers: number }> {
    const { host } = this.#options;
    const { number } = this.list;
    const told = Promise.all(host.sessions().map((session) => this.#tell(session)));
    const edge = this.#tellEdge() ? this.#edgeHas(number, signal) : this.#edgeKnows >= number;
    return { edge: await edge, peers: (await told).filter(Boolean).length };
  }

  async close(): Promise<void> {
    this.#closing.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#edgeTimer?.cancel();
    this.#lookTimer?.cancel();
    await Promise.all(this.#telling);
    await this.#keeping;
  }

  /** Who has no membership any more is told why, and let go. */
  #enforce(): void {
    const { host, admission } = this.#options;
    for (const session of host.sessions()) {
      const refusal = admission.refusalOf(session.peerId);
      if (refusal === undefined) continue;
      host.runtime.log.debug("member put out", { peer: short(session.peerId), code: refusal });
      this.#run(session.close(refusal));
    }
  }

  #watch(): void {
    const { host, admission } = this.#options;
    const { clock } = host.runtime;
    this.#lookTimer?.cancel();
    if (this.#closing.signal.aborted) return;
    const firstMs = admission.firstExpiryMs(host.sessions().map(({ peerId }) => peerId));
    const delayMs = Math.min(Math.max(firstMs - clock.nowMs(), 0), LOOK_MS_MAX);
    this.#lookTimer = clock.setTimer(delayMs, () => {
      this.#enforce();
      if (host.sessions().some(({ closed }) => !closed)) this.#watch();
    });
  }

  #tellEdge(): boolean {
    const { number } = this.list;
    if (this.#signed === undefined || this.#edgeKnows >= number) return false;
    return this.#options.tellEdge(this.#signed);
  }

  async #edgeHas(number: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options.host.runtime;
    const heard = Promise.withResolvers<boolean>();
    const wake = (known: number): void => {
      if (known >= number) heard.resolve(true);
    };
    this.#waiting.add(wake);
    try {
      return await withDeadline(clock, TELL_MS, signal, (within) => {
        within.addEventListener("abort", () => heard.resolve(false), { once: true });
        wake(this.#edgeKnows);
        return heard.promise;
      });
    } finally {
      this.#waiting.delete(wake);
    }
  }

  /** Never rejects: who is not told now, is told when it comes again. */
  async #tell(session: Session): Promise<boolean> {
    const signed = this.#signed;
    const { clock, log } = this.#options.host.runtime;
    if (signed === undefined || session.closed) return false;
    try {
      return await withDeadline(clock, TELL_MS, this.#closing.signal, async (signal) => {
        const stream = await session.open(BANS_PROTOCOL, { signal, priority: "interactive" });
        const writer = stream.writable.getWriter();
        await writer.write(signed);
        await writer.close();
        const reader = stream.readable.getReader();
        if (!(await reader.read()).done) {
          await reader.cancel();
          throw new PeerloomError("wire/malformed", "Nothing is answered here.");
        }
        return true; // ended, not reset: it was taken
      });
    } catch (error) {
      log.debug("ban list not told", { peer: short(session.peerId), error: String(error) });
      return false;
    }
  }

  async #hear(stream: Stream, session: Session): Promise<void> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    // Safari before 27 has no `for await` over a stream.
    const reader = stream.readable.getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      bytes += value?.length ?? 0;
      if (bytes > BANS_BYTES_MAX) throw new PeerloomError("wire/too-large", "A ban list is too long.");
      if (value !== undefined) parts.push(value.slice());
    }
    await this.adopt(concatBytes(...parts), session.peerId);
    await stream.writable.close();
  }

  #run(task: Promise<unknown>): void {
    const named = task
      .catch((error: unknown) => this.#options.host.runtime.log.debug("ban list", { error: String(error) }))
      .finally(() => this.#telling.delete(named));
    this.#telling.add(named);
  }
}
