/**
 * What an owner sees of a private network at this edge, and does there. Loaded with the first key, and a bundle apart from the page's own script: errors
 * cross between the two as text.
 */
import type { ListedInvite, NetworkRoster } from "../../browser.ts";
import { privateNetworks } from "../../api/parts-on-demand.ts";
import { button, copyButton, h, say } from "../elements/dom.ts";
import { messageOf } from "../elements/message-of.ts";
import { confirmed } from "./confirmed.ts";
import { Looks } from "./looks.ts";
import { OwnedNetwork } from "./owned-network.ts";
import { table } from "./table.ts";

const LASTS: readonly (readonly [string, number | undefined])[] = [
  ["an hour", 3_600_000],
  ["a day", 86_400_000],
  ["a week", 604_800_000],
  ["for good", undefined],
];

/** Of the part that is loaded with private networks. */
type DateOf = (expiresMs: number) => number | undefined;

let shown: OwnedView | undefined;

/** Shows the network of this key, until it is put away or another is shown. @returns why it cannot; empty: it does */
export async function showOwned(key: string, place: HTMLElement, onLeave: () => void): Promise<string> {
  shown?.stop();
  place.replaceChildren();
  try {
    const { dateOf } = await privateNetworks();
    shown = new OwnedView(await OwnedNetwork.open(key, location.origin), dateOf, onLeave);
    place.replaceChildren(...shown.parts);
    return "";
  } catch (error) {
    return messageOf(error);
  }
}

class OwnedView {
  readonly parts: readonly HTMLElement[];
  readonly #network: OwnedNetwork;
  readonly #dateOf: DateOf;
  readonly #said = h("p", { class: "said", role: "status" });
  readonly #error = h("p", { class: "error", role: "alert" });
  /** Of looks, so that the next that succeeds takes back no word on what was done. */
  readonly #lost = h("p", { class: "error", role: "alert" });
  readonly #lists = h("div", { tabindex: -1 });
  readonly #made = h("div");
  readonly #looks: Looks;
  /** What the lists show; they are left alone while it is the same. */
  #told = "";

  constructor(network: OwnedNetwork, dateOf: DateOf, onLeave: () => void) {
    this.#network = network;
    this.#dateOf = dateOf;
    const leave = button("Put the key away", () => {
      this.stop();
      onLeave();
    });
    const head = h(
      "div",
      { class: "title" },
      h("p", {}, "You own ", h("code", { class: "name" }, network.name)),
      leave,
    );
    say(this.#lists, "Asking who is there …");
    this.parts = [
      head,
      this.#said,
      this.#error,
      this.#lost,
      this.#lists,
      this.#inviteForm(),
      this.#made,
      this.#banForm(),
    ];
    this.#looks = new Looks({
      look: (signal) => this.#look(signal),
      onFailure: (error) => say(this.#lost, `${messageOf(error)} It is tried again.`),
    });
  }

  stop(): void {
    this.#looks.stop();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const roster = await this.#network.roster(signal);
    const made = await this.#network.invites();
    say(this.#lost, "");
    const told = JSON.stringify([roster, made]);
    if (told === this.#told) return;
    this.#told = told;
    // Whoever was on a row's button stays on it, or near where it was.
    const focused =
      document.activeElement instanceof HTMLElement ? document.activeElement.dataset["for"] : undefined;
    this.#lists.replaceChildren(...this.#tables(roster, made));
    if (focused === undefined) return;
    const again = [...this.#lists.querySelectorAll("button")].find((each) => each.dataset["for"] === focused);
    (again ?? this.#lists).focus();
  }

  #tables(roster: NetworkRoster, made: readonly ListedInvite[]): HTMLElement[] {
    const { members, more, banned } = roster;
    const met = new Map<string, number>();
    for (const { invites } of members) for (const id of invites) met.set(id, (met.get(id) ?? 0) + 1);
    const known = new Set([...made.map(({ id }) => id), ...met.keys()]);
    const standing = [...known].filter((id) => !banned.includes(id));
    const told = members.length + more;
    return [
      h("h3", {}, `At this edge now: ${told}`),
      table({
        label: "Members at this edge",
        heads: ["Peer", "Came by", "Until", ""],
        rows: members.map(({ id, beacon, expiresMs, invites }) => [
          idOf(id, beacon ? "a beacon: introduces newcomers" : ""),
          invites.length === 0 ? "its owner" : idOf(invites.at(-1) ?? ""),
          dateText(this.#dateOf(expiresMs)),
          this.#act("ban", "Ban", id, "Its sessions end, and it is let in nowhere in this network any more."),
        ]),
        empty: "Nobody holds a socket here now. Members whom others carry do without one.",
      }),
      ...(more > 0 ? [h("p", { class: "soft" }, `And ${more} more.`)] : []),
      h("h3", {}, "Invites"),
      table({
        label: "Invites",
        heads: ["Invite", "Ends", "#Here now", ""],
        rows: standing.map((id) => {
          const mine = made.find((one) => one.id === id);
          const note = mine === undefined ? "" : `made here, for ${mine.uses ?? "any number"}`;
          return [
            idOf(id, note),
            mine === undefined ? "" : mine.state === "expired" ? "ended" : dateText(mine.expiresAtMs),
            String(met.get(id) ?? 0),
            this.#act(
              "ban",
              "Revoke",
              id,
              "Everybody who came by this invite is put out, and nobody comes by it any more.",
            ),
          ];
        }),
        empty:
          "None were made here, and nobody here came by one. Those made elsewhere are listed by: peerloom invite list",
      }),
      h("h3", {}, "Banned and revoked"),
      table({
        label: "Banned and revoked",
        heads: ["Peer or invite", ""],
        rows: banned.map((id) => [
          idOf(id, known.has(id) ? "an invite" : ""),
          this.#act("unban", "Take back", id),
        ]),
        empty: "Nobody.",
      }),
    ];
  }

  /** @param means is asked about first */
  #act(act: "ban" | "unban", label: string, id: string, means?: string): HTMLButtonElement {
    return button(label, () => void this.#change(act, label, id, means), {
      "data-for": `${act} ${id}`,
      "aria-label": `${label} ${id.slice(0, 8)}`,
    });
  }

  async #change(act: "ban" | "unban", label: string, id: string, means?: string): Promise<boolean> {
    if (means !== undefined && !(await confirmed({ asks: `${label} it?`, id, means, action: label })))
      return false;
    say(this.#error, "");
    say(this.#said, "Telling the edge …");
    try {
      const { edge } = await this.#network.change(act, id);
      // Nothing is kept here, so a list that nobody has is lost.
      if (!edge)
        throw new Error(
          "The edge did not take it: is its budget of today spent? Nothing of it is kept here, so do it again later.",
        );
      const done =
        act === "ban"
          ? "Done: the edge refuses it, and tells all members"
          : "Taken back: the edge tells all members";
      say(this.#said, `${done}. (${id.slice(0, 8)}…)`);
      await this.#looks.now();
      return true;
    } catch (error) {
      say(this.#said, "");
      say(this.#error, `Not done. ${messageOf(error)}`);
      return false;
    }
  }

  #inviteForm(): HTMLElement {
    const uses = h("input", { type: "number", min: 1, max: 1_000, placeholder: "any", id: "invite-uses" });
    const lasts = h(
      "select",
      { id: "invite-lasts" },
      ...LASTS.map(([name], at) => h("option", { value: at, selected: at === 2 }, name)),
    );
    const form = h(
      "form",
      {},
      h("label", { for: "invite-uses" }, "For so many peers"),
      uses,
      h("label", { for: "invite-lasts" }, "lasting"),
      lasts,
      h("button", { type: "submit" }, "Make an invite"),
    );
    onSubmit(form, async () => {
      const ttlMs = LASTS[Number(lasts.value)]?.[1];
      try {
        const { url } = await this.#network.invite({
          ...(uses.value !== "" && { uses: Number(uses.value) }),
          ...(ttlMs !== undefined && { ttlMs }),
        });
        this.#showInvite(url);
        await this.#looks.now();
      } catch (error) {
        say(this.#error, messageOf(error));
      }
    });
    return h("div", {}, h("h3", {}, "Let somebody in"), form);
  }

  #showInvite(url: string): void {
    const field = h("input", { readonly: true, value: url, "aria-label": "The invite's link" });
    field.addEventListener("focus", () => field.select());
    this.#made.className = "made";
    this.#made.replaceChildren(
      h("div", { class: "row" }, field, copyButton("Copy", url)),
      h(
        "p",
        { class: "soft" },
        "Whoever has it may join. It is shown this once: hand it over by a way you trust.",
      ),
    );
    field.focus();
  }

  #banForm(): HTMLElement {
    const field = h("input", {
      class: "id",
      id: "ban-id",
      required: true,
      maxlength: 60,
      autocomplete: "off",
      spellcheck: "false",
    });
    const form = h(
      "form",
      {},
      h("label", { for: "ban-id" }, "Id"),
      field,
      h("button", { type: "submit" }, "Ban"),
    );
    onSubmit(form, async () => {
      const means =
        "A peer is let in nowhere in this network any more; of an invite, nobody who came by it is.";
      if (await this.#change("ban", "Ban", field.value.trim(), means)) field.value = "";
    });
    return h("div", {}, h("h3", {}, "Ban a peer or an invite by its id"), form);
  }
}

/** One at a time. */
function onSubmit(form: HTMLFormElement, act: () => Promise<void>): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const submit = form.querySelector("button");
    if (submit === null || submit.disabled) return;
    submit.disabled = true;
    void act().finally(() => (submit.disabled = false));
  });
}

function idOf(id: string, note = ""): HTMLElement {
  const code = h("code", { title: id }, `${id.slice(0, 12)}…`);
  return h("div", {}, code, ...(note === "" ? [] : [h("small", {}, note)]));
}

function dateText(ms: number | undefined): string {
  return ms === undefined ? "for good" : new Date(ms).toLocaleString();
}
