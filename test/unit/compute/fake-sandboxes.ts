/** Sandboxes on virtual time that do as their input says. */
import type { SimClock } from "../../../peer/adapters/sim/clock.ts";
import type { Sandbox, SandboxHost } from "../../../peer/runtime.ts";
import { PeerloomError } from "../../../shared/errors.ts";

/** Runs a task for as many ms as its input's first byte says times ten; 255 is for ever. */
export class FakeSandboxes implements SandboxHost {
  readonly cores = 2;
  readonly #clock: SimClock;
  started = 0;
  loads = 0;
  alive = 0;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  start(): Sandbox {
    this.started += 1;
    this.alive += 1;
    let reject: ((error: Error) => void) | undefined;
    let isKilled = false;
    return {
      load: () => {
        this.loads += 1;
        return Promise.resolve();
      },
      run: (input) =>
        new Promise((resolve, fail) => {
          reject = fail;
          if (input[0] === 255) return;
          this.#clock.schedule((input[0] ?? 0) * 10, () => resolve(input));
        }),
      kill: () => {
        if (!isKilled) this.alive -= 1;
        isKilled = true;
        reject?.(new PeerloomError("compute/unavailable", "It was ended."));
        return Promise.resolve();
      },
    };
  }
}
