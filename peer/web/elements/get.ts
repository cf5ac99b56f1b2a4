/** `<peerloom-get>`: a link or ticket becomes a file or folder, with progress and by which path it came. */
import { toHex } from "../../../shared/bytes.ts";
import { parseTicket, type Ticket } from "../../services/files/ticket.ts";
import { h, say } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { OfferedFile } from "./offered-file.ts";
import { PeerElement } from "./peer-element.ts";

const STYLE = `
form { display: flex; flex-wrap: wrap; gap: 0.5rem; }
input.ticket { flex: 1 1 16rem; min-width: 0; background: var(--well); }
.offer { padding: 0.9rem 1rem; margin-top: 0.75rem; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
.name { font-weight: 600; overflow-wrap: anywhere; }
.row { margin-top: 0.6rem; }
progress { margin-top: 0.6rem; }
.offer p { margin: 0.5rem 0 0; }
.offer p:empty { margin: 0; }
a.save { display: inline-block; padding: 0.4rem 0.8rem; border-radius: 0.5rem; font-weight: 600; text-decoration: none; background: var(--accent); color: var(--on-accent); }
.saving { display: contents; }
.files { margin-top: 0.6rem; }
.files summary { cursor: pointer; }
.files ul { list-style: none; margin: 0.4rem 0 0; padding: 0; max-height: 16rem; overflow: auto; }
.files li { display: flex; align-items: baseline; gap: 0.6rem; padding: 0.25rem 0; border-top: 1px solid var(--line); }
.files .path { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.files .soft { white-space: nowrap; }
.files button { padding: 0.1rem 0.6rem; }
`;

/**
 * Attributes: `ticket` (a link or a ticket; then it waits for a click), `edge`. Events: `done` (CustomEvent<Ticket>) when it is there,
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
  /** By hash; the latest is shown first. */
  readonly #files = new Map<string, OfferedFile>();

  constructor() {
    super(STYLE);
    this.root.append(this.#form, this.#error, this.#offers);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open(this.#field.value);
    });
  }

  attributeChangedCallback(_: string, __: string | null, value: string | null): void {
    // Nobody has asked for it yet, so the focus stays where it is.
    if (value !== null && value !== "") this.#show(value);
  }

  disconnectedCallback(): void {
    // One that is only moved is there again by then, and goes on.
    queueMicrotask(() => {
      if (!this.isConnected) for (const file of this.#files.values()) file.stop();
    });
  }

  /** Shows what a link or ticket names; its bytes are fetched when that is asked for. */
  open(text: string): void {
    this.#show(text)?.focus();
  }

  #show(text: string): OfferedFile | undefined {
    say(this.#error, "");
    let ticket: Ticket;
    try {
      ticket = parseTicket(text);
    } catch (error) {
      say(this.#error, messageOf(error));
      return undefined;
    }
    this.#field.value = "";
    const hash = toHex(ticket.hash);
    const before = this.#files.get(hash);
    if (before?.isTaken) return before;
    // A later link may know better who has it.
    before?.element.remove();
    const file = new OfferedFile({
      ticket,
      text,
      open: () => this.peer(ticket.network, ticket.edge),
      onDone: () =>
        this.dispatchEvent(new CustomEvent("done", { detail: ticket, bubbles: true, composed: true })),
      onForget: () => {
        file.element.remove();
        this.#files.delete(hash);
        this.#field.focus();
      },
    });
    this.#files.set(hash, file);
    this.#offers.prepend(file.element);
    return file;
  }
}
