/** One peer this one is linked to: how far it is, when it was heard, what it told of its own table, how well it forwards. */
import { type Coordinate, predictRttMs } from "./coordinate.ts";
import { Digest } from "./digest.ts";
import type { MeshKey } from "./mesh-key.ts";
import type { Place } from "./mesh-messages.ts";
import { RelayedNews } from "./relayed-news.ts";

/** What the mesh needs of a session or of a simulated one. */
export interface MeshLink {
  readonly key: MeshKey;
  /** Enough for others to reach that peer; opaque here. */
  readonly contact: Uint8Array;
  /** What of its address costs an attacker something; undefined where that is not known or not limited. */
  readonly prefix?: string | undefined;
  /** Somebody is billed for each message, so little is said over it; whoever has made it finds out when it is dead. */
  readonly isRelayed?: boolean;
  send(message: Uint8Array): void;
  /** The mesh has no use for it any more. */
  close(): void;
}

const SMOOTHING = 0.125;
const VARIATION_SMOOTHING = 0.25;
const RTO_MS_MIN = 120;
const RTO_MS_MAX = 1_000;
const FIRST_RTT_MS = 100;
/** Weight of the newest outcome in the share of requests that came back. */
const OUTCOME_WEIGHT = 0.1;

export class Neighbour {
  readonly link: MeshLink;
  readonly key: MeshKey;
  readonly prefix: string | undefined;
  /** Undefined where it is told of each change at once. */
  readonly news: RelayedNews | undefined;
  readonly digest: Digest = new Digest();
  readonly sinceMs: number;
  place: Place = { x: 0, y: 0, height: 1 };
  /** Where and how far others were told it is. */
  told: (Place & { readonly rttMs: number; readonly atMs: number }) | undefined;
  heardAtMs: number;
  /** Last time a request passed between us, either way. */
  usedAtMs: number;
  /** Since when it owes an answer; undefined while it is well. */
  suspectSinceMs: number | undefined;
  ping: { readonly id: number; readonly sentAtMs: number } | undefined;
  greeted = false;
  /** Introduces newcomers at a rendezvous. */
  isBeacon = false;
  /** Acknowledgements to be sent together. */
  acks: number[] = [];
  /** Share of requests sent through it first that were answered. */
  answered = 1;
  #rttMs: number | undefined;
  #variationMs = 0;

  constructor(link: MeshLink, nowMs: number) {
    this.link = link;
    this.key = link.key;
    this.prefix = link.prefix;
    this.news = link.isRelayed === true ? new RelayedNews(nowMs) : undefined;
    this.sinceMs = nowMs;
    this.heardAtMs = nowMs;
    this.usedAtMs = nowMs;
  }

  get isRelayed(): boolean {
    return this.news !== undefined;
  }

  get isSuspect(): boolean {
    return this.suspectSinceMs !== undefined;
  }

  get rttMs(): number {
    return this.#rttMs ?? FIRST_RTT_MS;
  }

  measured(sampleMs: number): void {
    if (this.#rttMs === undefined) {
      this.#rttMs = sampleMs;
      this.#variationMs = sampleMs / 2;
      return;
    }
    this.#variationMs += VARIATION_SMOOTHING * (Math.abs(this.#rttMs - sampleMs) - this.#variationMs);
    this.#rttMs += SMOOTHING * (sampleMs - this.#rttMs);
  }

  /** How long an acknowledgement may take (RFC 6298). */
  get timeoutMs(): number {
    if (this.#rttMs === undefined) return 40 + 1.5 * FIRST_RTT_MS;
    return Math.min(Math.max(this.#rttMs + 4 * this.#variationMs, RTO_MS_MIN), RTO_MS_MAX);
  }

  heard(nowMs: number): void {
    this.heardAtMs = nowMs;
    this.suspectSinceMs = undefined;
  }

  outcome(isAnswered: boolean): void {
    this.answered += OUTCOME_WEIGHT * ((isAnswered ? 1 : 0) - this.answered);
  }

  predictedRttMs(own: Coordinate): number {
    return this.#rttMs ?? predictRttMs(own, this.place);
  }
}
