/** `<peerloom-chat>`: a room that is a topic of the network. Nobody is in the middle: what one says goes from peer to peer, signed. */
import type { Topic, TopicMessage } from "../../browser.ts";
import type { Peer } from "../../api/peer.ts";
import { button, h, say } from "./dom.ts";
import { followPeer } from "./page-peers.ts";
import { messageOf } from "./message-of.ts";
import { PeerElement } from "./peer-element.ts";

const STYLE = `
:host { display: flex; flex-direction: column; }
.log { flex: 1 1 auto; height: 19rem; overflow-y: auto; margin: 0.5rem 0; padding: 0.6rem 0.8rem; background: var(--well); border-radius: 0.75rem; overscroll-behavior: contain; }
.log ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.45rem; }
.log ol:empty::after { content: attr(data-empty); color: var(--soft); font-size: 0.9rem; }
.said { max-width: 85%; padding: 0.35rem 0.75rem; border-radius: 0.9rem 0.9rem 0.9rem 0.25rem; background: var(--card); border: 1px solid var(--line); justify-self: start; overflow-wrap: anywhere; }
.said.own { justify-self: end; border-radius: 0.9rem 0.9rem 0.25rem 0.9rem; background: color-mix(in srgb, var(--accent) 16%, var(--card)); }
.said.old { opacity: 0.75; }
.who { font-size: 0.8rem; font-weight: 600; color: hsl(var(--hue) 55% 36%); color: light-dark(hsl(var(--hue) 55% 34%), hsl(var(--hue) 60% 72%)); }
.who time { font-weight: 400; color: var(--soft); margin-left: 0.4rem; }
.text { white-space: pre-wrap; }
.failed { color: var(--bad); font-size: 0.85rem; }
.unheard { color: var(--soft); font-size: 0.8rem; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; }
input.text { flex: 1 1 9rem; min-width: 0; background: var(--well); }
input.name { flex: 0 1 7rem; min-width: 6rem; background: var(--well); }
`;
const TEXT_CHARACTERS_MAX = 2_000;
const NAME_CHARACTERS_MAX = 24;
/** Said before one came. */
const HISTORY = 50;
/** Shown; past that the oldest go. */
const SHOWN_MAX = 300;
/** Between what is said here and what others are told of it: the page may still load what publishes. */
const SAID_WITHIN_MS = 10_000;
/** Near enough to the end to follow it. */
const FOLLOW_PIXELS = 40;

/** What somebody says: text alone, or with the name that he goes by. */
interface Saying {
  readonly text: string;
  readonly name: string | undefined;
}

interface Shown {
  readonly item: HTMLLIElement;
  readonly id: string | undefined;
  readonly from: string;
  readonly text: string;
  readonly timeMs: number;
}

/** Attributes: `topic` (default "lounge"), `network`, `edge`. Whoever publishes text on that topic is heard, the command line too. */
export class PeerloomChat extends PeerElement {
  static readonly observedAttributes: readonly string[] = ["topic", "network", "edge"];
  readonly #state = h("p", { class: "soft", role: "status" }, "Joining …");
  readonly #list = h("ol", { "data-empty": "Nothing was said yet." });
  readonly #log = h(
    "div",
    { class: "log", part: "log", role: "log", tabindex: 0, "aria-label": "What was said" },
    this.#list,
  );
  readonly #name = h("input", {
    class: "name",
    "aria-label": "Your name",
    placeholder: "Your name",
    maxlength: NAME_CHARACTERS_MAX,
    autocomplete: "nickname",
  });
  readonly #text = h("input", {
    class: "text",
    "aria-label": "Message",
    placeholder: "Say something",
    maxlength: TEXT_CHARACTERS_MAX,
    autocomplete: "off",
  });
  #unfollow: () => void = () => {};
  #topic: Topic | undefined;
  readonly #shown: Shown[] = [];
  /** The room before has let go of its name. */
  #left: Promise<void> = Promise.resolve();
  #peer: Peer | undefined;

  constructor() {
    super(STYLE);
    const form = h(
      "form",
      {},
      this.#name,
      this.#text,
      h("button", { type: "submit", class: "main", part: "button" }, "Send"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (text === "") return;
      this.#text.value = "";
      this.#say(text);
    });
    this.root.append(this.#state, this.#log, form);
  }

  /** The room. */
  get topic(): string {
    return this.getAttribute("topic") ?? "lounge";
  }

  connectedCallback(): void {
    this.disconnectedCallback();
    for (const { item } of this.#shown.splice(0)) item.remove();
    this.#unfollow = followPeer(() => this.peer(), {
      onPeer: (peer, signal) => {
        signal.addEventListener("abort", () => this.#leave(), { once: true });
        void this.#left.then(() => this.#join(peer, signal));
      },
      onTrouble: (says) => say(this.#state, says),
    });
  }

  attributeChangedCallback(): void {
    if (this.isConnected) this.connectedCallback();
  }

  disconnectedCallback(): void {
    this.#unfollow();
  }

  /** It is followed no longer, or its peer has ended. */
  #leave(): void {
    const left = this.#topic;
    if (left === undefined) return;
    this.#topic = undefined;
    this.#left = this.#left.then(() => left.close()).catch(() => {});
    say(this.#state, "Joining …");
  }

  #join(peer: Peer, signal: AbortSignal): void {
    if (signal.aborted) return;
    const topic = peer.topic(this.topic, { history: HISTORY });
    this.#peer = peer;
    this.#topic = topic;
    const count = (): void => {
      const others = topic.peers.length;
      const near = others === 1 ? "1 neighbour is" : `${others} neighbours are`;
      say(
        this.#state,
        `Room "${topic.name}": ${others === 0 ? "nobody else is here yet." : `${near} here, and whoever they pass it on to.`}`,
      );
    };
    topic.addEventListener("peers", count);
    count();
    this.#listen(topic).catch((error: unknown) => {
      if (this.#topic === topic) say(this.#state, messageOf(error));
    });
  }

  async #listen(topic: Topic): Promise<void> {
    for await (const message of topic) {
      if (this.#topic !== topic) return;
      const saying = sayingOf(message.value);
      // Somebody else's application uses the topic for something else.
      if (saying !== undefined && !this.#isShown(message, saying)) this.#show(message, saying);
    }
  }

  #say(text: string): void {
    const [topic, peer] = [this.#topic, this.#peer];
    const name = this.#name.value.trim();
    const item = this.#show(
      { id: undefined, from: peer?.id ?? "", timeMs: Date.now(), isPast: false },
      { text, name: name === "" ? undefined : name },
    );
    const publishing =
      topic === undefined
        ? Promise.reject(new Error("This page has not joined yet."))
        : topic.publish(name === "" ? text : { name, text });
    const sent = publishing.then((neighbours) => {
      if (neighbours > 0) return;
      item.append(h("div", { class: "unheard" }, "Nobody was here; who comes within seconds hears it."));
    });
    sent.catch((error: unknown) => {
      const again = button("Say it again", () => {
        item.remove();
        this.#say(text);
      });
      item.append(h("div", { class: "failed", role: "alert" }, `Not said: ${messageOf(error)} `, again));
    });
  }

  /** Who joins again is told the past again, what it said itself too. */
  #isShown({ id, from, timeMs }: TopicMessage, { text }: Saying): boolean {
    return this.#shown.some(
      (shown) =>
        shown.id === id ||
        (shown.id === undefined &&
          shown.from === from &&
          shown.text === text &&
          Math.abs(shown.timeMs - timeMs) < SAID_WITHIN_MS),
    );
  }

  /** @param message without an id it is this page's own, which is not told its id */
  #show(
    { id, from, timeMs, isPast }: Pick<Shown, "id" | "from" | "timeMs"> & Pick<TopicMessage, "isPast">,
    { text, name }: Saying,
  ): HTMLLIElement {
    const isOwn = id === undefined;
    const follows = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < FOLLOW_PIXELS;
    const at = new Date(timeMs);
    const short = from.slice(0, 6);
    const who = isOwn ? "you" : name === undefined ? short : `${name} · ${short}`;
    const head = h(
      "div",
      { class: "who", title: from },
      who,
      h(
        "time",
        { datetime: at.toISOString() },
        at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
      ),
    );
    head.style.setProperty("--hue", String(hueOf(from)));
    const kind = ["said", isOwn && "own", isPast && "old"].filter(Boolean).join(" ");
    const item = h("li", { class: kind, part: "item" }, head, h("div", { class: "text" }, text));
    this.#list.append(item);
    this.#shown.push({ item, id, from, text, timeMs });
    if (this.#shown.length > SHOWN_MAX) this.#shown.shift()?.item.remove();
    if (follows || isOwn) this.#log.scrollTop = this.#log.scrollHeight;
    return item;
  }
}

/** A stranger's value. */
function sayingOf(value: unknown): Saying | undefined {
  const { text, name } = typeof value === "string" ? { text: value, name: undefined } : fieldsOf(value);
  if (typeof text !== "string" || text.trim() === "") return undefined;
  const isNamed = typeof name === "string" && name.trim() !== "";
  return {
    text: text.slice(0, TEXT_CHARACTERS_MAX),
    name: isNamed ? name.slice(0, NAME_CHARACTERS_MAX) : undefined,
  };
}

function fieldsOf(value: unknown): { readonly text?: unknown; readonly name?: unknown } {
  return typeof value === "object" && value !== null ? value : {};
}

/** Of an id, so that everybody has a colour of his own. */
function hueOf(id: string): number {
  let hue = 0;
  for (const letter of id.slice(0, 8)) hue = (hue * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  return hue;
}
