/** Feeds whose code is loaded by the first that is opened. */
import type { Feed } from "../../services/feeds/feed.ts";
import type { FeedOptions, Feeds, ReducedFeedOptions } from "../../services/feeds/feeds.ts";
import type { OnDemand } from "../on-demand.ts";
import type { FeedsService } from "../parts.ts";

export class LaterFeeds implements FeedsService {
  readonly #feeds: OnDemand<Feeds>;

  constructor(feeds: OnDemand<Feeds>) {
    this.#feeds = feeds;
  }

  open(nameOrAddress: string, options?: FeedOptions): Promise<Feed>;
  open<State>(nameOrAddress: string, options: ReducedFeedOptions<State>): Promise<Feed<State>>;
  async open<State>(
    nameOrAddress: string,
    options: FeedOptions | ReducedFeedOptions<State> = {},
  ): Promise<Feed | Feed<State>> {
    const feeds = await this.#feeds.get();
    return "apply" in options ? feeds.open(nameOrAddress, options) : feeds.open(nameOrAddress, options);
  }

  addresses(): readonly string[] {
    return this.#feeds.made?.addresses() ?? [];
  }
}
