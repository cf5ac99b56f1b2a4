/**
 * What befalls a page (https://wicg.github.io/page-lifecycle/, html.spec.whatwg.org "page visibility", bfcache): it is hidden and shown, frozen and resumed, put
 * into the back/forward cache and taken out of it; its machine goes offline and online, or to another network. Workers have none of it.
 */
import type { LifecycleEvents, LifecycleHost } from "../../runtime.ts";

/** One return makes several events. */
const SAME_RETURN_MS = 200;

/** Not in every browser, nor in TypeScript's library. */
interface MaybeConnection {
  readonly connection?: EventTarget;
}

export const browserLifecycle: LifecycleHost | undefined =
  "document" in globalThis ? { watch: watchPage } : undefined;

function watchPage(events: LifecycleEvents): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  let isAway = false;
  let backAtMs = Number.NEGATIVE_INFINITY;
  const back = (): void => {
    const nowMs = performance.now();
    if (!isAway && nowMs - backAtMs < SAME_RETURN_MS) return;
    isAway = false;
    backAtMs = nowMs;
    events.back();
  };
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && back(), {
    signal,
  });
  document.addEventListener("resume", back, { signal });
  addEventListener("pageshow", ({ persisted }) => persisted && back(), { signal });
  for (const name of ["online", "offline"] as const) addEventListener(name, back, { signal });
  (navigator as MaybeConnection).connection?.addEventListener("change", back, { signal });
  // A page with an open connection is not kept; what it was cut from is made again when it comes back.
  addEventListener(
    "pagehide",
    ({ persisted }) => {
      isAway = true;
      events.away(!persisted);
    },
    { signal },
  );
  return () => stop.abort();
}
