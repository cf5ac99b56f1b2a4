/**
 * The page of who runs this edge (`/admin#token=…`) and of who owns a private network on it (`#owner=…`). Both secrets leave the address bar as soon as
 * they are read, stay in the memory of this page, and go to this edge alone, the owner's key to nobody; a reload asks again.
 */
import { PeerloomError } from "../../shared/errors.ts";
import { readEdgeCost } from "../api/read-edge-cost.ts";
import { formatSeconds } from "../api/quantities.ts";
import { showAccount, stageText } from "./admin/account.ts";
import { Looks } from "./admin/looks.ts";
import { readHealth } from "./admin/read-health.ts";
import { say } from "./elements/dom.ts";
import { messageOf } from "./elements/message-of.ts";

/** Each look wakes an object of every kind. */
const HEALTH_EVERY_MS = 60_000;

const accounts = document.querySelectorAll<HTMLElement>(".account");
let looks: Looks | undefined;

onField("#token-form", enter);
onField("#owner-form", (key) => void openOwned(key));
addEventListener("hashchange", takeSecrets);
takeSecrets();
if (looks === undefined) lock("give its token to see how it is");

/** What is copied, bookmarked or seen from now on opens nothing. */
function takeSecrets(): void {
  const given = new URLSearchParams(location.hash.slice(1));
  const [token, owner] = [given.get("token"), given.get("owner")];
  if (token === null && owner === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (token !== null) enter(token);
  if (owner !== null) void openOwned(owner);
}

function enter(token: string): void {
  looks?.stop();
  place("#locked").hidden = true;
  let healthMs = Number.NEGATIVE_INFINITY;
  looks = new Looks({
    look: async (signal) => {
      const cost = await readEdgeCost(location.origin, token, signal);
      showAccount(cost, place("#today"), place("#networks"));
      const nowMs = performance.now();
      if (nowMs - healthMs >= HEALTH_EVERY_MS) {
        say(place("#parts"), await readHealth(signal));
        healthMs = nowMs;
      }
      say(
        place("#as-of"),
        `As of ${new Date().toLocaleTimeString()}, and again while this page is in sight.`,
      );
      for (const each of accounts) each.hidden = false;
      isStale(false);
      trouble("");
      state(cost.stage === "closed" ? "ill" : "well", stageText(cost));
    },
    onFailure: (error, againMs) => {
      if (error instanceof PeerloomError && error.code === "edge/not-admin") return refused(error);
      isStale(true);
      state("ill", "not up to date");
      trouble(`${messageOf(error)} It is asked again in ${formatSeconds(againMs / 1_000)}.`);
    },
  });
}

function refused(error: PeerloomError): void {
  looks?.stop();
  looks = undefined;
  for (const each of accounts) each.hidden = true;
  trouble(
    `This is not the token of this edge, or it has none. The next "peerloom edge deploy" sets one and prints its link. (${error.code})`,
  );
  lock("locked");
}

function lock(text: string): void {
  place("#locked").hidden = false;
  state("asking", text);
  place("#token").focus();
}

async function openOwned(key: string): Promise<void> {
  const [asked, owned, error] = [place("#owner"), place("#owned"), place("#owner-error")];
  const show = (isOpen: boolean): void => {
    [asked.hidden, owned.hidden] = [isOpen, !isOpen];
  };
  say(error, "");
  try {
    const { showOwned } = await import("./admin/owner.ts");
    const why = await showOwned(key, owned, () => {
      owned.replaceChildren();
      show(false);
      place("#owner-key").focus();
    });
    say(error, why);
    show(why === "");
  } catch {
    say(error, "The edge did not hand out this part of its page. Paste the key again in a while.");
  }
}

/** A form of one secret, which is nowhere on the page once it was taken. */
function onField(selector: string, take: (text: string) => void): void {
  const form = place(selector);
  const field = form.querySelector("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field?.value.trim() ?? "";
    if (field !== null) field.value = "";
    if (text !== "") take(text);
  });
}

function trouble(text: string): void {
  const box = place("#trouble");
  box.hidden = text === "";
  say(box.firstElementChild ?? box, text);
}

function isStale(stale: boolean): void {
  for (const each of accounts) each.classList.toggle("stale", stale);
}

function state(name: "asking" | "well" | "ill", text: string): void {
  place("#state").dataset["state"] = name;
  say(place("#state"), text);
}

function place(selector: string): HTMLElement {
  return document.querySelector<HTMLElement>(selector) ?? document.body;
}
