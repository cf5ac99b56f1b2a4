/**
 * Feeds: signed, hash-linked logs with one or several writers, kept by everybody who opens them. A feed is made by naming it and its writers, and
 * opened by its address anywhere else.
 */
import { fromHex, toHex } from "../../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../../shared/errors.ts";
import { short } from "../../../shared/ids.ts";
import { withDeadline } from "../../overlay/abort.ts";
import { backoffMs } from "../../overlay/backoff.ts";
import type { Session, Stream } from "../../session/contract.ts";
import { MessageReader } from "../files/protocol.ts";
import type { ServiceHost } from "../host.ts";
import {
  addressOf,
  encodeDefinition,
  type FeedDefinition,
  isAddress,
  makeDefinition,
  requireDefinition,
} from "./definition.ts";
import { Facts } from "./facts.ts";
import { Feed } from "./feed.ts";
import type { FeedEntry } from "./entry.ts";
import type { Reducer } from "./fold.ts";
import type { Rules, Validator } from "./history.ts";
import { candidates, type Directory, greet } from "./neighbourhood.ts";
import { type ForkChoice, LIGHTER_FIRST } from "./order.ts";
import { decodeMessage, encodeMessage, FEED_PROTOCOL, MESSAGE_BYTES_MAX, violation } from "./protocol.ts";
import { WriterLog } from "./writer-log.ts";

/** Feeds that one peer may have open. Each keeps a file open for each of its writers, where there are files. */
export const FEEDS_MAX = 64;
const FIND_TIMEOUT_MS = 20_000;
const FIND_BACKOFF = { firstMs: 500, maxMs: 5_000 } as const;
const OPENING_TIMEOUT_MS = 10_000;
const BYTES_MAX_KEPT: number = 1024 ** 3;
const BYTES_MAX_MEMORY: number = 128 * 1024 ** 2;

export interface FeedOptions<State = undefined> {
  /** Peer ids of those who may append, 64 at most; part of the address. Only with a name. @default this peer alone */
  readonly writers?: readonly string[];
  /** What you call the rules by which you validate, e.g. "ledger/1"; part of the address. Only with a name. @default "" */
  readonly rules?: string;
  /**
   * Judges each entry before it is kept or passed on. Sees the state of what the entry's writer could know, so that all peers judge
   * alike; must depend on nothing else. A writer whose entry is rejected is stopped there: reject only what no honest writer appends.
   * @default everything is accepted
   */
  readonly validate?: Validator<State>;
  /** Which of two entries that did not know of each other stands first. @default the one with less behind it, then the lower hash */
  readonly choose?: ForkChoice;
  /** Past that nothing more is fetched or appended. @default 1 GiB on disk, 128 MiB in memory */
  readonly bytesMax?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

/** With a reducer, which makes the feed's `state` of its entries in their order. */
export interface ReducedFeedOptions<State> extends FeedOptions<State> {
  readonly initial: State;
  /** Returns the state after an entry as a new value; must depend on nothing else. What it throws leaves the state as it was. */
  readonly apply: Reducer<State>;
}

export class Feeds {
  readonly #host: ServiceHost;
  readonly #directory: Directory;
  readonly #open = new Map<string, { accept: Feed["accept"]; close(): Promise<void> }>();
  readonly #opening = new Map<string, Promise<unknown>>();
  readonly #stopServing: () => void;
  readonly #stop = new AbortController();

  constructor(host: ServiceHost, directory: Directory) {
    this.#host = host;
    this.#directory = directory;
    this.#stopServing = host.handle(FEED_PROTOCOL, async (stream, session) => {
      try {
        await this.#serve(stream, session);
      } catch (error) {
        const { code } = toPeerloomError(error, "stream/reset", "Serving a feed ended.");
        host.runtime.log.debug("feed stream refused", { peer: short(session.peerId), code });
        stream.reset("stream/cancelled");
      }
    });
  }

  /**
   * Opens a feed by its name, among the writers named, or by the address of one that somebody in this network has open; synchronises it with
   * others until it is closed. With a data folder (in browsers: IndexedDB) it is kept, and found again when it is opened again; otherwise it is in
   * memory. Memory: about 200 bytes an entry and, without a folder, the values.
   * @param nameOrAddress 1 to 64 bytes, or 64 hexadecimal digits
   * @throws PeerloomError `feeds/not-found`, `usage/invalid`, `id/invalid`, `data/unwritable`, `peer/closed`, `aborted`
   * @example
   * const feed = await peer.feeds.open("votes", { writers: [anna, ben], initial: 0, apply: (sum, { value }) => sum + Number(value) });
   * await feed.append(1);
   * feed.state; // with Ben's votes, as soon as they are here
   */
  open(nameOrAddress: string, options?: FeedOptions): Promise<Feed>;
  open<State>(nameOrAddress: string, options: ReducedFeedOptions<State>): Promise<Feed<State>>;
  open<State>(
    nameOrAddress: string,
    options: FeedOptions | ReducedFeedOptions<State> = {},
  ): Promise<Feed | Feed<State>> {
    const choose = options.choose ?? LIGHTER_FIRST;
    if (!("apply" in options)) {
      const { validate } = options;
      return this.#openAs(nameOrAddress, options, {
        initial: undefined,
        apply: undefined,
        validate: validate && this.#guardedValidator(validate),
        choose,
      });
    }
    const { initial, apply, validate } = options;
    return this.#openAs(nameOrAddress, options, {
      initial,
      apply: this.#guardedReducer(apply),
      validate: validate && this.#guardedValidator(validate),
      choose,
    });
  }

  /** Addresses of those that are open. */
  addresses(): readonly string[] {
    return [...this.#open.keys()];
  }

  async close(): Promise<void> {
    this.#stop.abort(new PeerloomError("peer/closed", "This peer is closing."));
    this.#stopServing();
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#open.values()].map((feed) => feed.close()));
  }

  async #openAs<State>(
    nameOrAddress: string,
    { writers, rules: rulesName, bytesMax, signal: given }: FeedOptions<State>,
    rules: Rules<State>,
  ): Promise<Feed<State>> {
    const signal = AbortSignal.any([this.#stop.signal, ...(given === undefined ? [] : [given])]);
    signal.throwIfAborted();
    const byAddress = isAddress(nameOrAddress);
    if (byAddress && (writers !== undefined || rulesName !== undefined))
      throw new PeerloomError("usage/invalid", "An address says already who writes, and by which rules.");
    const definition = byAddress
      ? undefined
      : makeDefinition(nameOrAddress, writers ?? [this.#host.id], rulesName ?? "");
    const address =
      definition === undefined ? (fromHex(nameOrAddress) as Uint8Array) : await addressOf(definition);
    const addressText = toHex(address);
    this.#requireClosed(addressText);
    const loading = this.#load(addressText, address, definition, rules, bytesMax, signal);
    this.#opening.set(addressText, loading);
    try {
      return await loading;
    } finally {
      this.#opening.delete(addressText);
    }
  }

  async #load<State>(
    addressText: string,
    address: Uint8Array,
    named: FeedDefinition | undefined,
    rules: Rules<State>,
    bytesMax: number | undefined,
    signal: AbortSignal,
  ): Promise<Feed<State>> {
    const { logs: host, hash } = this.#host.runtime;
    const facts = await Facts.open(await host?.open(`feed-${addressText}`));
    const logs: WriterLog[] = [];
    try {
      const definition = named ?? (await this.#definition(addressText, address, facts, signal));
      await facts.setDefinition(encodeDefinition(definition));
      for (const writer of definition.writers) {
        const file = await host?.open(`feed-${addressText}-${writer}`);
        logs.push(await WriterLog.open({ hash, address, writer, file }));
      }
      signal.throwIfAborted();
      const feed = await Feed.open<State>({
        host: this.#host,
        directory: this.#directory,
        address,
        definition,
        rules,
        logs,
        facts,
        bytesMax: bytesMax ?? (host === undefined ? BYTES_MAX_MEMORY : BYTES_MAX_KEPT),
        onClosed: () => this.#open.delete(addressText),
      });
      this.#open.set(addressText, feed);
      return feed;
    } catch (error) {
      await Promise.all([...logs.map((log) => log.close()), facts.close()]);
      throw error;
    }
  }

  /** From the disk, or from whoever has the feed; whatever they say must have the address for its hash. */
  async #definition(
    addressText: string,
    address: Uint8Array,
    facts: Facts,
    signal: AbortSignal,
  ): Promise<FeedDefinition> {
    if (facts.definition !== undefined) return requireDefinition(facts.definition, addressText);
    const { clock, random, log } = this.#host.runtime;
    const notFound = new PeerloomError(
      "feeds/not-found",
      `Nobody who was asked has the feed ${addressText.slice(0, 8)}…. Somebody of this network must have it open.`,
    );
    try {
      return await withDeadline(clock, FIND_TIMEOUT_MS, signal, async (limit) => {
        for (let attempt = 0; ; attempt++) {
          for (const id of await candidates(this.#host, this.#directory, addressText, limit)) {
            try {
              const greeting = await greet(this.#host, id, address, limit);
              greeting?.stream.reset("stream/cancelled");
              if (greeting !== undefined) return await requireDefinition(greeting.definition, addressText);
            } catch (error) {
              limit.throwIfAborted();
              log.debug("feed not there", { peer: short(id), error: String(error) });
            }
          }
          await clock.sleep(100 + backoffMs(attempt, random, FIND_BACKOFF), limit);
        }
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof PeerloomError && error.code === "link/timeout" ? notFound : error;
    }
  }

  async #serve(stream: Stream, session: Session): Promise<void> {
    const { clock } = this.#host.runtime;
    const reader = new MessageReader(stream.readable, MESSAGE_BYTES_MAX, violation);
    const timer = clock.setTimer(OPENING_TIMEOUT_MS, () => stream.reset("link/timeout"));
    const first = await reader.next().finally(() => timer.cancel());
    const opening = first && decodeMessage(first.type, first.body);
    if (opening?.kind !== "open") throw violation("it begins with an address");
    const feed = this.#open.get(toHex(opening.address));
    if (feed !== undefined) {
      await feed.accept(stream, session, reader);
      return;
    }
    const writer = stream.writable.getWriter();
    await writer.write(encodeMessage({ kind: "failure" }));
    await Promise.allSettled([writer.close(), reader.cancel()]);
  }

  #requireClosed(addressText: string): void {
    if (this.#open.has(addressText) || this.#opening.has(addressText))
      throw new PeerloomError("usage/invalid", "This peer has that feed open already: use the one it has.");
    if (this.#open.size + this.#opening.size >= FEEDS_MAX)
      throw new PeerloomError(
        "usage/invalid",
        `A peer has ${FEEDS_MAX} feeds open at most: close one first.`,
      );
  }

  /** An application's mistake must not stop the feed; at all peers it is the same mistake. */
  #guardedValidator<State>(validate: Validator<State>): Validator<State> {
    return (entry, state) => {
      try {
        return validate(entry, state) === "accept" ? "accept" : "reject";
      } catch (error) {
        this.#warn("feed validator threw", entry, error);
        return "reject";
      }
    };
  }

  #guardedReducer<State>(apply: Reducer<State>): Reducer<State> {
    return (state, entry) => {
      try {
        return apply(state, entry);
      } catch (error) {
        this.#warn("feed reducer threw", entry, error);
        return state;
      }
    };
  }

  #warn(event: string, { writer, seq }: FeedEntry, error: unknown): void {
    this.#host.runtime.log.warn(event, { writer: short(writer), seq, error: String(error) });
  }
}
