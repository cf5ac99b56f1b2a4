/**
 * Finding working peers for one computation: those that it names, those in session already, and those that the overlay knows as providers; again
 * and again while it lasts, since workers come and go. Each is asked by itself, so that one that is gone holds up nobody.
 */
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { ServiceHost } from "../host.ts";
import type { Records } from "../records/records.ts";
import { type Job, RemoteWorker } from "./remote-worker.ts";
import { workKey } from "./work-key.ts";

/** Workers of one computation, and such as are being asked. */
export const WORKERS_MAX = 64;
const ASKED_AT_ONCE_MAX = 16;
/** Between two looks, and what it grows to. */
const LOOK_MS = 250;
const LOOK_MS_MAX = 10_000;
/** A peer that did not work, or was lost, is asked again. */
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 30_000;
const CONNECT_MS_MAX = 15_000;
/** Peers whose failures are remembered; the one that failed first is forgotten. */
const ASKED_MAX = 1_024;

export interface WorkerSearchOptions {
  readonly host: ServiceHost;
  readonly records: Pick<Records, "providers">;
  readonly job: Job;
  readonly named: readonly PeerId[];
  /** Whether others than those named are looked for. */
  readonly discover: boolean;
  readonly signal: AbortSignal;
  /** Whether somebody is not to be asked: he works already, or he lies. */
  isKnown(id: PeerId): boolean;
  found(worker: RemoteWorker): void;
}

interface Asked {
  failures: number;
  /** Monotonic; nobody is asked before it. */
  againAtMs: number;
  isUnderWay: boolean;
}

export class WorkerSearch {
  readonly #options: WorkerSearchOptions;
  readonly #asked = new Map<PeerId, Asked>();
  #providers: readonly PeerId[] = [];
  #lookingUp: Promise<void> | undefined;
  #looks = 0;
  /** Why the last one that refused did, for people. */
  lastRefusal: PeerloomError | undefined;

  constructor(options: WorkerSearchOptions) {
    this.#options = options;
  }

  /** Whether everybody that can be known at the start has been asked. */
  get isSettled(): boolean {
    const isAsking = [...this.#asked.values()].some(({ isUnderWay }) => isUnderWay);
    return this.#looks > 1 && this.#lookingUp === undefined && !isAsking;
  }

  /** Until the computation is over. */
  async run(): Promise<void> {
    const { host, signal } = this.#options;
    const { clock, random } = host.runtime;
    for (let waitMs = LOOK_MS; !signal.aborted; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
      if (this.#options.discover) this.#lookingUp ??= this.#lookUp();
      this.#askAll();
      this.#looks += 1;
      await clock.sleep(waitMs * (0.75 + 0.5 * random.unit()), signal).catch(() => {});
    }
  }

  /** A worker was lost; it may be asked again in a while. */
  lost(id: PeerId): void {
    this.#failed(id);
  }

  async #lookUp(): Promise<void> {
    const { host, records, signal } = this.#options;
    try {
      const key = await workKey(host.runtime.hash, host.network);
      this.#providers = await records.providers(key, { signal });
      this.#askAll();
    } catch (error) {
      const { code } = toPeerloomError(error, "records/unavailable", "Nobody could be asked who works.");
      host.runtime.log.debug("workers not looked up", { code });
    } finally {
      this.#lookingUp = undefined;
    }
  }

  #askAll(): void {
    const { host, named, discover, signal } = this.#options;
    if (signal.aborted) return;
    const nowMs = host.runtime.clock.monotonicMs();
    const inSession = host.sessions().map(({ peerId }) => peerId);
    for (const id of new Set([...named, ...(discover ? [...inSession, ...this.#providers] : [])])) {
      const asked = this.#asked.get(id);
      const isDue = asked === undefined || (!asked.isUnderWay && asked.againAtMs <= nowMs);
      if (id === host.id || !isDue || this.#options.isKnown(id) || this.#underWay() >= ASKED_AT_ONCE_MAX)
        continue;
      this.#asked.set(id, { failures: asked?.failures ?? 0, againAtMs: 0, isUnderWay: true });
      void this.#ask(id);
    }
  }

  async #ask(id: PeerId): Promise<void> {
    const { host, job, signal, found } = this.#options;
    const deadline = new AbortController();
    const stop = (): void => deadline.abort(new PeerloomError("aborted", "The computation is over."));
    const late = new PeerloomError("connect/timeout", "The worker does not answer.");
    const timer = host.runtime.clock.setTimer(CONNECT_MS_MAX, () => deadline.abort(late));
    signal.addEventListener("abort", stop, { once: true });
    try {
      const session = await host.connect(id, { signal: deadline.signal });
      const worker = await RemoteWorker.open(session, job, host.runtime.clock, deadline.signal);
      const asked = this.#asked.get(id);
      if (asked !== undefined) asked.isUnderWay = false;
      if (signal.aborted || this.#options.isKnown(id)) worker.close();
      else found(worker);
    } catch (error) {
      const reason = toPeerloomError(error, "connect/no-path", "The worker cannot be reached.");
      if (reason.code.startsWith("compute/")) this.lastRefusal = reason;
      host.runtime.log.debug("no worker", { code: reason.code });
      this.#failed(id);
    } finally {
      timer.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  #failed(id: PeerId): void {
    const { clock, random } = this.#options.host.runtime;
    const failures = (this.#asked.get(id)?.failures ?? 0) + 1;
    const waitMs = Math.min(AGAIN_MS * 2 ** (failures - 1), AGAIN_MS_MAX) * (0.5 + random.unit());
    this.#asked.delete(id);
    this.#asked.set(id, { failures, againAtMs: clock.monotonicMs() + waitMs, isUnderWay: false });
    for (const [oldest, { isUnderWay }] of this.#asked) {
      if (this.#asked.size <= ASKED_MAX) break;
      if (!isUnderWay) this.#asked.delete(oldest);
    }
  }

  #underWay(): number {
    return [...this.#asked.values()].filter(({ isUnderWay }) => isUnderWay).length;
  }
}
