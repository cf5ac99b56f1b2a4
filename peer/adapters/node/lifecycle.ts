/**
 * What befalls a program: here that its machine's network is another one. Neither Node nor Deno tells of that, so the machine's own addresses
 * are looked at. That it stood still the peer finds out itself.
 */
import { networkInterfaces } from "node:os";
import type { Clock, LifecycleHost, Timer } from "../../runtime.ts";
import { nodeClock } from "./clock.ts";

export const LOOK_EVERY_MS = 1_000;

/** @param interfaces as `networkInterfaces` of `node:os` */
export function nodeLifecycle(
  clock: Clock = nodeClock,
  interfaces: typeof networkInterfaces = networkInterfaces,
): LifecycleHost {
  return {
    watch({ back }) {
      let before = ownAddresses(interfaces);
      const look = (): Timer =>
        clock.setTimer(LOOK_EVERY_MS, () => {
          const now = ownAddresses(interfaces);
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

/** Those by which others may be reached, as one text; empty where it may not be asked, as in Deno without `--allow-sys`. */
function ownAddresses(interfaces: typeof networkInterfaces): string {
  try {
    return Object.values(interfaces())
      .flatMap((each) => each ?? [])
      .filter(({ internal, scopeid }) => !internal && !scopeid)
      .map(({ address }) => address)
      .sort()
      .join();
  } catch {
    return "";
  }
}
