/** One file that a link or ticket names: offered, on its way, there, or stopped. It goes on whatever else is opened beside it. */
import type { Download, DownloadProgress, Peer } from "../../browser.ts";
import { formatBytes, formatSeconds, SpeedMeter } from "../../api/quantities.ts";
import type { Ticket } from "../../services/files/ticket.ts";
import { button, copyButton, h, say, swap } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { save, type Saved } from "./save.ts";

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
  /** Figures change many times a second: nobody reads them out. */
  readonly #progress = h("div");
  /** What is read out: that it has begun, what to do about it, how it ended. */
  readonly #state = h("p", { class: "soft", role: "status" });
  readonly #error = h("p", { class: "error", role: "alert" });
  #running: AbortController | undefined;
  #saved: Saved | undefined;

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

  /** What came is let go. */
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
    this.#fetch(run.signal).then(
      () => {
        this.#running = undefined;
      },
      (cause: unknown) => {
        this.#running = undefined;
        this.#progress.replaceChildren();
        say(this.#state, "");
        say(this.#error, run.signal.aborted ? "Stopped." : messageOf(cause));
        swap(
          this.#actions,
          button("Try again", () => this.#begin()),
        );
      },
    );
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { ticket, text, open, onDone } = this.#options;
    say(this.#state, "Looking for somebody who has it …");
    const hint = setTimeout(
      () =>
        say(
          this.#state,
          "Still looking. Whoever shared it must have their page or terminal open, and be in reach.",
        ),
      HINT_AFTER_MS,
    );
    const startedAtMs = performance.now();
    try {
      const peer = await open();
      const download = peer.files.get(text, { signal });
      this.#watch(peer, download, () => {
        clearTimeout(hint);
        say(this.#state, "It is on its way.");
      });
      this.#saved = await save(download.readable);
      const seconds = Math.max((performance.now() - startedAtMs) / 1_000, 0.001);
      const speed = `${formatBytes(Math.round(ticket.bytes / seconds))}/s`;
      const facts = [`after ${formatSeconds(seconds)}`, speed, pathOf(peer, ticket)];
      this.#progress.replaceChildren();
      say(this.#state, `All there and verified, ${facts.filter((fact) => fact !== "").join(", ")}.`);
      swap(this.#actions, ...this.#save(this.#saved));
      onDone();
    } finally {
      clearTimeout(hint);
    }
  }

  #watch(peer: Peer, download: Download, onFirst: () => void): void {
    const { ticket } = this.#options;
    const meter = h("progress", { max: Math.max(ticket.bytes, 1), "aria-label": `Getting ${ticket.name}` });
    const figures = h("p", { class: "soft" });
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
        `${sources} ${sources === 1 ? "source" : "sources"}`,
        pathOf(peer, ticket),
      ];
      say(figures, parts.filter((part) => part !== "").join(" · "));
    });
  }

  /** A click that saves it, made at once for people and there for a second time. */
  #save(saved: Saved): HTMLElement[] {
    const { ticket, onForget } = this.#options;
    const link = h("a", { class: "save", href: saved.url, download: ticket.name }, "Save");
    link.click();
    const done = button("Done", () => {
      onForget();
      saved.forget().catch(() => {});
    });
    return [link, done];
  }
}

/** How bytes of those whom the ticket names travel now, for people. Others of the swarm may give too, by ways that are not known here. */
function pathOf(peer: Peer, { providers }: Ticket): string {
  const paths = peer
    .sessions()
    .filter(({ peerId, path }) => path.kind !== "none" && providers.some(({ id }) => id === peerId))
    .map(({ path }) => (path.kind === "direct" ? "direct" : `by ${path.kind} (${path.why})`));
  return [...new Set(paths)].join(", ");
}
