/**
 * One file or folder that a page shares: its link while a peer serves it, and what is wrong while none does. A peer that ends takes its shares with it, so the
 * page's next one is given the file again, and the link says that one's name.
 */
import type { Peer, Share } from "../../browser.ts";
import { counted, formatBytes } from "../../api/quantities.ts";
import type { Chosen } from "./chosen.ts";
import { button, copyButton, h, say, swap } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { followPeer } from "./page-peers.ts";
import { qrCode } from "./qr.ts";

const FILE_LOOK_EVERY_MS = 5_000;

export interface SharedFileOptions {
  readonly chosen: Chosen;
  /** Others of the network find it by searching. */
  readonly isListed: boolean;
  open(): Promise<Peer>;
  onShare(share: Share): void;
  /** `isServed` is another. */
  onChange(): void;
  /** Somebody wants it no more. */
  onForget(): void;
}

export class SharedFile {
  readonly element: HTMLLIElement;
  readonly #options: SharedFileOptions;
  /** What becomes of it: the way there, the link, or what can be done. */
  readonly #body = h("div", { tabindex: -1 });
  readonly #error = h("p", { class: "error", role: "alert" });
  #unfollow: (() => void) | undefined;
  #isServed = false;

  constructor(options: SharedFileOptions) {
    this.#options = options;
    const { chosen } = options;
    const files = filesOf(chosen);
    const count = chosen instanceof File ? "" : `, ${counted(files.length, "file")}`;
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    this.element = h(
      "li",
      { part: "item" },
      h("div", { class: "name" }, chosen.name),
      h("div", { class: "soft" }, `${formatBytes(bytes)}${count}`),
      this.#body,
      this.#error,
    );
  }

  /** Its link works now. */
  get isServed(): boolean {
    return this.#isServed;
  }

  /** Until `end`; twice is harmless. */
  begin(): void {
    this.#unfollow ??= followPeer(() => this.#options.open(), {
      onPeer: (peer, signal) => void this.#serve(peer, signal),
      onTrouble: (says) => say(this.#error, says),
    });
  }

  end(): void {
    this.#unfollow?.();
    this.#unfollow = undefined;
  }

  async #serve(peer: Peer, signal: AbortSignal): Promise<void> {
    const { chosen, isListed, onShare } = this.#options;
    const { name } = chosen;
    const meter = h("progress", { max: 1, value: 0, "aria-label": `Preparing ${name}` });
    swap(this.#body, meter);
    say(this.#error, "");
    try {
      const share = await peer.files.share(chosen instanceof File ? chosen : chosen.files, {
        name,
        listed: isListed,
        signal,
        onProgress: ({ bytes, total }) => {
          meter.value = total === 0 ? 1 : bytes / total;
        },
      });
      if (signal.aborted) return await share.close();
      signal.addEventListener("abort", () => this.#ended(share), { once: true });
      this.#watchFile(signal);
      swap(this.#body, ...this.#link(share, peer.edge));
      this.#served(true);
      onShare(share);
    } catch (cause) {
      if (signal.aborted) return;
      this.end();
      say(this.#error, messageOf(cause));
      const again = button("Try again", () => this.begin());
      const forget = button("Forget it", () => this.#options.onForget());
      swap(this.#body, h("div", { class: "row" }, again, forget));
    }
  }

  /** With its peer, or because it shall. */
  #ended(share: Share): void {
    share.close().catch(() => {});
    swap(
      this.#body,
      h("div", { class: "soft" }, "Not shared now: it is again as soon as this page has a peer."),
    );
    this.#served(false);
  }

  #served(is: boolean): void {
    this.#isServed = is;
    this.#options.onChange();
  }

  #link(share: Share, edge: string | undefined): HTMLElement[] {
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
    const stop = button("Stop sharing", () => this.#options.onForget());
    return [
      h("div", { class: "row" }, field, copyButton("Copy link", link)),
      h("div", { class: "row" }, show, copyButton("Copy command", `npx peerloom get ${share.ticket}`), stop),
      code,
    ];
  }

  /** Others would be told that the file is no longer what it was; whoever shares it is told here. */
  #watchFile(signal: AbortSignal): void {
    const files = filesOf(this.#options.chosen);
    let looked = 0;
    const timer = setInterval(() => {
      files[looked++ % files.length]
        ?.slice(0, 1)
        .arrayBuffer()
        .catch(() => {
          clearInterval(timer);
          say(
            this.#error,
            "This cannot be read any more: it was moved, changed, or leave to read it was taken back. Stop sharing it, and drop it here again.",
          );
        });
    }, FILE_LOOK_EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  }
}

function filesOf(chosen: Chosen): readonly Blob[] {
  return chosen instanceof File ? [chosen] : chosen.files.map(({ file }) => file);
}

/** The link keeps the ticket in its fragment, which no server is told. */
function linkOf(ticket: string, edge: string | undefined): string {
  return `${edge ?? location.origin}/#get=${ticket.slice(ticket.indexOf("/") + 1)}`;
}
