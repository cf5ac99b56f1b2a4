/**
 * What befalls a program: here that its machine's network is another one. Neither Node nor Deno tells of that, so the machine's own addresses
 * are looked at. That it stood still the peer finds out itself.
 */
import type { networkInterfaces } from "node:os";
import type { Clock, LifecycleHost, Timer } from "../../runtime.ts";
import { nodeClock } from "./clock.ts";
import { ownAddresses } from "./own-addresses.ts";

export const LOOK_EVERY_MS = 1_000;

/** @param interfaces as `networkInterfaces` of `node:os` */
export function nodeLifecycle(
  clock: Clock = nodeClock,
  interfaces?: typeof networkInterfaces,
): LifecycleHost {
  return {
    watch({ back }) {
      let before = addressesNow(interfaces);
      const look = (): Timer =>
        clock.setTimer(LOOK_EVERY_MS, () => {
          const now = addressesNow(interfaces);
          timer = look();
          if (now === before) return;
          before = now;
          back();
        });
      let timer = look();
      return () => timer.cancel();
    },
  };
}

/** As one text; empty where they may not be asked. */
function addressesNow(interfaces: typeof networkInterfaces | undefined): string {
  try {
    return ownAddresses(interfaces).sort().join();
  } catch {
    return "";
  }
}
