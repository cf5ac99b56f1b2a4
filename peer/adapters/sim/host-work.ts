/**
 * The real asynchronous work that simulated peers cause, which is WebCrypto alone: handshakes run on the host's thread
 * pool, whose answers come in any order and at any real time. `orderHostWork` counts what is outstanding, so that
 * virtual time can stand still meanwhile, and releases answers in the order of the calls, so that a seed repeats a run.
 */

/** Every method that answers with a promise. */
const METHODS = [
  "decrypt",
  "deriveBits",
  "deriveKey",
  "digest",
  "encrypt",
  "exportKey",
  "generateKey",
  "importKey",
  "sign",
  "unwrapKey",
  "verify",
  "wrapKey",
] as const;

/**
 * Macrotask turns without outstanding work that make a quiet host. One lets every microtask run; Web streams and
 * `nextTick` queues of some hosts need a second.
 */
const QUIET_TURNS = 2;

export interface HostWork {
  /** Resolves when no WebCrypto call is outstanding and nothing that followed from one is left to run. */
  settle(): Promise<void>;
  /** Gives WebCrypto back as it was. Twice is harmless. */
  release(): void;
}

interface Shared {
  users: number;
  outstanding: number;
  /** Resolved whenever an answer was released. */
  wake: (() => void)[];
  restore(): void;
}

/** WebCrypto is one a process, so simulations that run side by side share the count. */
let shared: Shared | undefined;

/** Counts and orders the host's WebCrypto calls until `release`. */
export function orderHostWork(): HostWork {
  const own = (shared ??= watch(crypto.subtle));
  own.users += 1;
  let released = false;
  return {
    async settle() {
      for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
        await hostTurn();
        if (own.outstanding === 0) continue;
        await new Promise<void>((resolve) => own.wake.push(resolve));
        quiet = -1;
      }
    },
    release() {
      if (released) return;
      released = true;
      own.users -= 1;
      if (own.users > 0) return;
      own.restore();
      shared = undefined;
    },
  };
}

function watch(subtle: SubtleCrypto): Shared {
  const state: Shared = { users: 0, outstanding: 0, wake: [], restore: () => {} };
  /** Settles after the answer to every earlier call was released. */
  let tail: Promise<unknown> = Promise.resolve();
  for (const name of METHODS) {
    const original = Reflect.get(subtle, name) as (...args: unknown[]) => Promise<unknown>;
    const ordered = (...args: unknown[]): Promise<unknown> => {
      state.outstanding += 1;
      const answer = original.apply(subtle, args);
      const released = Promise.allSettled([tail, answer]).then(() => {
        state.outstanding -= 1;
        for (const wake of state.wake.splice(0)) wake();
        return answer;
      });
      tail = released.catch(() => {});
      return released;
    };
    Object.defineProperty(subtle, name, { configurable: true, writable: true, value: ordered });
  }
  // The originals are the prototype's: taking the own properties away shows them again.
  state.restore = () => {
    for (const name of METHODS) Reflect.deleteProperty(subtle, name);
  };
  return state;
}

/** One turn of the host's event loop; all microtasks have run when it is over. */
function hostTurn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
