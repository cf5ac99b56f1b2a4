/** What a method learns of its call besides the arguments: `this`, where no argument of a stranger can stand in for it. */
import type { PeerId } from "../../../shared/ids.ts";

export interface CallContext {
  /** Who calls; proved. */
  readonly from: PeerId;
  /** Aborted when the caller gave up or is gone, its time is over, or the service is served no longer. */
  readonly signal: AbortSignal;
}

export class OpenContext implements CallContext {
  readonly from: PeerId;
  #controller: AbortController | undefined;
  #reason: unknown;

  constructor(from: PeerId) {
    this.from = from;
  }

  // Made when somebody asks: most methods are over before they could be aborted.
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#reason ??= reason;
    this.#controller?.abort(reason);
  }
}
