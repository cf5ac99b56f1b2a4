/** `<peerloom-status>`: who this page is linked to, over which path and why, as a picture and as a table. */
import type { EdgeState, Peer, PathInfo, Session } from "../../browser.ts";
import { isIncurable } from "../../overlay/rendezvous-state.ts";
import { counted, formatBytes } from "../../api/quantities.ts";
import { h, say } from "./dom.ts";
import { NetworkPicture } from "./network-picture.ts";
import { followPeer } from "./page-peers.ts";
import { messageOf } from "./message-of.ts";
import { PeerElement } from "./peer-element.ts";

const STYLE = `
canvas { display: block; width: 100%; height: clamp(15rem, 42vw, 24rem); background: var(--well); border-radius: 0.75rem; touch-action: pan-y; }
.probes { display: none; }
.direct { --kind: var(--accent); }
.relay { --kind: var(--relay); }
.overlay { --kind: var(--overlay); }
.none { --kind: var(--bad); }
.probes .direct, .probes .relay, .probes .overlay, .probes .none { color: var(--kind); }
.probes .ink { color: var(--ink); }
.probes .soft { color: var(--soft); }
.probes .line { color: var(--line); }
.probes .card { color: var(--well); }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0.6rem 0; padding: 0; list-style: none; font-size: 0.85rem; color: var(--soft); }
.legend li::before { content: ""; display: inline-block; width: 1.3rem; margin-right: 0.4rem; vertical-align: middle; border-top: 3px var(--dash, solid) var(--kind); }
.legend .relay, .legend .overlay { --dash: dashed; }
.legend .none { --dash: dotted; }
.scroll { overflow: auto; max-height: 17rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
thead th { position: sticky; top: 0; background: var(--card); }
th, td { text-align: left; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tbody td:first-child { font-family: ui-monospace, Menlo, monospace; font-size: 0.85em; }
tbody tr.marked { background: color-mix(in srgb, var(--accent) 12%, transparent); }
tbody:empty + tfoot td { color: var(--soft); border: none; padding: 0.8rem 0; white-space: normal; }
tbody:not(:empty) + tfoot { display: none; }
.kind { color: var(--kind); font-weight: 600; }
`;
const LOOK_EVERY_MS = 1_000;
const KINDS: readonly { readonly kind: PathInfo["kind"]; readonly says: string }[] = [
  { kind: "direct", says: "direct" },
  { kind: "relay", says: "relayed by the edge" },
  { kind: "overlay", says: "forwarded by peers" },
  { kind: "none", says: "lost, being found again" },
];
const COLUMNS = 6;

interface Shown {
  readonly row: HTMLTableRowElement;
  readonly cells: readonly HTMLTableCellElement[];
}

/** Attributes: `network`, `edge`. It opens the page's peer in that network. Event: `edge` (CustomEvent<EdgeState>), bubbling, as of that peer. */
export class PeerloomStatus extends PeerElement {
  static readonly observedAttributes: readonly string[] = ["network", "edge"];
  readonly #state = h("p", { class: "soft", role: "status" }, "Joining …");
  readonly #canvas = h("canvas", { role: "img", part: "picture", "aria-label": "Nobody is linked yet" });
  readonly #picture: NetworkPicture;
  readonly #body = h("tbody");
  readonly #shown = new Map<string, Shown>();
  #edgeLost = "";
  #unfollow: () => void = () => {};

  constructor() {
    super(STYLE);
    const probe = (name: string): HTMLElement => h("span", { class: name });
    const probes = {
      direct: probe("direct"),
      relay: probe("relay"),
      overlay: probe("overlay"),
      none: probe("none"),
      ink: probe("ink"),
      soft: probe("soft"),
      line: probe("line"),
      card: probe("card"),
    };
    const heads = ["Peer", "Path", "By", "Why"].map((name) => h("th", { scope: "col" }, name));
    const numbers = ["Round trip", "Received"].map((name) =>
      h("th", { scope: "col", class: "number" }, name),
    );
    const nobody = h(
      "tfoot",
      {},
      h("tr", {}, h("td", { colspan: COLUMNS }, "Nobody yet. Open this page elsewhere.")),
    );
    this.root.append(
      this.#state,
      this.#canvas,
      h("ul", { class: "legend" }, ...KINDS.map(({ kind, says }) => h("li", { class: kind }, says))),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Peers" },
        h("table", {}, h("thead", {}, h("tr", {}, ...heads, ...numbers)), this.#body, nobody),
      ),
      h("div", { class: "probes", "aria-hidden": "true" }, ...Object.values(probes)),
    );
    this.#picture = new NetworkPicture(this.#canvas, probes);
    this.#canvas.addEventListener("pointermove", ({ offsetX, offsetY }) =>
      this.#mark(this.#picture.at(offsetX, offsetY)),
    );
    this.#canvas.addEventListener("pointerleave", () => this.#mark(undefined));
  }

  connectedCallback(): void {
    this.disconnectedCallback();
    this.#picture.start();
    this.#unfollow = followPeer(() => this.peer(), {
      onPeer: (peer, signal) => this.#watch(peer, signal),
      onTrouble: (says) => say(this.#state, says),
    });
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.connectedCallback();
  }

  disconnectedCallback(): void {
    this.#unfollow();
    this.#picture.stop();
  }

  #watch(peer: Peer, signal: AbortSignal): void {
    this.#edgeLost = "";
    const onEdge = (event: Event): void => {
      const { detail } = event as CustomEvent<EdgeState>;
      this.#edgeLost = lossOf(detail);
      this.dispatchEvent(new CustomEvent("edge", { detail, bubbles: true, composed: true }));
    };
    peer.addEventListener("edge", onEdge, { signal });
    const look = (): void => {
      if (document.visibilityState === "visible") this.#look(peer);
    };
    const timer = setInterval(look, LOOK_EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    look();
  }

  #look(peer: Peer): void {
    const sessions = peer.sessions();
    this.show(sessions);
    const links = peer.status().overlay?.links ?? 0;
    const others = counted(sessions.length, "peer");
    say(
      this.#state,
      sessions.length === 0
        ? `You are ${short(peer.id)}, in network "${peer.network}". Nobody else is here yet.${this.#edgeLost}`
        : `You are ${short(peer.id)}, in network "${peer.network}", with ${others}, ${counted(links, "neighbour")} in the overlay.${this.#edgeLost}`,
    );
  }

  /** Draws and lists these sessions. */
  show(sessions: readonly Pick<Session, "peerId" | "path" | "bytesReceived">[]): void {
    const ids = new Set<string>(sessions.map(({ peerId }) => peerId));
    for (const [id, { row }] of this.#shown) {
      if (ids.has(id)) continue;
      row.remove();
      this.#shown.delete(id);
    }
    const nodes = sessions.map(({ peerId, path, bytesReceived }) => ({
      id: peerId,
      kind: path.kind,
      rttMs: path.rttMs,
      bytes: bytesReceived.direct + bytesReceived.relay + bytesReceived.overlay,
    }));
    this.#picture.update(nodes);
    sessions.forEach((session, index) => this.#list(session, nodes[index]?.bytes ?? 0));
    const counts = KINDS.map(
      ({ kind, says }) => [nodes.filter((node) => node.kind === kind).length, says] as const,
    );
    const told = counts.filter(([count]) => count > 0).map(([count, says]) => `${count} ${says}`);
    const label =
      told.length === 0
        ? "Nobody is linked yet"
        : `This page in the middle of ${told.join(", ")}; the table says the same`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
  }

  #list({ path, peerId }: Pick<Session, "peerId" | "path">, received: number): void {
    const { cells } = this.#shown.get(peerId) ?? this.#make(peerId);
    const rtt = path.rttMs === undefined ? "" : `${path.rttMs.toFixed(path.rttMs < 10 ? 1 : 0)} ms`;
    const why = path.kind === "direct" ? "" : path.why;
    const texts = [short(peerId), path.kind, path.transport, why, rtt, formatBytes(received)];
    for (const [index, text] of texts.entries()) say(cells[index] as Element, text);
    const kind = cells[1] as Element;
    if (kind.className !== `kind ${path.kind}`) kind.className = `kind ${path.kind}`;
  }

  #make(peerId: string): Shown {
    const cells = Array.from({ length: COLUMNS }, (_, index) => h("td", { class: index > 3 && "number" }));
    const row = h("tr", { title: peerId }, ...cells);
    row.addEventListener("pointerenter", () => this.#mark(peerId));
    row.addEventListener("pointerleave", () => this.#mark(undefined));
    this.#body.append(row);
    const made = { row, cells };
    this.#shown.set(peerId, made);
    return made;
  }

  #mark(id: string | undefined): void {
    this.#picture.mark(id);
    for (const [each, { row }] of this.#shown) row.classList.toggle("marked", each === id);
  }
}

/** What an edge that is lost means, for people. */
function lossOf({ error }: EdgeState): string {
  if (error === undefined) return "";
  if (error.code === "edge/unreachable") return " The edge does not answer now; it is tried again.";
  return ` Without the edge: ${messageOf(error)}${isIncurable(error.code) ? "" : " It is tried again."}`;
}

function short(peerId: string): string {
  return `${peerId.slice(0, 8)}…`;
}
