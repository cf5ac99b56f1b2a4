/** What came, for people to save: a file, or a folder as an archive and file by file. */
import type { DownloadResult, SavedEntry } from "../../browser.ts";
import { counted, formatBytes } from "../../api/quantities.ts";
import { button, h, say, swap } from "./dom.ts";
import { messageOf } from "./message-of.ts";

/** The rest is in the archive. */
const LISTED_MAX = 500;

export class SavedShare {
  /** What to do with it, for a row of buttons. */
  readonly actions: HTMLElement = h("span", { class: "saving" });
  /** Of a folder what is in it; else empty. */
  readonly list: HTMLElement = h("div");
  readonly #error = h("p", { class: "error", role: "alert" });
  readonly #result: DownloadResult;
  readonly #urls = new Set<string>();

  constructor(result: DownloadResult) {
    this.#result = result;
    const { file, files } = result;
    if (file !== undefined) this.#offer(file);
    if (files === undefined) return;
    const pack = button("Save as ZIP", () => void this.#pack());
    pack.classList.add("main");
    this.actions.append(pack);
    this.list.append(this.#error, this.#contents(files));
  }

  /** It cannot be saved any more. */
  async forget(): Promise<void> {
    for (const url of this.#urls) URL.revokeObjectURL(url);
    await this.#result.forget?.();
  }

  /** A click that saves it, made at once for people and there for a second time. */
  #offer(file: File): void {
    const link = h("a", { class: "save", href: this.#urlOf(file), download: file.name }, "Save");
    swap(this.actions, link);
    link.click();
  }

  async #pack(): Promise<void> {
    const { archive } = this.#result;
    const packing = h("button", { type: "button", "aria-disabled": "true" }, "Packing it …");
    const before = [...this.actions.children] as HTMLElement[];
    swap(this.actions, packing);
    say(this.#error, "");
    try {
      this.#offer((await archive?.()) as File);
    } catch (cause) {
      say(this.#error, messageOf(cause));
      swap(this.actions, ...before);
    }
  }

  #contents(files: readonly SavedEntry[]): HTMLElement {
    const items = files.slice(0, LISTED_MAX).map((entry) => {
      const save = button("Save", () => this.#saveOne(entry), { "aria-label": `Save ${entry.path}` });
      const size = h("span", { class: "soft" }, formatBytes(entry.bytes));
      return h("li", {}, h("span", { class: "path" }, entry.path), size, save);
    });
    const rest = files.length - items.length;
    const more = rest > 0 ? [h("p", { class: "soft" }, `And ${rest} more, in the archive.`)] : [];
    return h(
      "details",
      { class: "files" },
      h("summary", {}, counted(files.length, "file")),
      h("ul", {}, ...items),
      ...more,
    );
  }

  #saveOne({ file }: SavedEntry): void {
    h("a", { href: this.#urlOf(file), download: file.name }).click();
  }

  #urlOf(file: File): string {
    const url = URL.createObjectURL(file);
    this.#urls.add(url);
    return url;
  }
}
