/**
 * What this peer writes. Values that wait are appended together: one signature and one write to the disk for all of them. What the rules
 * refuse is refused before it is signed, for a writer that signs it is stopped by everybody.
 */
import { PeerloomError } from "../../../shared/errors.ts";
import type { ServiceHost } from "../host.ts";
import type { FeedDefinition } from "./definition.ts";
import {
  encodeEntry,
  ENTRIES_MAX,
  type Entry,
  type EntryLink,
  type FeedEntry,
  type FeedValue,
  packEntryValue,
  toFeedEntry,
} from "./entry.ts";
import { headSignedBytes } from "./head.ts";
import type { History, Rules } from "./history.ts";
import { leafHashes } from "./tree.ts";
import type { WriterLog } from "./writer-log.ts";

/** Entries that one signature certifies at most; what waits longer comes with the next. */
const BATCH_MAX = 512;
/** Values that may wait. */
export const APPENDS_WAITING_MAX = 16_384;

interface Waiting {
  readonly value: Uint8Array;
  resolve(entry: FeedEntry): void;
  reject(error: unknown): void;
}

export interface AppendsOptions<State> {
  readonly host: ServiceHost;
  readonly address: Uint8Array;
  readonly definition: FeedDefinition;
  /** This peer's place among the writers. */
  readonly own: number;
  readonly logs: readonly WriterLog[];
  readonly history: History<State>;
  readonly genesis: readonly Uint8Array[];
  readonly rules: Rules<State>;
  /** The longest log of this writer that others have. */
  longest(): number;
  readonly hasRoom: boolean;
  /** Does what changes the disk, and sees to it that nothing does after it has failed. */
  stored(work: () => Promise<void>): Promise<void>;
}

interface Draft {
  readonly waiting: Waiting;
  readonly bytes: Uint8Array;
  readonly leaf: Uint8Array;
  readonly entry: FeedEntry;
}

export class Appends<State> {
  readonly #options: AppendsOptions<State>;
  #waiting: Waiting[] = [];

  constructor(options: AppendsOptions<State>) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** @throws PeerloomError `feeds/too-large`, `feeds/full`, `usage/invalid`; later as `flush` */
  add(value: FeedValue): Promise<FeedEntry> {
    const packed = packEntryValue(value);
    if (this.#waiting.length >= APPENDS_WAITING_MAX)
      throw new PeerloomError(
        "feeds/full",
        `${APPENDS_WAITING_MAX} values wait to be appended: await some first.`,
      );
    return new Promise((resolve, reject) => this.#waiting.push({ value: packed, resolve, reject }));
  }

  /** Nothing more is appended. */
  refuse(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /**
   * Appends some of what waits; nobody else may change the log meanwhile.
   * @returns those whose appending is to be told when it has been taken in
   */
  async flush(): Promise<() => void> {
    const batch = this.#waiting.splice(0, BATCH_MAX);
    try {
      const drafts = await this.#draft(batch);
      if (drafts.length > 0) await this.#append(drafts);
      return () => {
        for (const { waiting, entry } of drafts) waiting.resolve(entry);
      };
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return () => {};
    }
  }

  async #draft(batch: readonly Waiting[]): Promise<readonly Draft[]> {
    const { host, history, own, logs, genesis, rules, definition } = this.#options;
    this.#requireWritable(batch.length);
    const log = logs[own] as WriterLog;
    const links = this.#unseen();
    const { validate, apply } = rules;
    const behind = history.order.behindNext(own, links);
    let known = validate === undefined ? rules.initial : await history.knownBehind(own, behind);
    const drafts: Draft[] = [];
    for (const waiting of batch) {
      const seq = log.length + drafts.length;
      const previous =
        drafts.at(-1)?.leaf ?? (seq === 0 ? (genesis[own] as Uint8Array) : log.hashOf(seq - 1));
      const entry: Entry = {
        seq,
        previous,
        links: drafts.length === 0 ? links : [],
        timeMs: Math.floor(host.runtime.clock.nowMs()),
        value: waiting.value,
      };
      const bytes = encodeEntry(entry);
      const [leaf] = await leafHashes(host.runtime.hash, [bytes]);
      const feedEntry = toFeedEntry(definition, own, leaf as Uint8Array, entry);
      if (validate !== undefined && validate(feedEntry, known) !== "accept") {
        waiting.reject(
          new PeerloomError("feeds/refused", "The feed's rules refuse this entry; it was not appended."),
        );
        continue;
      }
      if (validate !== undefined && apply !== undefined) known = apply(known, feedEntry);
      drafts.push({ waiting, bytes, leaf: leaf as Uint8Array, entry: feedEntry });
    }
    return drafts;
  }

  async #append(drafts: readonly Draft[]): Promise<void> {
    const { host, address, own, logs, stored } = this.#options;
    const log = logs[own] as WriterLog;
    const leaves = drafts.map(({ leaf }) => leaf);
    const head = { length: log.length + drafts.length, root: await log.rootWith(leaves) };
    const signature = await host.sign(headSignedBytes(address, host.id, head));
    const range = {
      head: { ...head, signature },
      from: log.length,
      entries: drafts.map(({ bytes }) => bytes),
      leaves,
      right: [],
    };
    await stored(() => log.append(range, true));
  }

  /** @throws PeerloomError `feeds/forked`, `feeds/behind`, `feeds/full`, `feeds/refused` */
  #requireWritable(count: number): void {
    const { history, own, logs, longest, hasRoom } = this.#options;
    const log = logs[own] as WriterLog;
    if (history.forkOf(own) !== undefined) {
      throw new PeerloomError(
        "feeds/forked",
        "Two different entries were signed with this identity for one number, so nobody takes more of it. Use another identity.",
      );
    }
    if (history.stoppedAt(own) !== undefined)
      throw new PeerloomError(
        "feeds/refused",
        "The feed's rules have refused an earlier entry of this writer.",
      );
    if (!log.isWhole || log.length > history.validOf(own) || longest() > log.length) {
      throw new PeerloomError(
        "feeds/behind",
        "Others have entries of this writer that are not here yet; appending now would fork the feed. Try again after the next head event.",
      );
    }
    if (log.length + count > ENTRIES_MAX || !hasRoom)
      throw new PeerloomError(
        "feeds/full",
        "The feed has as many entries or bytes as it may. Begin another one.",
      );
  }

  /** Heads of others that this writer has not linked to, without those that another of them has behind it. */
  #unseen(): readonly EntryLink[] {
    const { history, own, logs } = this.#options;
    const { order } = history;
    const seen = order.behind({ writer: own, seq: order.countOf(own) });
    const heads = [...logs.keys()].filter(
      (writer) => writer !== own && order.countOf(writer) > (seen[writer] ?? 0),
    );
    const behind = new Map(
      heads.map((writer) => [writer, order.behind({ writer, seq: order.countOf(writer) - 1 })]),
    );
    const isCovered = (writer: number): boolean =>
      heads.some((other) => other !== writer && (behind.get(other)?.[writer] ?? 0) >= order.countOf(writer));
    return heads
      .filter((writer) => !isCovered(writer))
      .map((writer) => {
        const length = order.countOf(writer);
        return { writer, length, hash: (logs[writer] as WriterLog).hashOf(length - 1) };
      });
  }
}
