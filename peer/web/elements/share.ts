/** `<peerloom-share>`: drop files, hand out their links. They are served while the element is in a page that is open. */
import { h, say } from "./dom.ts";
import { PeerElement } from "./peer-element.ts";
import { SharedFile } from "./shared-file.ts";

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

/**
 * Attributes: `network`, `edge`; `listed`: others of the network find the files by searching, not only who has the link. Event: `share` (CustomEvent<Share>), bubbling, for every file that can be fetched now, and again when the page's next peer shares it.
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
  readonly #files = new Set<SharedFile>();

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

  connectedCallback(): void {
    for (const file of this.#files) file.begin();
  }

  disconnectedCallback(): void {
    // One that is only moved is there again by then, and goes on.
    queueMicrotask(() => {
      if (!this.isConnected) for (const file of this.#files) file.end();
    });
  }

  /** Shares files as if they had been dropped. */
  share(files: readonly File[]): void {
    for (const file of files) this.#add(file);
  }

  #add(file: File): void {
    // They stay where they were shared.
    const { network } = this;
    const shared = new SharedFile({
      file,
      isListed: this.hasAttribute("listed"),
      open: () => this.peer(network),
      onShare: (detail) =>
        this.dispatchEvent(new CustomEvent("share", { detail, bubbles: true, composed: true })),
      onChange: () => this.#count(),
      onForget: () => {
        this.#files.delete(shared);
        shared.end();
        shared.element.remove();
        this.#input.focus();
      },
    });
    this.#files.add(shared);
    this.#list.prepend(shared.element);
    shared.begin();
  }

  #count(): void {
    const count = [...this.#files].filter(({ isServed }) => isServed).length;
    const files = count === 1 ? "1 file is" : `${count} files are`;
    say(this.#state, count === 0 ? "" : `${files} served while this page is open.`);
  }
}
