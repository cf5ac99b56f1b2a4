/**
 * How long a network's ban list is kept where nobody comes any more: a list is 28 KB that anybody may leave behind under a name of his own. The
 * object's one alarm is the date; whoever joins puts it off, at most once a day. Nothing is lost for good: who was a member brings the
 * list along when it comes again.
 */
import type { Usage } from "../shared/budget.ts";

/** Since the last member came. */
export const BANS_UNUSED_MS_MAX: number = 30 * 86_400_000;
/** Putting it off is a row written. */
const PUT_OFF_MS = 86_400_000;

export class BansShelf {
  readonly #storage: DurableObjectStorage;
  readonly #spend: (usage: Partial<Usage>) => void;
  /** 0 when there is no alarm; undefined until it is asked for. */
  #alarmMs: number | undefined;

  constructor(storage: DurableObjectStorage, spend: (usage: Partial<Usage>) => void) {
    this.#storage = storage;
    this.#spend = spend;
  }

  /** The list is used. */
  async keep(nowMs: number): Promise<void> {
    this.#alarmMs ??= (await this.#storage.getAlarm()) ?? 0;
    const untilMs = nowMs + BANS_UNUSED_MS_MAX;
    if (untilMs - this.#alarmMs < PUT_OFF_MS) return;
    this.#alarmMs = untilMs;
    this.#spend({ rowsWritten: 1 });
    await this.#storage.setAlarm(untilMs);
  }

  /** The date has come. */
  rang(): void {
    this.#alarmMs = 0;
  }
}
