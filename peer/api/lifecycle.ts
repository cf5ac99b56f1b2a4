/**
 * What a peer does when something befalls the program as a whole: its host puts it away and takes it back, it has slept, the machine's network is
 * another one. Its sessions are kept through all of it; what they go over is doubted, given up or made again.
 */
import type { Connector } from "../overlay/connector.ts";
import type { Rendezvous } from "../overlay/rendezvous.ts";
import type { RtcNegotiations } from "../overlay/rtc-negotiations.ts";
import { WakeWatch } from "../overlay/wake-watch.ts";
import type { Runtime } from "../runtime.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Listening } from "./listening.ts";
import type { Woven } from "./weave.ts";

export interface LifecycleOptions {
  readonly runtime: Pick<Runtime, "clock" | "lifecycle">;
  readonly sessions: Pick<Sessions, "all">;
  readonly connector: Pick<Connector, "pause" | "resume">;
  readonly rendezvous:
    | Pick<Rendezvous, "pause" | "resume" | "doubt" | "hurry" | "updateAddresses">
    | undefined;
  readonly rtc: Pick<RtcNegotiations, "close"> | undefined;
  readonly listening: Pick<Listening, "hurry"> | undefined;
  /** What goes on around sessions, once it is made. */
  woven(): Pick<Woven, "upgrader" | "reentry"> | undefined;
}

export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #unwatch: (() => void) | undefined;
  readonly #wakes: WakeWatch;

  constructor(options: LifecycleOptions) {
    const { clock, lifecycle } = options.runtime;
    this.#options = options;
    this.#unwatch = lifecycle?.watch({ back: () => this.#back(false), away: (isOver) => this.#away(isOver) });
    this.#wakes = new WakeWatch(clock, () => this.#back(true));
  }

  /** This machine's network is there again, or the edge is, over which others are found. */
  reconnected(): void {
    const { sessions, woven } = this.#options;
    for (const session of sessions.all()) if (session.path.kind === "none") woven()?.upgrader.wake(session);
  }

  /** Others dial this peer elsewhere now. */
  moved(): void {
    const { rendezvous, sessions, woven } = this.#options;
    rendezvous?.updateAddresses();
    for (const session of sessions.all()) woven()?.upgrader.announceAddresses(session);
  }

  stop(): void {
    this.#unwatch?.();
    this.#wakes.stop();
  }

  /** The program stood still or was put away, or the network is another one. */
  #back(slept: boolean): void {
    const { connector, listening, rendezvous, sessions, woven } = this.#options;
    connector.resume();
    listening?.hurry();
    rendezvous?.resume();
    rendezvous?.doubt();
    rendezvous?.hurry();
    woven()?.reentry?.hurry();
    for (const session of sessions.all()) {
      session.check({ slept });
      woven()?.upgrader.wake(session);
    }
  }

  /** The program is put away: it may come back with all its sessions, but not while anything is open. Or it is over. */
  #away(isOver: boolean): void {
    const { connector, rendezvous, rtc, sessions } = this.#options;
    connector.pause();
    rendezvous?.pause();
    rtc?.close();
    for (const session of sessions.all()) {
      if (isOver) session.leave();
      else session.park();
    }
  }
}
