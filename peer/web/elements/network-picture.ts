/**
 * The network as one peer sees it, drawn on a canvas: itself in the middle, others around it, the nearer the quicker they answer; lines by the
 * kind of path, beads on them for bytes that come. It moves only while something changes, and not at all for people who ask for calm.
 */
import type { PathInfo } from "../../browser.ts";

export interface PictureNode {
  readonly id: string;
  readonly kind: PathInfo["kind"];
  /** Undefined: not measured yet. */
  readonly rttMs: number | undefined;
  /** Received in all. */
  readonly bytes: number;
}

/** Round trips of the rings, ms. */
const RINGS: readonly number[] = [1, 10, 100];
const RTT_MS_MAX = 600;
/** Names are drawn while they do not cover each other. */
const NAMED_MAX = 24;
/** A dot gets half way to where it belongs in this time. */
const HALF_WAY_MS = 120;
/** Beads on a line at most; each stands for more bytes as traffic grows. */
const BEADS_MAX = 7;
const BEAD_MS = 1_400;
/** Traffic is shown this long after it came. */
const FADE_MS = 1_800;
const STILL = 0.3;
/** Pages are wide. */
const STRETCH_MAX = 2.5;

interface Drawn {
  node: PictureNode;
  x: number;
  y: number;
  toX: number;
  toY: number;
  /** 0 to 1, as it comes and goes. */
  shown: number;
  /** Bytes a second, smoothed. */
  rate: number;
  trafficAtMs: number;
}

type Colours<T> = Readonly<Record<PathInfo["kind"] | "ink" | "soft" | "line" | "card", T>>;

export class NetworkPicture {
  readonly canvas: HTMLCanvasElement;
  readonly #drawn = new Map<string, Drawn>();
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)");
  readonly #probes: Colours<HTMLElement>;
  #colours: Colours<string>;
  /** On their way out. */
  #gone: ReadonlySet<string> = new Set();
  #marked: string | undefined;
  #running: AbortController | undefined;
  #frame: number | undefined;
  #drawnAtMs = 0;
  #updatedAtMs = 0;

  /** @param probes elements whose text has the colours of the style sheet, which a canvas knows nothing of */
  constructor(canvas: HTMLCanvasElement, probes: Colours<HTMLElement>) {
    this.canvas = canvas;
    this.#probes = probes;
    this.#colours = this.#probe();
  }

  /** Until `stop`: it looks as the page does. */
  start(): void {
    this.stop();
    const { signal } = (this.#running = new AbortController());
    const sizes = new ResizeObserver(() => this.#resized());
    // It is told the size at once.
    sizes.observe(this.canvas);
    signal.addEventListener("abort", () => sizes.disconnect(), { once: true });
    const recolour = (): void => {
      this.#colours = this.#probe();
      this.#wake();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour, { signal });
  }

  /** What is so now. */
  update(nodes: readonly PictureNode[]): void {
    const nowMs = performance.now();
    const seconds = Math.max((nowMs - this.#updatedAtMs) / 1_000, 0.001);
    this.#updatedAtMs = nowMs;
    const ids = new Set(nodes.map(({ id }) => id));
    for (const node of nodes) {
      const known = this.#drawn.get(node.id);
      if (known === undefined) {
        // It grows out of the middle.
        this.#drawn.set(node.id, {
          node,
          x: 0,
          y: 0,
          toX: 0,
          toY: 0,
          shown: 0,
          rate: 0,
          trafficAtMs: Number.NEGATIVE_INFINITY,
        });
        continue;
      }
      const grown = Math.max(0, node.bytes - known.node.bytes);
      known.rate = grown / seconds;
      // Keep-alives and gossip are a few hundred bytes: a line is busy with more.
      if (grown > 2_048) known.trafficAtMs = nowMs;
      known.node = node;
    }
    for (const [id, drawn] of this.#drawn)
      if (!ids.has(id)) drawn.node = { ...drawn.node, kind: "none", rttMs: RTT_MS_MAX };
    this.#gone = new Set([...this.#drawn.keys()].filter((id) => !ids.has(id)));
    this.#place();
    this.#wake();
  }

  /** Draws one of them so that it is seen, or none. */
  mark(id: string | undefined): void {
    this.#marked = id;
    this.#wake();
  }

  /** Whose dot is under a point of the canvas, in CSS pixels. */
  at(x: number, y: number): string | undefined {
    let found: string | undefined;
    let nearest = 18;
    for (const [id, drawn] of this.#drawn) {
      const away = Math.hypot(drawn.x - (x - this.#width / 2), drawn.y - (y - this.#height / 2));
      if (away < nearest) [found, nearest] = [id, away];
    }
    return found;
  }

  stop(): void {
    this.#running?.abort();
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
  }

  get #width(): number {
    return this.canvas.clientWidth;
  }

  get #height(): number {
    return this.canvas.clientHeight;
  }

  #resized(): void {
    const { canvas } = this;
    const scale = devicePixelRatio;
    this.#colours = this.#probe();
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    this.#place();
    for (const drawn of this.#drawn.values()) [drawn.x, drawn.y] = [drawn.toX, drawn.toY];
    this.#draw(performance.now());
  }

  /** Around the middle in an order of their own, so that who stays stays where he is as far as possible. */
  #place(): void {
    const present = [...this.#drawn.values()].filter(({ node }) => !this.#gone.has(node.id));
    present.sort((a, b) => (a.node.id < b.node.id ? -1 : 1));
    const count = present.length;
    present.forEach((drawn, index) => {
      const angle = ((index + 0.5) / Math.max(count, 1)) * 2 * Math.PI - Math.PI / 2;
      // With many, every second one stands a little further out, so that dots and names have room.
      const stagger = count > 12 && index % 2 === 1 ? 0.9 : 1;
      const away = this.#radius(drawn.node.rttMs ?? RTT_MS_MAX) * stagger;
      const stretch = Math.max(this.#width, 1) / Math.max(this.#height, 1);
      drawn.toX = away * Math.min(stretch, STRETCH_MAX) * Math.cos(angle);
      drawn.toY = away * Math.sin(angle);
    });
  }

  /** Logarithmic: 0.2 ms and 600 ms are both to be seen. */
  #radius(rttMs: number): number {
    const outer = Math.min(this.#height, this.#width) / 2 - 26;
    const share = Math.log10(1 + 5 * Math.min(rttMs, RTT_MS_MAX)) / Math.log10(1 + 5 * RTT_MS_MAX);
    return 30 + Math.max(outer - 30, 10) * share;
  }

  #wake(): void {
    this.#frame ??= requestAnimationFrame((nowMs) => this.#step(nowMs));
  }

  #step(nowMs: number): void {
    this.#frame = undefined;
    const passedMs = Math.min(nowMs - this.#drawnAtMs, 100);
    const part = this.#calm.matches ? 1 : 1 - 0.5 ** (passedMs / HALF_WAY_MS);
    let isMoving = false;
    for (const [id, drawn] of this.#drawn) {
      const isGone = this.#gone.has(id);
      drawn.x += (drawn.toX - drawn.x) * part;
      drawn.y += (drawn.toY - drawn.y) * part;
      drawn.shown += ((isGone ? 0 : 1) - drawn.shown) * part;
      if (isGone && drawn.shown < 0.05) this.#drawn.delete(id);
      const isPlaced =
        Math.hypot(drawn.toX - drawn.x, drawn.toY - drawn.y) < STILL && drawn.shown > 0.98 && !isGone;
      if (!isPlaced || this.#isBusy(drawn, nowMs)) isMoving = true;
    }
    this.#draw(nowMs);
    if (isMoving && this.canvas.isConnected) this.#wake();
  }

  #isBusy({ trafficAtMs }: Drawn, nowMs: number): boolean {
    return !this.#calm.matches && nowMs - trafficAtMs < FADE_MS;
  }

  #draw(nowMs: number): void {
    this.#drawnAtMs = nowMs;
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    const scale = devicePixelRatio;
    const colours = this.#colours;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    context.translate(this.#width / 2, this.#height / 2);
    this.#drawRings(context, colours);
    for (const drawn of this.#drawn.values()) this.#drawLine(context, drawn, colours, nowMs);
    for (const drawn of this.#drawn.values()) this.#drawDot(context, drawn, colours);
    this.#nameRings(context, colours);
    circle(context, 0, 0, 9, colours.ink);
    circle(context, 0, 0, 3.5, colours.card);
    context.fillStyle = colours.ink;
    context.font = "600 11px ui-sans-serif, system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("you", 0, 24);
  }

  #drawRings(context: CanvasRenderingContext2D, colours: Colours<string>): void {
    const stretch = Math.min(Math.max(this.#width, 1) / Math.max(this.#height, 1), STRETCH_MAX);
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.setLineDash([2, 5]);
    for (const ms of RINGS) {
      const away = this.#radius(ms);
      context.beginPath();
      context.ellipse(0, 0, away * stretch, away, 0, 0, 2 * Math.PI);
      context.stroke();
    }
    context.setLineDash([]);
  }

  /** Over lines and dots, which would make them unreadable where there are many. */
  #nameRings(context: CanvasRenderingContext2D, colours: Colours<string>): void {
    context.fillStyle = colours.soft;
    context.strokeStyle = colours.card;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.font = "10px ui-sans-serif, system-ui, sans-serif";
    context.textAlign = "center";
    for (const ms of RINGS) {
      const y = -this.#radius(ms) - 4;
      context.strokeText(`${ms} ms`, 0, y);
      context.fillText(`${ms} ms`, 0, y);
    }
  }

  #drawLine(context: CanvasRenderingContext2D, drawn: Drawn, colours: Colours<string>, nowMs: number): void {
    const { x, y, node, shown, rate } = drawn;
    const colour = colours[node.kind];
    const fresh = Math.max(0, 1 - (nowMs - drawn.trafficAtMs) / FADE_MS);
    const weight = fresh * Math.min(Math.log2(1 + rate / 8_192), 8);
    context.strokeStyle = colour;
    context.globalAlpha = (node.id === this.#marked ? 1 : 0.35 + 0.3 * fresh) * shown;
    context.lineWidth = (node.id === this.#marked ? 2.5 : 1.2) + 0.5 * weight;
    context.lineCap = "round";
    context.setLineDash(node.kind === "direct" ? [] : node.kind === "none" ? [2, 6] : [7, 6]);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(0, 0);
    context.stroke();
    context.setLineDash([]);
    if (fresh > 0 && !this.#calm.matches) {
      const beads = Math.max(1, Math.min(Math.round(weight), BEADS_MAX));
      for (let index = 0; index < beads; index++) {
        const along = (nowMs / BEAD_MS + index / beads) % 1;
        context.globalAlpha = fresh * shown * Math.sin(Math.PI * along);
        circle(context, x * (1 - along), y * (1 - along), 2 + weight / 4, colour);
      }
    }
    context.globalAlpha = 1;
  }

  #drawDot(context: CanvasRenderingContext2D, { x, y, node, shown }: Drawn, colours: Colours<string>): void {
    const isMarked = node.id === this.#marked;
    const size = (this.#drawn.size > NAMED_MAX ? 5 : 7) + (isMarked ? 3 : 0);
    context.globalAlpha = shown;
    circle(context, x, y, size + 2.5, colours.card);
    circle(context, x, y, size, colours[node.kind]);
    if (isMarked || this.#drawn.size <= NAMED_MAX) {
      context.fillStyle = isMarked ? colours.ink : colours.soft;
      context.font = `${isMarked ? "600 " : ""}11px ui-sans-serif, system-ui, sans-serif`;
      context.textAlign = "center";
      context.fillText(node.id.slice(0, 6), x, y + (y >= 0 ? size + 14 : -size - 7));
    }
    context.globalAlpha = 1;
  }

  #probe(): Colours<string> {
    const colours = Object.entries(this.#probes).map(([name, probe]) => [
      name,
      getComputedStyle(probe).color,
    ]);
    return Object.fromEntries(colours) as Colours<string>;
  }
}

function circle(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  colour: string,
): void {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
