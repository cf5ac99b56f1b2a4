/** `<peerloom-doctor>`: what keeps this page from others, looked at when that is asked for, and what to do about it. */
import type { Check, Finding, Verdict } from "../../browser.ts";
import { button, h, say } from "./dom.ts";
import { messageOf } from "./message-of.ts";
import { diagnosePage } from "./page-peers.ts";
import { PeerElement } from "./peer-element.ts";

const STYLE = `
:host { container-type: inline-size; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; }
input.to { flex: 1 1 12rem; min-width: 0; max-width: 36rem; background: var(--well); }
.state { margin: 0.5rem 0; }
.state:empty { display: none; }
.checks { list-style: none; margin: 0.5rem 0; padding: 0; font-size: 0.9rem; }
.checks li { display: grid; grid-template-columns: 1.3rem 13.5rem 1fr; gap: 0 0.6rem; align-items: baseline; padding: 0.3rem 0; border-bottom: 1px solid var(--line); }
.checks .name { font-weight: 600; }
.checks .detail { overflow-wrap: anywhere; color: var(--soft); }
.mark { color: var(--tone); font-weight: 700; text-align: center; }
.ok { --tone: var(--accent); }
.no { --tone: var(--bad); }
.unknown { --tone: var(--soft); }
.verdict { display: flex; flex-wrap: wrap; gap: 0.2rem 0.6rem; align-items: baseline; margin-top: 0.75rem; padding: 0.75rem 1rem; border: 1px solid color-mix(in srgb, var(--tone) 45%, var(--line)); border-radius: 0.75rem; background: color-mix(in srgb, var(--tone) 9%, var(--card)); }
.verdict:empty { display: none; }
.verdict p { flex: 1 1 100%; margin: 0; overflow-wrap: anywhere; }
@container (max-width: 34rem) {
  .checks li { grid-template-columns: 1.3rem 1fr; }
  .checks .detail { grid-column: 2; }
}
`;

const IDLE = "Finds out what keeps this page from others, and what to do about it.";
const LOOKING = "Looking … It takes seconds, and a minute at most.";
/** By what it says, not by its colour alone. */
const MARKS = {
  ok: { sign: "✓", says: "well: " },
  no: { sign: "✕", says: "not well: " },
  unknown: { sign: "?", says: "unknown: " },
} as const;
/** What is no word in small letters. */
const NAMES: Readonly<Record<string, string>> = {
  ipv6: "IPv6",
  nat: "NAT",
  udp: "UDP",
  webrtc: "WebRTC",
  websocket: "WebSocket",
};

/**
 * Attributes: `network`, `edge`, `to` (a peer to look at the way to; a person may enter another). In a network by invite the page's own peer goes
 * there, since an invite counts each identity; elsewhere passing ones do.
 */
export class PeerloomDoctor extends PeerElement {
  static readonly observedAttributes: readonly string[] = ["network", "edge", "to"];
  readonly #to = h("input", {
    class: "to",
    "aria-label": "Peer to look at the way to, if any",
    placeholder: "Peer id (optional)",
    list: "peers",
    autocomplete: "off",
    spellcheck: "false",
  });
  /** Who is linked: nobody types an id. */
  readonly #peers = h("datalist", { id: "peers" });
  readonly #begin = h("button", { type: "submit", part: "button" }, "Check connection");
  readonly #end = button("Stop", () => {
    this.stop();
    this.#begin.focus();
  });
  readonly #state = h("p", { class: "soft state", role: "status" }, IDLE);
  readonly #error = h("p", { class: "error", role: "alert" });
  readonly #checks = h("ul", {
    class: "checks",
    role: "list",
    "aria-label": "Checks",
    "aria-live": "polite",
  });
  readonly #verdict = h("div", { class: "verdict", part: "item", role: "status" });
  #running: AbortController | undefined;

  constructor() {
    super(STYLE);
    const form = h("form", {}, this.#to, this.#begin, this.#end, this.#peers);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    this.#to.addEventListener("focus", () => this.#listPeers());
    this.#end.hidden = true;
    this.root.append(form, this.#state, this.#error, this.#checks, this.#verdict);
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (name === "to") this.#to.value = value ?? "";
    else if (before !== value) this.#clear();
  }

  disconnectedCallback(): void {
    this.stop();
  }

  /** Looks, from the beginning if it was looking already. */
  check(): void {
    this.#clear();
    const run = new AbortController();
    this.#running = run;
    this.#end.hidden = false;
    say(this.#state, LOOKING);
    void this.#run(run);
  }

  /** What was found stays. */
  stop(): void {
    if (this.#running === undefined) return;
    this.#over("Stopped.");
  }

  async #run(run: AbortController): Promise<void> {
    const to = this.#to.value.trim();
    const { signal } = run;
    const options = { signal, ...(to !== "" && { to }) };
    try {
      for await (const finding of diagnosePage(
        this.network,
        this.getAttribute("edge") ?? undefined,
        options,
      )) {
        if (signal.aborted) return;
        this.#show(finding);
      }
      this.#over("");
    } catch (error) {
      if (signal.aborted) return;
      this.#over("");
      say(this.#error, messageOf(error));
    }
  }

  #over(says: string): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#end.hidden = true;
    say(this.#state, says);
  }

  #clear(): void {
    this.#over(IDLE);
    say(this.#error, "");
    this.#checks.replaceChildren();
    this.#verdict.replaceChildren();
  }

  #show(finding: Finding): void {
    if (finding.kind === "check") this.#checks.append(item(finding));
    else this.#tell(finding);
  }

  #tell({ code, advice }: Verdict): void {
    const kind = code === "ok" ? "ok" : "no";
    this.#verdict.className = `verdict ${kind}`;
    this.#verdict.replaceChildren(
      ...mark(kind),
      h("strong", {}, kind === "ok" ? "All is well" : "What to do"),
      h("code", { class: "soft" }, code),
      ...(kind === "ok" ? [] : [h("p", {}, advice)]),
    );
  }

  #listPeers(): void {
    const list = (options: readonly HTMLOptionElement[]): void => this.#peers.replaceChildren(...options);
    this.peer().then(
      (peer) =>
        list(peer.sessions().map(({ peerId, path }) => h("option", { value: peerId }, `now ${path.kind}`))),
      () => list([]),
    );
  }
}

function item({ name, ok, detail }: Check): HTMLLIElement {
  const kind = ok === null ? "unknown" : ok ? "ok" : "no";
  return h(
    "li",
    { class: kind },
    ...mark(kind),
    h("span", { class: "name" }, NAMES[name] ?? name),
    h("span", { class: "detail" }, detail),
  );
}

/** For the eye, and for the ear. */
function mark(kind: keyof typeof MARKS): HTMLElement[] {
  const { sign, says } = MARKS[kind];
  return [h("span", { class: "mark", "aria-hidden": "true" }, sign), h("span", { class: "hidden" }, says)];
}
