/** Word of messages to neighbours that have not asked for them: at once, or gathered for a while; what a neighbour has by then is left out. */
import type { PeerId } from "../../../shared/ids.ts";
import type { Clock, Timer } from "../../runtime.ts";
import type { TopicId } from "./envelope.ts";
import { IDS_MAX, type TopicMessage } from "./protocol.ts";
import type { Recent } from "./recent.ts";

/** Word of messages of busy publishers is gathered for so long. */
const TELL_EVERY_MS = 100;

export interface WordOptions {
  readonly clock: Clock;
  readonly topic: TopicId;
  send(to: PeerId, message: TopicMessage): boolean;
}

export class Word {
  readonly #options: WordOptions;
  readonly #waiting = new Map<PeerId, Recent[]>();
  #timer: Timer | undefined;

  constructor(options: WordOptions) {
    this.#options = options;
  }

  /** Tells with others. */
  tellLater(to: PeerId, recent: Recent): void {
    const list = this.#waiting.get(to) ?? [];
    list.push(recent);
    this.#waiting.set(to, list);
    if (list.length >= IDS_MAX) {
      this.#waiting.delete(to);
      this.tell(to, list);
      return;
    }
    this.#timer ??= this.#options.clock.setTimer(TELL_EVERY_MS, () => {
      this.#timer = undefined;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const [neighbour, recents] of waiting) this.tell(neighbour, recents);
    });
  }

  /** Tells at once. */
  tell(to: PeerId, recents: readonly Recent[]): void {
    const byPublisher = new Map<PeerId, Recent[]>();
    for (const recent of recents) {
      const { publisher } = recent.envelope;
      if (recent.holders.has(to) || publisher === to) continue;
      const list = byPublisher.get(publisher) ?? [];
      list.push(recent);
      byPublisher.set(publisher, list);
    }
    const { topic, send } = this.#options;
    for (const [publisher, list] of byPublisher) {
      const bytesMax = Math.max(...list.map(({ envelope }) => envelope.bytes.length));
      send(to, { kind: "have", topic, publisher, bytesMax, ids: list.map(({ id }) => id) });
    }
  }

  forget(neighbour: PeerId): void {
    this.#waiting.delete(neighbour);
  }

  close(): void {
    this.#timer?.cancel();
    this.#waiting.clear();
  }
}
