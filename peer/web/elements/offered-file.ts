/** One file or folder that a link or ticket names: offered, on its way, there, or stopped. It goes on whatever else is opened beside it. */
import { toHex } from "../../../shared/bytes.ts";
import type { Download, DownloadProgress, DownloadResult, Peer } from "../../browser.ts";
import { counted, formatBytes, formatSeconds, SpeedMeter } from "../../api/quantities.ts";
import type { Ticket } from "../../services/files/ticket.ts";
import { button, copyButton, h, say, swap } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { SavedShare } from "./saved-share.ts";
import { tellGivers } from "./tell-givers.ts";

const SHOW_EVERY_MS = 200;
/** Who has it is found sooner, if anybody is there. */
const HINT_AFTER_MS = 6_000;

export interface OfferedFileOptions {
  readonly ticket: Ticket;
  /** As it was opened. */
  readonly text: string;
  open(): Promise<Peer>;
  onDone(): void;
  /** Somebody wants it no more. */
  onForget(): void;
}

export class OfferedFile {
  readonly element: HTMLElement;
  readonly #options: OfferedFileOptions;
  readonly #actions = h("div", { class: "row" });
  /** Figures change many times a second: nobody reads them out. Afterwards, of a folder, what is in it. */
  readonly #progress = h("div");
  /** What is read out: that it has begun, what to do about it, how it ended. */
  readonly #state = h("p", { class: "soft", role: "status" });
  readonly #error = h("p", { class: "error", role: "alert" });
  /** The download, and then what it gives to others. */
  #running: AbortController | undefined;
  #saved: SavedShare | undefined;

  constructor(options: OfferedFileOptions) {
    this.#options = options;
    const { ticket, text } = options;
    const get = button("Get it", () => this.#begin());
    get.classList.add("main");
    this.#actions.append(get, copyButton("Copy command", `npx peerloom get ${text}`));
    this.element = h(
      "div",
      { class: "offer", part: "item" },
      h("div", { class: "name" }, ticket.name),
      h("div", { class: "soft" }, formatBytes(ticket.bytes)),
      this.#actions,
      this.#progress,
      this.#state,
      this.#error,
    );
  }

  /** It is on its way, or there. */
  get isTaken(): boolean {
    return this.#running !== undefined || this.#saved !== undefined;
  }

  focus(): void {
    this.#actions.querySelector<HTMLElement>("button, a")?.focus();
  }

  /** Nothing comes any more, and nothing is given. */
  stop(): void {
    this.#running?.abort();
  }

  #begin(): void {
    const run = new AbortController();
    this.#running = run;
    swap(
      this.#actions,
      button("Stop", () => run.abort()),
    );
    say(this.#error, "");
    this.#fetch(run.signal).catch((cause: unknown) => {
      this.#running = undefined;
      this.#progress.replaceChildren();
      say(this.#state, "");
      say(this.#error, run.signal.aborted ? "Stopped." : messageOf(cause));
      swap(
        this.#actions,
        button("Try again", () => this.#begin()),
      );
    });
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { text, open, onDone } = this.#options;
    say(this.#state, "Looking for somebody who has it …");
    const hint = setTimeout(
      () =>
        say(
          this.#state,
          "Still looking. Whoever shared it must have their page or terminal open, and be in reach.",
        ),
      HINT_AFTER_MS,
    );
    try {
      const peer = await open();
      const download = peer.files.get(text, { signal, seed: true });
      this.#watch(download, () => {
        clearTimeout(hint);
        say(this.#state, "It is on its way.");
      });
      const result = await download.saveTo();
      const saved = new SavedShare(result);
      this.#saved = saved;
      this.#progress.replaceChildren(saved.list);
      this.#tell(result, tellGivers(download.givers), AbortSignal.any([signal, endOf(peer)]));
      swap(this.#actions, saved.actions, this.#done(saved));
      onDone();
    } finally {
      clearTimeout(hint);
    }
  }

  /** @param ended nobody is given it any more */
  #tell({ by, bytes, seconds }: DownloadResult, from: string, ended: AbortSignal): void {
    const fetched = by.direct + by.relay;
    const speed = `${formatBytes(Math.round(fetched / Math.max(seconds, 0.001)))}/s`;
    const facts = [`after ${formatSeconds(seconds)}`, ...(fetched > 0 ? [speed, from] : [])];
    const how = fetched === 0 && bytes > 0 ? "kept from before" : facts.join(", ");
    const done = `All there and verified, ${how}.`;
    say(this.#state, `${done} Others can get it from this page too, until you are done with it.`);
    ended.addEventListener("abort", () => say(this.#state, done), { once: true });
  }

  #watch(download: Download, onFirst: () => void): void {
    const { ticket } = this.#options;
    const id = `figures-${toHex(ticket.hash)}`;
    const figures = h("p", { class: "soft", id });
    const meter = h("progress", {
      max: Math.max(ticket.bytes, 1),
      "aria-label": `Getting ${ticket.name}`,
      "aria-describedby": id,
    });
    this.#progress.replaceChildren(meter, figures);
    const speed = new SpeedMeter();
    let shownAtMs = 0;
    let hasBegun = false;
    download.addEventListener("progress", (event) => {
      const { bytes, total, sources } = (event as CustomEvent<DownloadProgress>).detail;
      const nowMs = performance.now();
      if (!hasBegun && bytes > 0) onFirst();
      hasBegun ||= bytes > 0;
      if (nowMs - shownAtMs < SHOW_EVERY_MS && bytes < total) return;
      shownAtMs = nowMs;
      speed.add(nowMs, bytes);
      meter.value = bytes;
      const perSecond = speed.bytesPerSecond();
      const left = perSecond > 0 ? (total - bytes) / perSecond : 0;
      const parts = [
        `${formatBytes(bytes)} of ${formatBytes(total)}`,
        perSecond > 0 ? `${formatBytes(Math.round(perSecond))}/s` : "",
        left > 0 ? `${formatSeconds(left)} left` : "",
        tellGivers(download.givers) || counted(sources, "source"),
      ];
      say(figures, parts.filter((part) => part !== "").join(" · "));
    });
  }

  #done(saved: SavedShare): HTMLElement {
    return button("Done", () => {
      this.#options.onForget();
      saved.forget().catch(() => {});
    });
  }
}

function endOf(peer: Peer): AbortSignal {
  const ended = new AbortController();
  peer.addEventListener("close", () => ended.abort(), { once: true });
  return ended.signal;
}
