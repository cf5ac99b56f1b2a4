/** The day's account as people read it: what of the budget is spent, what stage that is, and where it went. */
import { dollarsOf, type Stage, STAGE_FROM } from "../../../shared/budget.ts";
import { dollarsRefused, type EdgeCost, type NetworkCost } from "../../../shared/edge-cost.ts";
import { networkKindOf, type NetworkName } from "../../../shared/ids.ts";
import { formatBytes, formatSeconds } from "../../api/quantities.ts";
import { h } from "../elements/dom.ts";
import { table } from "./table.ts";

/** Networks that are listed, the most expensive first. */
const ROWS_MAX = 100;
/** What refused requests cost beside the budget is told from here on. */
const TOLD_DOLLARS = 0.0001;

const STAGES: Readonly<Record<Stage, { readonly name: string; readonly says: string }>> = {
  open: { name: "open", says: "Everybody is served." },
  "relay-slow": { name: "relays slow", says: "Relays pass less; all else goes on." },
  "relay-off": {
    name: "relays off",
    says: "Nothing is relayed any more today; peers reach each other directly.",
  },
  members: {
    name: "members only",
    says: "No newcomers today: who was in comes back, others come in through peers.",
  },
  closed: {
    name: "closed",
    says: "The day's budget is spent; what stands between peers goes on. More of it: peerloom edge deploy --daily-units N.",
  },
};

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Fills the two places anew. */
export function showAccount(cost: EdgeCost, today: Element, networks: Element): void {
  const share = Math.min(1, cost.units / cost.limit);
  const { name, says } = STAGES[cost.stage];
  today.replaceChildren(
    h(
      "p",
      { class: "spent", "data-stage": cost.stage },
      h("strong", {}, money(cost.dollars)),
      h("span", {}, `of ${money(dollarsOf(cost.limit))} for today`),
      h("span", { class: "chip" }, name),
    ),
    bar(cost.stage, share),
    h(
      "ul",
      {
        class: "stages",
        "data-stage": cost.stage,
        "aria-label": "What the edge does as the day's budget is spent",
      },
      ...STAGE_FROM.toReversed().map(([stage, from]) =>
        h(
          "li",
          { "aria-current": stage === cost.stage ? "true" : undefined },
          `${whole.format(from * 100)} % ${STAGES[stage].name}`,
        ),
      ),
    ),
    h("p", {}, `${says} The day ends in ${formatSeconds(cost.leftMs / 1_000)}, at midnight UTC.`),
    figures(cost),
  );
  const rows = cost.networks.slice(0, ROWS_MAX);
  const others = cost.networks.length - rows.length;
  const list = table({
    label: "Networks by what they spent",
    heads: ["Network", "Stage", "#Peers", "#Sockets", "#Units", "#Money"],
    rows: rows.map(rowOf),
    empty: "Nothing has happened here today.",
  });
  const note = h(
    "p",
    { class: "soft" },
    others > 0
      ? `And ${whole.format(others)} more that spent less.`
      : "Peers that are joined now: most leave once others carry them, so a network may be larger.",
  );
  const standing = networks.querySelector(".scroll");
  if (standing === null) return networks.replaceChildren(list, note);
  // Whoever has scrolled in it, or has it under the keys, goes on.
  standing.replaceChildren(...list.childNodes);
  standing.nextElementSibling?.replaceWith(note);
}

/** What a screen reader is told of when it changes. */
export function stageText({ stage }: EdgeCost): string {
  return stage === "open" ? "this edge is open" : `this edge: ${STAGES[stage].name}`;
}

function bar(stage: Stage, share: number): HTMLElement {
  const percent = Math.round(share * 1_000) / 10;
  const made = h("div", {
    class: "bar",
    role: "meter",
    "data-stage": stage,
    "aria-label": "Spent of the day's budget",
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-valuenow": percent,
    "aria-valuetext": `${percent} %`,
  });
  for (const [at, name] of [
    [share, "fill"] as const,
    ...STAGE_FROM.map(([, from]) => [from, "tick"] as const),
  ]) {
    const part = h("span", { class: name });
    part.style.setProperty("--at", `${at * 100}%`);
    made.append(part);
  }
  return made;
}

function figures(cost: EdgeCost): HTMLElement {
  const { units, limit, networks, refused } = cost;
  const beside = dollarsRefused(cost);
  const sum = (of: (one: NetworkCost) => number): string =>
    whole.format(networks.reduce((total, one) => total + of(one), 0));
  const named = networks.filter(({ network }) => !network.startsWith("("));
  const told: readonly (readonly [string, string])[] = [
    ["Units", `${whole.format(units)} of ${whole.format(limit)}`],
    ["Peers joined now", sum(({ members }) => members)],
    ["Sockets open", sum(({ sockets }) => sockets)],
    ["Networks today", whole.format(named.length)],
    ["Relayed", formatBytes(networks.reduce((bytes, { usage }) => bytes + usage.relayedBytes, 0))],
    [
      "Refused at the door",
      beside < TOLD_DOLLARS ? whole.format(refused) : `${whole.format(refused)}, ${money(beside)}`,
    ],
  ];
  return h(
    "dl",
    { class: "figures" },
    ...told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

function rowOf({ network, stage, members, sockets, units, usage }: NetworkCost): readonly (string | Node)[] {
  const { requests, objectRequests, messages, awakeMs, rowsWritten, relayedBytes } = usage;
  const name = h("span", { title: network }, nameOf(network));
  const used = h(
    "small",
    {},
    `${whole.format(requests)} requests, ${whole.format(objectRequests)} to objects, ${whole.format(messages)} messages, ` +
      `${formatSeconds(awakeMs / 1_000)} awake, ${whole.format(rowsWritten)} rows, ${formatBytes(relayedBytes)} relayed`,
  );
  return [
    h("div", {}, name, used),
    h("span", { class: "chip", "data-stage": stage }, STAGES[stage].name),
    whole.format(members),
    whole.format(sockets),
    whole.format(units),
    money(dollarsOf(units)),
  ];
}

/** The edge's own words for what is no network's, and the key in a private network's name. */
function nameOf(network: string): string {
  if (network === "(edge)") return "the edge itself";
  if (network === "(others)") return "all further networks";
  return networkKindOf(network as NetworkName) === "open" ? network : `${network.slice(0, 12)}… (private)`;
}

function money(dollars: number): string {
  return `$${dollars.toFixed(dollars >= 1 ? 2 : dollars >= 0.01 ? 4 : 6)}`;
}
