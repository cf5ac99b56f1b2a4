/**
 * Which tab has the identity that a browser keeps. Two with one identity would take each other's place at the edge again and again, so one has it,
 * by a Web Lock. A page that holds a lock is not kept for the way back, so the lock goes when the page is put away, and is asked for when it returns.
 */
import type { LifecycleEvents, LifecycleHost } from "../../runtime.ts";

type Release = () => void;

export class Turn {
  readonly #name: string;
  readonly #lost: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Undefined: away, or over. */
  #release: Release | undefined;
  #asking: Promise<Release | undefined> | undefined;

  private constructor(name: string, release: Release) {
    this.#name = name;
    this.#release = release;
  }

  /** Undefined: another tab has it. */
  static async take(edge: string | null, network = ""): Promise<Turn | undefined> {
    const name = `peerloom-peer ${edge ?? ""} ${network}`;
    const release = await lockNow(name);
    return release === undefined ? undefined : new Turn(name, release);
  }

  /** Another tab has had it since this page was put away. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  /** The host's lifecycle for a peer with that identity: it is not back before the identity is, or both would be at the edge. */
  guard(host: LifecycleHost | undefined): LifecycleHost | undefined {
    return (
      host && {
        watch: (events) =>
          host.watch({
            away: (isOver) => {
              events.away(isOver);
              this.end();
            },
            back: () => (this.#release === undefined ? void this.#again(events) : events.back()),
          }),
      }
    );
  }

  end(): void {
    this.#asking = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  /** One return may be told more than once. */
  async #again(events: LifecycleEvents): Promise<void> {
    if (this.#asking !== undefined) return;
    const asking = lockNow(this.#name).catch(() => undefined);
    this.#asking = asking;
    const release = await asking;
    // It was put away again, or closed.
    if (this.#asking !== asking) return release?.();
    this.#asking = undefined;
    if (release === undefined) return this.#lost.resolve();
    this.#release = release;
    events.back();
  }
}

/** @returns lets it go; undefined: somebody else has it */
function lockNow(name: string): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) =>
        lock === null ? resolve(undefined) : new Promise<void>((release) => resolve(release)),
      )
      .catch(reject);
  });
}
