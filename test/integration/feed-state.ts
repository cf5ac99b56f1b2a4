/** Waiting for a state of a feed, by its events. */
import type { Feed } from "../../peer/node.ts";

/** The longest that a test waits for one state of a feed. */
const STATE_TIMEOUT_MS = 40_000;

/** Resolves when the feed is so; its events are what tells. */
export async function feedUntil<State>(
  feed: Feed<State>,
  accept: (feed: Feed<State>) => boolean,
): Promise<void> {
  if (accept(feed)) return;
  await new Promise<void>((resolve, reject) => {
    const names = ["head", "fork", "stopped", "reorganised"];
    const look = (): void => {
      if (!accept(feed)) return;
      clearTimeout(timer);
      for (const name of names) feed.removeEventListener(name, look);
      resolve();
    };
    const timer = setTimeout(
      () => reject(new Error(`after ${STATE_TIMEOUT_MS} ms: ${JSON.stringify(feed.status())}`)),
      STATE_TIMEOUT_MS,
    );
    for (const name of names) feed.addEventListener(name, look);
  });
}
