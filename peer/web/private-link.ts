/**
 * How one comes into a private network by a link of the page: `#invite=…`, which `peerloom invite` prints, or `#network=NAME&secret=…`. What is
 * secret is taken out of the address bar at once. This browser keeps an invite that let it in; a secret is kept by this tab, for a reload.
 */
import { toPeerloomError } from "../../shared/errors.ts";
import { DEFAULT_NETWORK, networkKindOf, type NetworkName, parseNetworkName } from "../../shared/ids.ts";
import type { NetworkOptions, Peer } from "../browser.ts";
import { button, copyButton, say } from "./elements/dom.ts";

const KEPT = "peerloom-secret ";

/** What the link in the address bar brings, or what this tab was brought before; undefined in an open network. */
export function takePrivateLink(): NetworkOptions | undefined {
  const link = privateLinkIn(location.hash);
  // What is copied or seen from now on lets nobody in.
  if (link !== undefined) history.replaceState(null, "", location.pathname + location.search);
  const named = networkInAddress();
  if (link !== undefined || networkKindOf(named) === "open") return link;
  return keptSecret(named) ?? { network: named };
}

export function privateLinkIn(hash: string): NetworkOptions | undefined {
  const fields = new URLSearchParams(hash.slice(1));
  if (fields.has("invite")) return { invite: location.origin + "/" + hash };
  const secret = fields.get("secret");
  return secret === null ? undefined : { network: fields.get("network") ?? DEFAULT_NETWORK, secret };
}

export function networkInAddress(): NetworkName {
  return parseNetworkName(new URLSearchParams(location.search).get("network") ?? "") ?? DEFAULT_NETWORK;
}

/**
 * Enters, and says on the page what came of it.
 * @returns the network that the page is in: that one, or where it may not be, the open one
 */
export async function enterByLink(link: NetworkOptions): Promise<string> {
  tell("asking", link.invite === undefined ? "Entering the private network …" : "Joining by invite …");
  let network: string = link.network ?? DEFAULT_NETWORK;
  try {
    const { enterNetwork, pagePeer } = await import("./elements/page-peers.ts");
    if (link.invite !== undefined || link.secret !== undefined) network = await enterNetwork(link);
    const peer = await pagePeer(network);
    if (link.secret !== undefined) keepSecret(network, link);
    tell("in", welcome(peer), ...actionsIn(link));
    nameInAddress(network);
    return network;
  } catch (error) {
    const { code, message } = toPeerloomError(error, "internal/assertion", String(error));
    const again = button("Try again", () => {
      if (link.invite !== undefined) location.hash = new URL(link.invite).hash;
      else location.reload();
    });
    const isRefused = /^(network|usage)\//.test(code);
    if (code.startsWith("page/")) {
      tell("out", `${message} (${code})`);
      return network;
    }
    // Who asked for a private network is not led into an open one because the edge is down.
    if (!isRefused && networkKindOf(network as NetworkName) !== "open") {
      tell("out", `${message} (${code}) It is tried again.`, again);
      return network;
    }
    const meanwhile = networkKindOf(networkInAddress()) === "open" ? networkInAddress() : DEFAULT_NETWORK;
    nameInAddress(meanwhile);
    const said = `${message} (${code}) ${HINTS[code] ?? ""} Meanwhile this page is in the open network "${meanwhile}".`;
    tell("out", said.replaceAll(/ {2,}/g, " "), ...(isRefused ? [] : [again]), button("Close", hide));
    return meanwhile;
  }
}

/** What a page knows beside what the edge says. */
const HINTS: Readonly<Record<string, string>> = {
  "network/invite-used": "If this browser is in that network in another tab, use that one.",
  "network/not-member": "Open the network's link, or an invite, here.",
};

function welcome({ membership }: Peer): string {
  const { kind, expiresAtMs, isOwner } = membership;
  if (kind === "secret")
    return "You are in a private network, by its secret. Whoever has the link may come too; this tab keeps the secret until it is closed.";
  if (isOwner) return "You are in a private network of your own.";
  const end = expiresAtMs === undefined ? "" : `, until ${new Date(expiresAtMs).toLocaleString()}`;
  return `You are in a private network, by invite${end}. This browser keeps the membership: come back without the invite.`;
}

function actionsIn({ network = DEFAULT_NETWORK, secret }: NetworkOptions): HTMLElement[] {
  const leave = button("Leave", () => location.assign(location.pathname));
  if (secret === undefined) return [leave];
  const fields = new URLSearchParams({ network, secret });
  return [copyButton("Copy link", `${location.origin}/#${fields}`), leave];
}

function nameInAddress(network: string): void {
  const query = new URLSearchParams(location.search);
  if (network === DEFAULT_NETWORK) query.delete("network");
  else query.set("network", network);
  const text = query.size === 0 ? "" : `?${query}`;
  history.replaceState(null, "", location.pathname + text + location.hash);
}

function tell(state: "asking" | "in" | "out", text: string, ...actions: readonly HTMLElement[]): void {
  const box = document.getElementById("membership");
  const words = document.getElementById("membership-text");
  if (box === null || words === null) return;
  box.hidden = false;
  box.dataset["state"] = state;
  say(words, text);
  document.getElementById("membership-actions")?.replaceChildren(...actions);
}

function hide(): void {
  const box = document.getElementById("membership");
  if (box !== null) box.hidden = true;
}

/** A browser that keeps nothing for pages forgets it with the next reload. */
function keepSecret(network: string, { network: name, secret }: NetworkOptions): void {
  try {
    sessionStorage.setItem(KEPT + network, JSON.stringify([name, secret]));
  } catch {}
}

function keptSecret(network: string): NetworkOptions | undefined {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEPT + network) ?? "null");
    if (!Array.isArray(kept)) return undefined;
    const [name, secret] = kept as unknown[];
    return typeof name === "string" && typeof secret === "string" ? { network: name, secret } : undefined;
  } catch {
    return undefined;
  }
}
