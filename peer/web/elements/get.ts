/** `<peerloom-get>`: a link or ticket becomes a file, with progress and by which path it came. */
import type { Download, DownloadProgress } from "../../browser.ts";
import type { Peer } from "../../api/peer.ts";
import { parseTicket, type Ticket } from "../../services/files/ticket.ts";
import { formatBytes, formatSeconds, SpeedMeter } from "../../api/quantities.ts";
import { button, copyButton, h, say } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { PeerElement } from "./peer-element.ts";
import { save, type Saved } from "./save.ts";

const STYLE = `
form { display: flex; flex-wrap: wrap; gap: 0.5rem; }
input.ticket { flex: 1 1 16rem; min-width: 0; background: var(--well); }
.offer { padding: 0.9rem 1rem; margin-top: 0.75rem; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
.name { font-weight: 600; overflow-wrap: anywhere; }
.row { margin-top: 0.6rem; }
progress { margin-top: 0.6rem; }
a.save { display: inline-block; padding: 0.4rem 0.8rem; border-radius: 0.5rem; font-weight: 600; text-decoration: none; background: var(--accent); color: var(--on-accent); }
`;
const SHOW_EVERY_MS = 200;
/** Who has it is found sooner, if anybody is there. */
const HINT_AFTER_MS = 6_000;

/**
 * Attributes: `ticket` (a link or a ticket; then it waits for a click), `edge`. Events: `done` (CustomEvent<Ticket>) when the file is there,
 * bubbling.
 * @example <peerloom-get></peerloom-get>
 */
export class PeerloomGet extends PeerElement {
  static readonly observedAttributes: readonly string[] = ["ticket"];
  readonly #field = h("input", {
    class: "ticket",
    "aria-label": "Link or ticket",
    placeholder: "Paste a link or a ticket",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly #form = h("form", {}, this.#field, h("button", { type: "submit", part: "button" }, "Open"));
  readonly #error = h("p", { class: "error", role: "alert" });
  readonly #offers = h("div");

  constructor() {
    super(STYLE);
    this.root.append(this.#form, this.#error, this.#offers);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open(this.#field.value);
    });
  }

  attributeChangedCallback(_: string, __: string | null, value: string | null): void {
    if (value !== null && value !== "") this.open(value);
  }

  /** Shows what a link or ticket names; its bytes are fetched when that is asked for. */
  open(text: string): void {
    say(this.#error, "");
    let ticket: Ticket;
    try {
      ticket = parseTicket(text);
    } catch (error) {
      say(this.#error, messageOf(error));
      return;
    }
    this.#field.value = "";
    this.#offers.replaceChildren(this.#offer(ticket, text));
    this.#offers.querySelector<HTMLElement>("button")?.focus();
  }

  #offer(ticket: Ticket, text: string): HTMLElement {
    const box = h(
      "div",
      { class: "offer", part: "item" },
      h("div", { class: "name" }, ticket.name),
      h("div", { class: "soft" }, formatBytes(ticket.bytes)),
    );
    const actions = h("div", { class: "row" });
    box.append(actions);
    const begin = (): void => {
      actions.replaceChildren();
      void this.#fetch(ticket, text, box, actions, begin);
    };
    const get = button("Get it", begin);
    get.classList.add("main");
    actions.append(get, copyButton("Copy command", `npx peerloom get ${text}`));
    return box;
  }

  async #fetch(
    ticket: Ticket,
    text: string,
    box: HTMLElement,
    actions: HTMLElement,
    again: () => void,
  ): Promise<void> {
    const meter = h("progress", { max: Math.max(ticket.bytes, 1), "aria-label": `Getting ${ticket.name}` });
    const state = h("p", { class: "soft", role: "status" }, "Looking for somebody who has it …");
    const error = h("p", { class: "error", role: "alert" });
    const stop = new AbortController();
    actions.append(button("Stop", () => stop.abort()));
    box.append(meter, state, error);
    const startedAtMs = performance.now();
    const looking = state.textContent;
    const hint = setTimeout(() => {
      if (state.textContent === looking)
        say(
          state,
          "Still looking. Whoever shared it must have their page or terminal open, and be in reach.",
        );
    }, HINT_AFTER_MS);
    try {
      const peer = await this.peer(ticket.network, ticket.edge);
      const download = peer.files.get(text, { signal: stop.signal });
      watch(peer, download, meter, state);
      const saved = await save(download.readable);
      clearTimeout(hint);
      const seconds = Math.max((performance.now() - startedAtMs) / 1_000, 0.001);
      meter.value = meter.max;
      const speed = `${formatBytes(Math.round(ticket.bytes / seconds))}/s`;
      say(
        state,
        `All there and verified, after ${formatSeconds(seconds)}, ${speed}, ${pathOf(peer, ticket)}.`,
      );
      actions.replaceChildren(...this.#saved(ticket, saved, box));
      this.dispatchEvent(new CustomEvent("done", { detail: ticket, bubbles: true, composed: true }));
    } catch (cause) {
      clearTimeout(hint);
      meter.remove();
      state.remove();
      say(error, stop.signal.aborted ? "Stopped." : messageOf(cause));
      actions.replaceChildren(
        button("Try again", () => {
          error.remove();
          again();
        }),
      );
    }
  }

  /** A click that saves it, made at once for people and there for a second time. */
  #saved(ticket: Ticket, saved: Saved, box: HTMLElement): HTMLElement[] {
    const link = h("a", { class: "save", href: saved.url, download: ticket.name }, "Save");
    link.click();
    const close = button("Done", () => {
      box.remove();
      saved.forget().catch(() => {});
    });
    return [link, close];
  }
}

function watch(peer: Peer, download: Download, meter: HTMLProgressElement, state: HTMLElement): void {
  const speed = new SpeedMeter();
  let shownAtMs = 0;
  download.addEventListener("progress", (event) => {
    const { bytes, total, sources } = (event as CustomEvent<DownloadProgress>).detail;
    const nowMs = performance.now();
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
      pathOf(peer, download.ticket),
    ];
    say(state, parts.filter((part) => part !== "").join(" · "));
  });
}

/** How its bytes travel now, for people. */
function pathOf(peer: Peer, { providers }: Ticket): string {
  const paths = peer
    .sessions()
    .filter(({ peerId }) => providers.some(({ id }) => id === peerId))
    .map(({ path }) => (path.kind === "direct" ? "direct" : `by ${path.kind} (${path.why})`));
  return [...new Set(paths)].join(", ") || "direct";
}
