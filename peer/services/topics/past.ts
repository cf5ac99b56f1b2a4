/**
 * The past of a topic: a newcomer asks two neighbours for the last messages and waits for both; whoever is asked tells what it has, within
 * bounds. Past messages are judged as new ones are, but they are not passed on, and may be as old as they like.
 */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock } from "../../runtime.ts";
import type { TopicId } from "./envelope.ts";
import type { TopicMessage } from "./protocol.ts";
import type { RecentMessages } from "./recent.ts";

/** Neighbours asked for the past. */
const NEIGHBOURS = 2;
/** A neighbour is told the past so often, and so much of it. */
const GIVE_EVERY_MS = 10_000;
const GIVE_BYTES_MAX: number = 1024 * 1024;

export interface PastOptions {
  readonly clock: Clock;
  readonly topic: TopicId;
  readonly recent: RecentMessages;
  send(to: PeerId, message: TopicMessage): boolean;
  /** Those that were asked have answered, or are gone. Called once for each `want`. */
  over(): void;
}

export class Past {
  readonly #options: PastOptions;
  /** How many messages each of those that were asked may still tell. */
  readonly #asked = new Map<PeerId, number>();
  /** When a neighbour was told the past. */
  readonly #given = new Map<PeerId, number>();
  #wanted = 0;
  #judging = 0;
  #isOver = true;

  constructor(options: PastOptions) {
    this.#options = options;
  }

  /** So many past messages are wanted, of the neighbours that there are, or the first that come. */
  want(count: number, neighbours: Iterable<PeerId>): void {
    this.#wanted = count;
    this.#isOver = false;
    this.ask(neighbours);
  }

  /** Asks some of these, if anybody has still to be asked. */
  ask(neighbours: Iterable<PeerId>): void {
    if (this.#wanted === 0) return;
    const { topic, send } = this.#options;
    for (const id of neighbours) {
      if (this.#asked.size >= NEIGHBOURS) break;
      if (this.#asked.has(id)) continue;
      this.#asked.set(id, this.#wanted);
      send(id, { kind: "pastWant", topic, count: this.#wanted });
    }
    if (this.#asked.size >= NEIGHBOURS) this.#wanted = 0;
  }

  /** A neighbour asks. */
  give(to: PeerId, count: number): void {
    const { clock, topic, recent, send } = this.#options;
    const nowMs = clock.monotonicMs();
    const isAgain = nowMs - (this.#given.get(to) ?? Number.NEGATIVE_INFINITY) < GIVE_EVERY_MS;
    this.#given.set(to, nowMs);
    for (const { envelope } of isAgain ? [] : recent.last(count, GIVE_BYTES_MAX))
      send(to, { kind: "past", envelope });
    send(to, { kind: "pastEnd", topic });
  }

  /** @returns whether it was asked for a message more */
  takes(from: PeerId): boolean {
    const left = this.#asked.get(from) ?? 0;
    if (left > 0) this.#asked.set(from, left - 1);
    return left > 0;
  }

  /** One is being judged, or was. */
  judging(change: 1 | -1): void {
    this.#judging += change;
    this.#look();
  }

  /** It has told all, or is gone. */
  ended(neighbour: PeerId): void {
    if (this.#asked.delete(neighbour)) this.#look();
  }

  forget(neighbour: PeerId): void {
    this.#given.delete(neighbour);
    this.ended(neighbour);
  }

  #look(): void {
    if (this.#asked.size > 0 || this.#judging > 0 || this.#isOver) return;
    this.#wanted = 0;
    this.#isOver = true;
    this.#options.over();
  }
}
