/**
 * The edge's own page: the elements, put together, in the network and room that its address names (`?network=…&room=…`), and how the edge is. A link with
 * a ticket in its fragment opens the file it names, one with an invite or a secret a private network (private-link.ts). A file rather than a script in the page, because the page's policy runs
 * nothing else.
 */
import { DEFAULT_NETWORK, parseNetworkName } from "../../shared/ids.ts";
import { enterByLink, networkInAddress, privateLinkIn, takePrivateLink } from "./private-link.ts";

/** The figures change slowly, and each look is a request to the edge. */
const LOOK_EVERY_MS = 15_000;

const DEFAULT_ROOM = "lounge";
const ROOM_CHARACTERS_MAX = 40;

interface Health {
  readonly ok: boolean;
  readonly wireVersion: number;
}

const asked = new URLSearchParams(location.search);
const link = takePrivateLink();
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
void look();
setInterval(() => {
  if (document.visibilityState === "visible") void look();
}, LOOK_EVERY_MS);
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
  try {
    const health = (await (await ask("/health")).json()) as Health;
    const metrics = await (await ask("/metrics")).text();
    show(
      "figures",
      `${sum(metrics, "peerloom_open_sockets")} sockets open, wire version ${health.wireVersion}`,
    );
    showState(health.ok ? "well" : "ill", health.ok ? "this edge is well" : "this edge is not well");
  } catch {
    showState("ill", "this edge does not answer; what stands between peers goes on");
  }
}

async function ask(path: string): Promise<Response> {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response;
}

/** Adds up all samples of one metric in Prometheus text. */
function sum(text: string, metric: string): number {
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`));
  return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);
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
