/** `<peerloom-status>`: who this page is linked to, over which path and why, as a picture and as a table. */
import type { Peer, PathInfo, Session } from "../../browser.ts";
import { formatBytes } from "../../api/quantities.ts";
import { h, s, say } from "./dom.ts";
import { messageOf, PeerElement } from "./peer-element.ts";

const STYLE = `
svg { display: block; width: 100%; max-height: 24rem; background: var(--well); border-radius: 0.75rem; }
.ring { fill: none; stroke: var(--line); stroke-dasharray: 2 4; }
.scale { fill: var(--soft); font: 9px ui-sans-serif, system-ui, sans-serif; }
.link { stroke: var(--kind); stroke-opacity: 0.55; stroke-linecap: round; transition: stroke-width 400ms; }
.dot { fill: var(--kind); stroke: var(--card); stroke-width: 2; }
.direct { --kind: var(--accent); }
.relay { --kind: var(--relay); }
.overlay { --kind: var(--overlay); }
.none { --kind: var(--bad); }
.own { fill: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; margin: 0.6rem 0; padding: 0; list-style: none; font-size: 0.9rem; }
.legend li::before { content: ""; display: inline-block; width: 0.7rem; height: 0.7rem; margin-right: 0.4rem; border-radius: 50%; background: var(--kind); }
.scroll { overflow-x: auto; max-height: 20rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
caption { text-align: left; color: var(--soft); padding: 0.3rem 0; }
th, td { text-align: left; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.kind { color: var(--kind); font-weight: 600; }
@media (prefers-reduced-motion: reduce) { .link { transition: none; } }
`;
const LOOK_EVERY_MS = 1_000;
const WIDTH = 480;
const HEIGHT = 300;
const RADIUS = 135;
/** Pages are wide. */
const STRETCH = 1.55;
/** Round trips of the rings, ms. */
const RINGS: readonly number[] = [1, 10, 100];
const RTT_MS_MAX = 600;
const KINDS: readonly { readonly kind: PathInfo["kind"]; readonly says: string }[] = [
  { kind: "direct", says: "direct" },
  { kind: "relay", says: "relayed by the edge" },
  { kind: "overlay", says: "forwarded by peers" },
  { kind: "none", says: "lost, being found again" },
];

interface Shown {
  readonly dot: SVGCircleElement;
  readonly title: SVGTitleElement;
  readonly link: SVGLineElement;
  readonly row: HTMLTableRowElement;
  readonly cells: readonly HTMLTableCellElement[];
  bytes: number;
}

/** Attributes: `network`, `edge`. It opens the page's peer in that network. */
export class PeerloomStatus extends PeerElement {
  static readonly observedAttributes: readonly string[] = ["network", "edge"];
  readonly #state = h("p", { class: "soft", role: "status" }, "Joining …");
  readonly #links = s("g");
  readonly #dots = s("g");
  readonly #body = h("tbody");
  readonly #shown = new Map<string, Shown>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super(STYLE);
    const picture = s(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": "This peer and those it is linked to; the table says the same",
        part: "picture",
      },
      ...RINGS.flatMap((ms) => [
        s("ellipse", {
          class: "ring",
          cx: WIDTH / 2,
          cy: HEIGHT / 2,
          rx: STRETCH * radius(ms),
          ry: radius(ms),
        }),
        s("text", { class: "scale", x: WIDTH / 2 + 4, y: HEIGHT / 2 - radius(ms) - 3 }, `${ms} ms`),
      ]),
      this.#links,
      this.#dots,
      s("circle", { class: "own", cx: WIDTH / 2, cy: HEIGHT / 2, r: 7 }, s("title", {}, "this page")),
    );
    const heads = ["Peer", "Path", "By", "Why"].map((name) => h("th", { scope: "col" }, name));
    const numbers = ["Round trip", "Received"].map((name) =>
      h("th", { scope: "col", class: "number" }, name),
    );
    this.root.append(
      this.#state,
      picture,
      h("ul", { class: "legend" }, ...KINDS.map(({ kind, says }) => h("li", { class: kind }, says))),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Peers" },
        h("table", {}, h("thead", {}, h("tr", {}, ...heads, ...numbers)), this.#body),
      ),
    );
  }

  connectedCallback(): void {
    const network = this.network;
    this.peer().then(
      (peer) => {
        if (this.network === network) this.#watch(peer);
      },
      (error: unknown) => say(this.#state, messageOf(error)),
    );
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.connectedCallback();
  }

  disconnectedCallback(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #watch(peer: Peer): void {
    if (!this.isConnected) return;
    const look = (): void => {
      if (document.visibilityState === "visible") this.#look(peer);
    };
    clearInterval(this.#timer);
    this.#timer = setInterval(look, LOOK_EVERY_MS);
    look();
  }

  #look(peer: Peer): void {
    const sessions = peer.sessions();
    const ids = new Set<string>(sessions.map(({ peerId }) => peerId));
    for (const [id, { dot, link, row }] of this.#shown) {
      if (ids.has(id)) continue;
      for (const element of [dot, link, row]) element.remove();
      this.#shown.delete(id);
    }
    for (const session of sessions) this.#show(session);
    const links = peer.status().overlay?.links ?? 0;
    const others = sessions.length === 1 ? "1 peer" : `${sessions.length} peers`;
    say(
      this.#state,
      sessions.length === 0
        ? `You are ${short(peer.id)}, in network "${peer.network}". Nobody else is here yet.`
        : `You are ${short(peer.id)}, in network "${peer.network}", with ${others}, ${links} of them neighbours in the overlay.`,
    );
  }

  #show(session: Session): void {
    const { path, peerId } = session;
    const known = this.#shown.get(peerId) ?? this.#make(peerId);
    const received =
      session.bytesReceived.direct + session.bytesReceived.relay + session.bytesReceived.overlay;
    const grown = received - known.bytes;
    known.bytes = received;
    const { x, y } = place(peerId, path.rttMs);
    setAll(known.dot, { class: `dot ${path.kind}`, cx: x, cy: y });
    setAll(known.link, {
      class: `link ${path.kind}`,
      x2: x,
      y2: y,
      "stroke-width": 1 + Math.min(Math.log2(1 + grown / 4_096), 9),
    });
    const rtt = path.rttMs === undefined ? "" : `${path.rttMs.toFixed(path.rttMs < 10 ? 1 : 0)} ms`;
    say(known.title, `${peerId}\n${path.kind}, ${path.transport}, ${rtt}`);
    const texts = [
      short(peerId),
      path.kind,
      path.transport,
      path.kind === "direct" ? "" : path.why,
      rtt,
      formatBytes(received),
    ];
    for (const [index, text] of texts.entries()) say(known.cells[index] as Element, text);
    (known.cells[1] as Element).className = `kind ${path.kind}`;
  }

  #make(peerId: string): Shown {
    const title = s("title");
    const dot = s("circle", { r: 6 }, title);
    const link = s("line", { x1: WIDTH / 2, y1: HEIGHT / 2 });
    const cells = Array.from({ length: 6 }, (_, index) =>
      h("td", { class: index > 3 ? "number" : undefined }),
    );
    const row = h("tr", { title: peerId }, ...cells);
    this.#dots.append(dot);
    this.#links.append(link);
    this.#body.append(row);
    const made = { dot, title, link, row, cells, bytes: 0 };
    this.#shown.set(peerId, made);
    return made;
  }
}

function short(peerId: string): string {
  return `${peerId.slice(0, 8)}…`;
}

/** Where a peer stands never changes but with its round trip, so that a picture of fifty is calm. */
function place(peerId: string, rttMs: number | undefined): { readonly x: number; readonly y: number } {
  let turn = 0;
  for (const letter of peerId.slice(0, 6)) turn = (turn * 32 + Number.parseInt(letter, 36)) % 4_096;
  const angle = (turn / 4_096) * 2 * Math.PI;
  const away = radius(rttMs ?? RTT_MS_MAX);
  return {
    x: Math.round(WIDTH / 2 + STRETCH * away * Math.cos(angle)),
    y: Math.round(HEIGHT / 2 + away * Math.sin(angle)),
  };
}

/** Logarithmic: 0.2 ms and 600 ms are both to be seen. */
function radius(rttMs: number): number {
  const share = Math.log10(1 + 5 * Math.min(rttMs, RTT_MS_MAX)) / Math.log10(1 + 5 * RTT_MS_MAX);
  return 20 + (RADIUS - 20) * share;
}

function setAll(element: Element, attributes: Readonly<Record<string, string | number>>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}
