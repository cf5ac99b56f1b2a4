/** `<peerloom-share>`: drop files and folders, hand out their links. They are served while the element is in a page that is open. */
import { type Chosen, dropped, pickedFolder } from "./chosen.ts";
import { button, h, say } from "./dom.ts";
import { messageOf } from "./message-of.ts";
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
    h("strong", {}, "Drop files or folders here"),
    h(
      "span",
      { class: "soft" },
      "or choose files. They stay on this device and go straight to whoever has the link.",
    ),
    this.#input,
  );
  readonly #folderInput = h("input", { type: "file", webkitdirectory: true, hidden: true });
  readonly #error = h("p", { class: "error", role: "alert" });
  readonly #list = h("ul", { "aria-label": "Shared files" });
  readonly #state = h("p", { class: "soft", role: "status" });
  readonly #files = new Set<SharedFile>();

  constructor() {
    super(STYLE);
    const folder = button("Choose a folder", () => this.#folderInput.click());
    // Browsers of phones that have no folders.
    folder.hidden = !("webkitdirectory" in this.#folderInput);
    const row = h("div", { class: "row" }, folder, this.#folderInput);
    this.root.append(this.#drop, row, this.#error, this.#state, this.#list);
    const whenChosen = (input: HTMLInputElement, read: (files: readonly File[]) => readonly Chosen[]): void =>
      input.addEventListener("change", () => {
        this.share(read([...(input.files ?? [])]));
        input.value = "";
      });
    whenChosen(this.#input, (files) => files);
    whenChosen(this.#folderInput, pickedFolder);
    for (const name of ["dragover", "dragleave", "drop"] as const) {
      this.#drop.addEventListener(name, (event) => {
        event.preventDefault();
        this.#drop.classList.toggle("over", name === "dragover");
      });
    }
    this.#drop.addEventListener("drop", ({ dataTransfer }) => {
      if (dataTransfer === null) return;
      say(this.#error, "");
      for (const each of dropped(dataTransfer))
        each.then(
          (chosen) => this.share([chosen]),
          (cause: unknown) => say(this.#error, messageOf(cause)),
        );
    });
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

  /** Shares files and folders as if they had been dropped. */
  share(chosen: readonly Chosen[]): void {
    for (const each of chosen) this.#add(each);
  }

  #add(chosen: Chosen): void {
    // They stay where they were shared.
    const { network } = this;
    const shared = new SharedFile({
      chosen,
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
    const shares = count === 1 ? "1 share is" : `${count} shares are`;
    say(this.#state, count === 0 ? "" : `${shares} served while this page is open.`);
  }
}
