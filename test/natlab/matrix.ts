/**
 * The matrix: pairs of accesses, what theory says of each pair, and what a real pair of peers makes of it. One peer runs `up`, the other
 * pings it until it has a direct path, or the reason why there is none.
 */
import { ACCESS, ACCESS_NAMES, type Access, type AccessName } from "./nat.ts";
import type { Lab, Site } from "./lab.ts";
import { type LabEvent, textOf } from "./lab-process.ts";

const SPECIAL = ["same-lan", "hairpin", "no-hairpin"] as const;
type Special = (typeof SPECIAL)[number];

export interface Cell {
  /** `symmetric/open`, or one of the pairs behind one router. */
  readonly name: string;
  readonly expected: Expectation;
  build(lab: Lab): readonly [Site, Site];
}

export interface Expectation {
  readonly path: "direct" | "relay";
  /** `direct`, or the true reason. */
  readonly why: string;
}

export interface Outcome {
  readonly cell: string;
  readonly ok: boolean;
  readonly expected: Expectation;
  readonly connected: boolean;
  readonly path: string;
  readonly transport: string;
  readonly why: string;
  /** From the dial to the first byte echoed. */
  readonly firstByteMs: number | undefined;
  /** From the dial to the first echo over a direct path. */
  readonly directMs: number | undefined;
}

/** A peer has joined, and the other has got through or said why not, by then. */
const READY_TIMEOUT_MS = 40_000;
const SETTLE_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;

/** @param turn the edge names a TURN server */
export function allCells({ turn = false }: { readonly turn?: boolean } = {}): Cell[] {
  const pairs = ACCESS_NAMES.flatMap((a, i) => ACCESS_NAMES.slice(i).map((b) => pair(a, b, turn)));
  return [...pairs, ...SPECIAL.map((name) => special(name, turn))];
}

/** A few that differ in kind, for every run of the tests. */
export const SHORT_CELLS: readonly string[] = [
  "port-restricted/port-restricted",
  "full-cone/symmetric",
  "symmetric/symmetric",
  "symmetric-ipv6/symmetric-ipv6",
  "carrier-grade/udp-blocked",
  "no-hairpin",
];

/** @throws Error when there is no such cell */
export function cellsNamed(names: readonly string[], options: { readonly turn?: boolean } = {}): Cell[] {
  const all = allCells(options);
  return names.map((name) => {
    const mirrored = name.split("/").toReversed().join("/");
    const cell = all.find((each) => each.name === name || each.name === mirrored);
    if (cell === undefined) throw new Error(`There is no cell "${name}".`);
    return cell;
  });
}

export async function runCell(lab: Lab, cell: Cell): Promise<Outcome> {
  const [here, there] = cell.build(lab);
  const up = there.peerloom(["up", "--network", "lab"]);
  const id = String((await up.event("ready", READY_TIMEOUT_MS))["id"]);
  const words = ["ping", id, "--network", "lab", "--count", "100000", "--interval", "50"];
  const ping = here.peerloom(words);
  const isPong = ({ event }: LabEvent): boolean => event === "pong";
  const first = await ping.find(isPong, READY_TIMEOUT_MS);
  // A negotiation that fails by bad luck is tried again; a pair that may be direct is waited for.
  const mayBeDirect = cell.expected.path === "direct";
  const settled = await ping.find(
    (event) => isPong(event) && (event["path"] === "direct" || (!mayBeDirect && isExplained(event))),
    SETTLE_TIMEOUT_MS,
  );
  const last = settled ?? ping.events.findLast(isPong);
  ping.signal("SIGINT");
  await ping.find(({ event }) => event === "done" || event === "error", STOP_TIMEOUT_MS);
  // Farewells take time and show nothing here.
  lab.removeSites();
  await Promise.all([ping.exit, up.exit]);
  return outcome(cell, first, last, ping.events);
}

function isExplained(pong: LabEvent): boolean {
  return pong["path"] === "relay" && pong["why"] !== "direct-pending";
}

function outcome(
  cell: Cell,
  first: LabEvent | undefined,
  last: LabEvent | undefined,
  events: readonly LabEvent[],
): Outcome {
  const text = (key: string): string => textOf(last, key) ?? "none";
  const error = events.find(({ event }) => event === "error");
  const [path, why] = [text("path"), last === undefined ? (textOf(error, "code") ?? "none") : text("why")];
  const connectMs = events.find(({ event }) => event === "done")?.["connectMs"];
  const firstByteMs = typeof connectMs === "number" ? connectMs : undefined;
  const laterMs = first === undefined || last === undefined ? 0 : last.atMs - first.atMs;
  return {
    cell: cell.name,
    ok: path === cell.expected.path && why === cell.expected.why,
    expected: cell.expected,
    connected: first !== undefined,
    path,
    transport: text("transport"),
    why,
    firstByteMs,
    directMs: path === "direct" && firstByteMs !== undefined ? firstByteMs + laterMs : undefined,
  };
}

function pair(a: AccessName, b: AccessName, turn: boolean): Cell {
  return {
    name: `${a}/${b}`,
    expected: theory(ACCESS[a], ACCESS[b], { turn }),
    build: (lab) => [lab.site(a), lab.site(b)],
  };
}

function special(name: Special, turn: boolean): Cell {
  switch (name) {
    case "same-lan":
      return { name, expected: DIRECT, build: (lab) => lab.sameLan() };
    case "hairpin":
      return { name, expected: DIRECT, build: (lab) => lab.behindOneRouter({ hairpin: true }) };
    case "no-hairpin":
      return {
        name,
        expected: turn ? TURNED : { path: "relay", why: "no-hairpin" },
        build: (lab) => lab.behindOneRouter({ hairpin: false }),
      };
  }
}

const DIRECT: Expectation = { path: "direct", why: "direct" };
const TURNED: Expectation = { path: "direct", why: "turn" };

/** What a pair can have at best: RFC 5128 for UDP, TCP where one side listens, and TURN, which is WebRTC to the session as any other. */
export function theory(
  a: Access,
  b: Access,
  { turn = false }: { readonly turn?: boolean } = {},
): Expectation {
  const dials = (from: Access, to: Access): boolean =>
    to.listens && to.ipv4 && from.ipv4 && from.out !== "tcp-443";
  if (dials(a, b) || dials(b, a)) return DIRECT;
  if (a.out !== "all" || b.out !== "all") return { path: "relay", why: "udp-blocked" };
  if (a.ipv6 && b.ipv6) return DIRECT;
  if (!(a.ipv4 && b.ipv4)) return { path: "relay", why: "no-common-family" };
  if (punches(a, b)) return DIRECT;
  return turn ? TURNED : { path: "relay", why: "symmetric-nat" };
}

/** A symmetric mapping is reached only where nobody asks for the port it comes from. */
function punches(a: Access, b: Access): boolean {
  const lets = (symmetric: Access, other: Access): boolean =>
    symmetric.mapping !== "symmetric" ||
    (other.mapping !== "symmetric" && other.filtering !== "address-and-port");
  return lets(a, b) && lets(b, a);
}
