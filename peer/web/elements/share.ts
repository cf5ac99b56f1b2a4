/** `<peerloom-share>`: drop files, hand out their links. They are served while the page is open. */
import type { Share } from "../../browser.ts";
import { formatBytes } from "../../api/quantities.ts";
import { button, copyButton, h, say } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { PeerElement } from "./peer-element.ts";
import { qrCode } from "./qr.ts";

const STYLE = `
.drop {
  display: grid;
  gap: 0.35rem;
  justify-items: center;
  padding: 1.6rem 1rem;
  text-align: center;
  border: 2px dashed var(--line);
  border-radius: 0.75rem;
  background: var(--well);
  cursor: pointer;
  transition: border-color 120ms, background 120ms;
}
.drop:hover, .drop.over { border-color: var(--accent); }
.drop.over { background: color-mix(in srgb, var(--accent) 10%, var(--well)); }
.drop:focus-within { outline: 3px solid color-mix(in srgb, var(--accent) 55%, transparent); outline-offset: 2px; }
.drop strong { font-size: 1.05rem; }
ul { list-style: none; margin: 0; padding: 0; }
li { margin-top: 0.75rem; padding: 0.9rem 1rem; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
.name { font-weight: 600; overflow-wrap: anywhere; }
.row { margin-top: 0.6rem; }
input.link { flex: 1 1 14rem; min-width: 0; font: 0.85rem/1.5 ui-monospace, Menlo, monospace; color: var(--soft); background: var(--well); }
svg { display: block; width: min(15rem, 100%); margin-top: 0.75rem; border-radius: 0.5rem; border: 1px solid var(--line); }
`;

const FILE_LOOK_EVERY_MS = 5_000;

/**
 * Attributes: `network`, `edge`; `listed`: others of the network find the files by searching, not only who has the link. Event: `share` (CustomEvent<Share>), bubbling, for every file that can be fetched now.
 * @example <peerloom-share network="demo"></peerloom-share>
 */
export class PeerloomShare extends PeerElement {
  readonly #input = h("input", {
    type: "file",
    multiple: true,
    class: "hidden",
    "aria-label": "Files to share",
  });
  readonly #drop = h(
    "label",
    { class: "drop", part: "drop" },
    h("strong", {}, "Drop files here"),
    h(
      "span",
      { class: "soft" },
      "or choose them. They stay on this device and go straight to whoever has the link.",
    ),
    this.#input,
  );
  readonly #list = h("ul", { "aria-label": "Shared files" });
  readonly #state = h("p", { class: "soft", role: "status" });

  constructor() {
    super(STYLE);
    this.root.append(this.#drop, this.#state, this.#list);
    this.#input.addEventListener("change", () => {
      this.share([...(this.#input.files ?? [])]);
      this.#input.value = "";
    });
    for (const name of ["dragover", "dragleave", "drop"] as const) {
      this.#drop.addEventListener(name, (event) => {
        event.preventDefault();
        this.#drop.classList.toggle("over", name === "dragover");
      });
    }
    this.#drop.addEventListener("drop", ({ dataTransfer }) => this.share([...(dataTransfer?.files ?? [])]));
  }

  /** Shares files as if they had been dropped. */
  share(files: readonly File[]): void {
    for (const file of files) void this.#add(file);
  }

  async #add(file: File): Promise<void> {
    const meter = h("progress", { max: 1, value: 0, "aria-label": `Preparing ${file.name}` });
    const error = h("p", { class: "error", role: "alert" });
    const item = h(
      "li",
      { part: "item" },
      h("div", { class: "name" }, file.name),
      h("div", { class: "soft" }, formatBytes(file.size)),
      meter,
      error,
    );
    this.#list.prepend(item);
    try {
      const peer = await this.peer();
      const share = await peer.files.share(file, {
        listed: this.hasAttribute("listed"),
        onProgress: ({ bytes, total }) => {
          meter.value = total === 0 ? 1 : bytes / total;
        },
      });
      meter.replaceWith(...this.#offer(share, file, peer.edge, item, error));
      this.#count();
      this.dispatchEvent(new CustomEvent("share", { detail: share, bubbles: true, composed: true }));
    } catch (cause) {
      meter.remove();
      say(error, messageOf(cause));
      item.append(
        h(
          "div",
          { class: "row" },
          button("Try again", () => {
            item.remove();
            void this.#add(file);
          }),
          button("Forget it", () => item.remove()),
        ),
      );
    }
  }

  #offer(
    share: Share,
    file: File,
    edge: string | undefined,
    item: HTMLElement,
    error: HTMLElement,
  ): HTMLElement[] {
    const link = linkOf(share.ticket, edge);
    const field = h("input", {
      class: "link",
      readonly: true,
      value: link,
      "aria-label": `Link to ${share.name}`,
    });
    field.addEventListener("focus", () => field.select());
    const code = h("div", { hidden: true });
    const show = button(
      "QR code",
      () => {
        if (code.childElementCount === 0)
          code.append(
            qrCode(link, `QR code of the link to ${share.name}`) ?? "This link is too long for a QR code.",
          );
        code.hidden = !code.hidden;
        show.setAttribute("aria-expanded", String(!code.hidden));
      },
      { "aria-expanded": "false" },
    );
    const unwatch = watchFile(file, (message) => say(error, message));
    const stop = button("Stop sharing", () => {
      unwatch();
      share.close().catch(() => {});
      item.remove();
      this.#count();
    });
    return [
      h("div", { class: "row" }, field, copyButton("Copy link", link)),
      h("div", { class: "row" }, show, copyButton("Copy command", `npx peerloom get ${share.ticket}`), stop),
      code,
    ];
  }

  #count(): void {
    const count = this.#list.querySelectorAll("input.link").length;
    const files = count === 1 ? "1 file is" : `${count} files are`;
    say(this.#state, count === 0 ? "" : `${files} served while this page is open.`);
  }
}

/** Others would be told that the file is no longer what it was; whoever shares it is told here. @returns watches no longer */
function watchFile(file: File, lost: (message: string) => void): () => void {
  const timer = setInterval(() => {
    file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        clearInterval(timer);
        lost(
          "This file cannot be read any more: it was moved, changed, or leave to read it was taken back. Stop sharing it, and drop it here again.",
        );
      });
  }, FILE_LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

/** The link keeps the ticket in its fragment, which no server is told. */
function linkOf(ticket: string, edge: string | undefined): string {
  return `${edge ?? location.origin}/#get=${ticket.slice(ticket.indexOf("/") + 1)}`;
}
