/**
 * Offering processing power: answers `work/1` streams of those who are served, and says in the overlay that this peer works, until it is
 * closed. Whoever is in this network may ask, unless ids are named.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { type PeerId, requirePeerId } from "../../../shared/ids.ts";
import type { SandboxHost } from "../../runtime.ts";
import type { Session, Stream } from "../../session/contract.ts";
import type { ServiceHost } from "../host.ts";
import type { Records } from "../records/records.ts";
import { checkRange } from "./check-range.ts";
import { ModuleCache } from "./module-cache.ts";
import { PAGES_MAX, SLOTS_MAX, TASK_MS_MAX } from "./protocol.ts";
import { WORK_PROTOCOL } from "./work-protocol.ts";
import { SandboxPool } from "./sandbox-pool.ts";
import { refuseWork, serveWork } from "./serve.ts";
import { workKey } from "./work-key.ts";

export interface WorkOptions {
  /** Tasks at once. @default the host's processors */
  readonly slots?: number;
  /** Memory of one task, pages of 64 KiB, 1 to 16,384. @default 1_024 (64 MiB) */
  readonly memoryPages?: number;
  /** Time of one task, ms, up to an hour; it is killed after that. @default 30_000 */
  readonly taskMs?: number;
  /** Peers to work for. @default everybody in this network */
  readonly allow?: readonly string[];
  /** Whether others may find it without knowing its id. @default true */
  readonly announce?: boolean;
}

export const WORK_DEFAULTS = { memoryPages: 1_024, taskMs: 30_000, announce: true } as const;

/** Askers at once, in all and of one peer; the next is told `compute/busy`. */
const STREAMS_MAX = 64;
const STREAMS_OF_ONE_MAX = 16;
/** While nobody keeps the record that this peer works. */
const ANNOUNCE_RETRY_MS = 1_000;
const ANNOUNCE_RETRY_MS_MAX = 60_000;
/** A module of nothing, to find out whether this host runs any. */
const EMPTY_MODULE: Uint8Array = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

/** What keeps a peer working. */
export class WorkOffer implements AsyncDisposable {
  /** Tasks that run at once. */
  readonly slots: number;
  readonly #host: ServiceHost;
  readonly #pool: SandboxPool;
  readonly #modules = new ModuleCache();
  readonly #allow: ReadonlySet<PeerId> | undefined;
  readonly #limits: { readonly memoryPagesMax: number; readonly taskMsMax: number };
  readonly #streams = new Map<Stream, PeerId>();
  readonly #stop = new AbortController();
  readonly #onClosed: () => void;
  #unhandle: () => void = () => {};
  #closed: Promise<void> | undefined;

  /** @throws PeerloomError `compute/unavailable`, `usage/invalid`, `id/invalid` */
  static async open(
    host: ServiceHost,
    records: Pick<Records, "provide">,
    options: WorkOptions,
    closed: () => void,
  ): Promise<WorkOffer> {
    const { sandboxes } = host.runtime;
    if (sandboxes === undefined) {
      throw new PeerloomError("compute/unavailable", "This host has no threads to run modules in.");
    }
    const offer = new WorkOffer(host, sandboxes, options, closed);
    try {
      await offer.#pool.warm(EMPTY_MODULE);
    } catch (error) {
      await offer.close();
      throw error;
    }
    offer.#start(records, options.announce ?? WORK_DEFAULTS.announce);
    return offer;
  }

  private constructor(host: ServiceHost, sandboxes: SandboxHost, options: WorkOptions, onClosed: () => void) {
    const { slots = sandboxes.cores, memoryPages, taskMs, allow } = { ...WORK_DEFAULTS, ...options };
    this.#host = host;
    this.#onClosed = onClosed;
    checkRange("slots", slots, SLOTS_MAX);
    checkRange("memoryPages", memoryPages, PAGES_MAX);
    checkRange("taskMs", taskMs, TASK_MS_MAX);
    this.slots = slots;
    this.#limits = { memoryPagesMax: memoryPages, taskMsMax: taskMs };
    this.#allow = allow === undefined ? undefined : new Set(allow.map(requirePeerId));
    this.#pool = new SandboxPool(sandboxes, host.runtime.clock, this.slots);
  }

  /** Works no longer; tasks under way are dropped, and whoever waits for them asks others. Twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(records: Pick<Records, "provide">, announce: boolean): void {
    this.#unhandle = this.#host.handle(WORK_PROTOCOL, (stream, session) => this.#serve(stream, session));
    // Ends with the offer; a record that is just being put has a deadline of its own.
    if (announce) void this.#announce(records);
  }

  async #close(): Promise<void> {
    this.#unhandle();
    this.#stop.abort(new PeerloomError("peer/closed", "This peer works no longer."));
    for (const stream of this.#streams.keys()) stream.reset("peer/closed");
    await this.#pool.close();
    this.#onClosed();
  }

  async #serve(stream: Stream, { peerId }: Session): Promise<void> {
    const ofOne = [...this.#streams.values()].filter((id) => id === peerId).length;
    if (this.#allow?.has(peerId) === false) return refuseWork(stream, "compute/refused");
    if (this.#streams.size >= STREAMS_MAX || ofOne >= STREAMS_OF_ONE_MAX)
      return refuseWork(stream, "compute/busy");
    this.#streams.set(stream, peerId);
    const { hash, clock, log } = this.#host.runtime;
    try {
      await serveWork(stream, {
        pool: this.#pool,
        modules: this.#modules,
        hash,
        clock,
        slots: this.slots,
        ...this.#limits,
      });
    } catch (error) {
      const { code } = toPeerloomError(error, "stream/reset", "Working for a peer ended.");
      log.debug("work ended", { code });
    } finally {
      this.#streams.delete(stream);
    }
  }

  /** Says that this peer works; records says it again by itself. */
  async #announce(records: Pick<Records, "provide">): Promise<void> {
    const { clock, random, log, hash } = this.#host.runtime;
    const { signal } = this.#stop;
    const key = await workKey(hash, this.#host.network);
    for (
      let waitMs = ANNOUNCE_RETRY_MS;
      !signal.aborted;
      waitMs = Math.min(2 * waitMs, ANNOUNCE_RETRY_MS_MAX)
    ) {
      try {
        const forget = await records.provide(key, { signal });
        if (signal.aborted) forget();
        else signal.addEventListener("abort", forget, { once: true });
        return;
      } catch (error) {
        const { code } = toPeerloomError(error, "records/not-stored", "Not announced.");
        // Out of the overlay it is found by its sessions and by its id.
        if (code === "records/unavailable" || signal.aborted) return;
        log.debug("work not announced", { code });
      }
      await clock.sleep(waitMs * (0.5 + random.unit()), signal).catch(() => {});
    }
  }
}
