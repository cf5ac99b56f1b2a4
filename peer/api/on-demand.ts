/** Something that is made when it is first needed, once. */
import { PeerloomError } from "../../shared/errors.ts";

export class OnDemand<T> {
  readonly #make: () => Promise<T>;
  #isClosed = false;
  #making: Promise<T> | undefined;
  #made: T | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  /** Undefined as long as nobody needed it. */
  get made(): T | undefined {
    return this.#made;
  }

  /** A failure is forgotten, so that the next use tries again. @throws PeerloomError what `make` throws */
  get(): Promise<T> {
    if (this.#isClosed) return Promise.reject(new PeerloomError("peer/closed", "This peer is closing."));
    this.#making ??= this.#make().then(
      (made) => {
        this.#made = made;
        return made;
      },
      (error: unknown) => {
        this.#making = undefined;
        throw error;
      },
    );
    return this.#making;
  }

  /** Makes nothing any more, and ends what was made. */
  async close(end: (made: T) => void | Promise<void>): Promise<void> {
    this.#isClosed = true;
    // What failed to be made is not there to be ended.
    const made = await this.#making?.catch(() => undefined);
    if (made !== undefined) await end(made);
  }
}

/**
 * A module of the runtime, loaded from where the runtime came from.
 * @throws PeerloomError `edge/unreachable`
 */
export async function loaded<Module>(loading: Promise<Module>): Promise<Module> {
  try {
    return await loading;
  } catch (cause) {
    throw new PeerloomError(
      "edge/unreachable",
      "A part of peerloom could not be loaded. Check the connection; if the edge was updated meanwhile, load the page again.",
      { cause },
    );
  }
}
