/**
 * The edge's own page: the elements, put together, in the network and room that its address names (`?network=…&room=…`), and how the edge is. A link with
 * a ticket in its fragment opens the file it names, one with an invite or a secret a private network (private-link.ts). A file rather than a script in the page, because the page's policy runs
 * nothing else.
 */
import type { EdgeState } from "../browser.ts";
import { DEFAULT_NETWORK, parseNetworkName } from "../../shared/ids.ts";
import { jittered } from "./elements/jittered.ts";
import { enterByLink, networkInAddress, privateLinkIn, takePrivateLink } from "./private-link.ts";

const GONE_AGAIN_MS = 30_000;
const DEFAULT_ROOM = "lounge";
const ROOM_CHARACTERS_MAX = 40;

/** What the edge says of itself, with 200 when it is well and 503 when it is not. */
interface Health {
  readonly ok: boolean;
  readonly wireVersion: number;
  readonly parts: Readonly<Record<string, string>>;
}

const asked = new URLSearchParams(location.search);
const link = takePrivateLink();
let again: ReturnType<typeof setTimeout> | undefined;
let network: string = networkInAddress();

fill("[data-origin]", location.origin);
enter(asked.get("room") ?? DEFAULT_ROOM);
const showNetwork = onForm("#network-form", network, (text) => {
  const chosen = parseNetworkName(text);
  if (chosen !== undefined) location.search = chosen === DEFAULT_NETWORK ? "" : `?network=${chosen}`;
});
onForm("#room-form", asked.get("room") ?? DEFAULT_ROOM, (text) => {
  const room = text.trim().slice(0, ROOM_CHARACTERS_MAX);
  if (room !== "") enter(room);
});
// An edge is left alone while nothing happens.
void look();
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") void look();
});
addEventListener("edge", (event) => {
  const { connected, error } = (event as CustomEvent<EdgeState>).detail;
  if (connected) void look();
  // It has just been tried.
  else if (error?.code === "edge/unreachable") showGone();
});
// The elements open the peer of the network that they name, so it is named before, and nothing is shared in another meanwhile.
if (link !== undefined) network = await enterByLink(link);
for (const element of document.querySelectorAll(
  "peerloom-share, peerloom-chat, peerloom-status, peerloom-doctor",
))
  element.setAttribute("network", network);
fill("[data-network]", network);
showNetwork(network);
const { PeerloomGet } = await import("./elements.ts");
addEventListener("hashchange", openLink);
openLink();

function enter(room: string): void {
  document.querySelector("peerloom-chat")?.setAttribute("topic", room);
  fill("[data-room]", room);
}

/** A form of one field. @returns shows another value */
function onForm(selector: string, value: string, submit: (text: string) => void): (text: string) => void {
  const form = document.querySelector<HTMLFormElement>(selector);
  const field = form?.querySelector("input");
  if (form === null || field === null || field === undefined) return () => {};
  field.value = value;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(field.value);
  });
  return (text) => {
    field.value = text;
  };
}

/** The ticket leaves the address bar: it is a secret, and a reload must not ask for the file again. */
function openLink(): void {
  // It is another network's page from then on.
  if (privateLinkIn(location.hash) !== undefined) location.reload();
  if (!location.hash.startsWith("#get=")) return;
  const link = location.href;
  history.replaceState(null, "", location.pathname + location.search);
  const get = document.querySelector("peerloom-get");
  if (get instanceof PeerloomGet) get.open(link);
}

async function look(): Promise<void> {
  clearTimeout(again);
  let response: Response;
  try {
    response = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  } catch {
    return showGone();
  }
  if (response.status === 429) return showState("ill", "this edge is asked too often from your address");
  const health = (await response.json().catch(() => undefined)) as Health | undefined;
  if (health?.parts === undefined) return showState("ill", `this edge answers with ${response.status}`);
  show("figures", `wire version ${health.wireVersion}`);
  const failing = Object.entries(health.parts).filter(([, how]) => how !== "ok");
  const told = failing.map(([part, how]) => `${part} ${how}`).join(", ");
  showState(health.ok ? "well" : "ill", health.ok ? "this edge is well" : `this edge is not well: ${told}`);
}

/** Until it answers it is asked now and then, by who looks at the page. */
function showGone(): void {
  showState("ill", "this edge does not answer; what stands between peers goes on");
  clearTimeout(again);
  if (document.visibilityState === "visible") again = setTimeout(() => void look(), jittered(GONE_AGAIN_MS));
}

function fill(selector: string, text: string): void {
  for (const element of document.querySelectorAll(selector)) element.textContent = text;
}

function show(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element !== null) element.textContent = text;
}

function showState(state: "well" | "ill", text: string): void {
  document.getElementById("state")?.setAttribute("data-state", state);
  show("state", text);
}
