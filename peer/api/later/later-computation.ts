/** A computation whose code is still on its way; it begins when it is first read and the code is here. */
import { PeerloomError } from "../../../shared/errors.ts";
import type { PeerId } from "../../../shared/ids.ts";
import type { ComputeProgress, TaskResult } from "../../services/compute/computation.ts";
import type { Computation } from "../parts.ts";

const NOTHING_YET: ComputeProgress = { done: 0, given: 0, isComplete: false, workers: 0, rejected: 0 };

export class LaterComputation extends EventTarget implements Computation {
  readonly #map: () => Promise<Computation>;
  #hasBegun = false;
  #computation: Computation | undefined;

  constructor(map: () => Promise<Computation>) {
    super();
    this.#map = map;
  }

  get contributors(): readonly PeerId[] {
    return this.#computation?.contributors ?? [];
  }

  get progress(): ComputeProgress {
    return this.#computation?.progress ?? NOTHING_YET;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TaskResult, void, undefined> {
    if (this.#hasBegun)
      throw new PeerloomError("usage/invalid", "A computation runs once; map again for another.");
    this.#hasBegun = true;
    const computation = await this.#map();
    this.#computation = computation;
    computation.addEventListener("progress", (event) => {
      this.dispatchEvent(new CustomEvent("progress", { detail: (event as CustomEvent<unknown>).detail }));
    });
    yield* computation;
  }
}
