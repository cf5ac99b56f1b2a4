/**
 * Messages that were told of and have not come: when which neighbour is asked, and whom next when it does not give. A promise that is not kept
 * costs its maker.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";
import { IDS_MAX } from "./protocol.ts";
import type { MessageId } from "./envelope.ts";

/** Waited for at once; past that what is told of is not asked for. */
export const PULLS_MAX = 4_096;
/** Of these one neighbour may cause so many: who tells lies without end must not crowd out the others. */
export const PULLS_OF_ONE_MAX = 512;
/** Neighbours of one message that may be asked; past that they are not remembered. */
const TELLERS_MAX = 8;
/** How long an answer may take: so much, and the message at 64 KB/s. */
const ANSWER_MS = 500;
const BYTES_PER_MS = 64;

interface Pull {
  /** Who told of it first. */
  readonly by: PeerId;
  readonly tellers: PeerId[];
  readonly bytes: number;
  asked: PeerId | undefined;
  dueMs: number;
}

export interface PullsOptions {
  readonly clock: Clock;
  /** Asks a neighbour. @returns false when it is gone */
  ask(neighbour: PeerId, ids: readonly MessageId[]): boolean;
  /** It was asked, and gave nothing in time. */
  broken(neighbour: PeerId): void;
}

export class Pulls {
  readonly #options: PullsOptions;
  readonly #all = new Map<MessageId, Pull>();
  /** How many each neighbour has caused. */
  readonly #counts = new Map<PeerId, number>();
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(options: PullsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** A neighbour has told of messages that have not come; it is asked after so long, if they have not come by then. */
  told(from: PeerId, ids: readonly MessageId[], bytes: number, patienceMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    const atOnce: MessageId[] = [];
    for (const id of ids) {
      const known = this.#all.get(id);
      if (known !== undefined) {
        if (known.tellers.length < TELLERS_MAX && !known.tellers.includes(from)) known.tellers.push(from);
        continue;
      }
      if (this.#all.size >= PULLS_MAX || (this.#counts.get(from) ?? 0) >= PULLS_OF_ONE_MAX) break;
      const isAsked = patienceMs === 0;
      const dueMs = nowMs + (isAsked ? answerMs(bytes) : patienceMs);
      const tellers = isAsked ? [] : [from];
      this.#all.set(id, { by: from, tellers, bytes, asked: isAsked ? from : undefined, dueMs });
      this.#counts.set(from, (this.#counts.get(from) ?? 0) + 1);
      if (isAsked) atOnce.push(id);
      this.#wakeAt(dueMs);
    }
    if (atOnce.length > 0) this.#options.ask(from, atOnce);
  }

  /** It is here. @returns who was asked for it */
  came(id: MessageId): PeerId | undefined {
    const pull = this.#all.get(id);
    if (pull !== undefined) this.#delete(id, pull);
    return pull?.asked;
  }

  /** A neighbour is gone: what it was asked for is asked of others. */
  gone(neighbour: PeerId): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const pull of this.#all.values()) {
      const at = pull.tellers.indexOf(neighbour);
      if (at >= 0) pull.tellers.splice(at, 1);
      if (pull.asked !== neighbour) continue;
      pull.asked = undefined;
      pull.dueMs = nowMs;
      this.#wakeAt(nowMs);
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#all.clear();
    this.#counts.clear();
  }

  #delete(id: MessageId, { by }: Pull): void {
    this.#all.delete(id);
    const left = (this.#counts.get(by) ?? 1) - 1;
    if (left > 0) this.#counts.set(by, left);
    else this.#counts.delete(by);
  }

  #wakeAt(dueMs: number): void {
    if (dueMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = dueMs;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(Math.max(0, dueMs - clock.monotonicMs()), () => this.#act());
  }

  #act(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.clock.monotonicMs();
    const asks = new Map<PeerId, MessageId[]>();
    const broken = new Set<PeerId>();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [id, pull] of this.#all) {
      if (pull.dueMs <= nowMs) {
        if (pull.asked !== undefined) broken.add(pull.asked);
        pull.asked = pull.tellers.shift();
        if (pull.asked === undefined) {
          this.#delete(id, pull);
          continue;
        }
        pull.dueMs = nowMs + answerMs(pull.bytes);
        const ids = asks.get(pull.asked) ?? [];
        ids.push(id);
        asks.set(pull.asked, ids);
      }
      nextMs = Math.min(nextMs, pull.dueMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#wakeAt(nextMs);
    for (const neighbour of broken) this.#options.broken(neighbour);
    for (const [neighbour, ids] of asks) {
      for (let i = 0; i < ids.length; i += IDS_MAX) this.#options.ask(neighbour, ids.slice(i, i + IDS_MAX));
    }
  }
}

function answerMs(bytes: number): number {
  return ANSWER_MS + bytes / BYTES_PER_MS;
}
