/**
 * Cells of the laboratory in which one thing is broken, and the cause that `doctor --to` must name there, of a peer that runs, or ran, on
 * another site.
 */
import { fileURLToPath } from "node:url";
import type { VerdictCode } from "../../peer/api/diagnosis/finding.ts";
import type { Lab, Site } from "./lab.ts";
import { type LabProcess, textOf } from "./lab-process.ts";

export interface BrokenCell {
  readonly name: string;
  readonly cause: VerdictCode;
  build(lab: Lab): readonly [here: Site, there: Site];
  /** Breaks what is broken; `up` runs there. */
  readonly strike?: (here: Site, up: LabProcess) => void | Promise<void>;
  /** Of `doctor`. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Diagnosis {
  readonly cell: string;
  readonly cause: VerdictCode;
  /** Its verdict, or "none". */
  readonly verdict: string;
  readonly exitCode: number;
  /** It named the cause, and said by its exit code that something is wrong, or that nothing is. */
  readonly ok: boolean;
}

const READY_TIMEOUT_MS = 40_000;
/** `doctor` ends by itself, in the worst case after about a minute. */
const VERDICT_TIMEOUT_MS = 75_000;
const SHIFTED_CLOCK = fileURLToPath(new URL("./shifted-clock.mjs", import.meta.url));

/** The five that every diagnosis must tell apart. */
export const BROKEN_CELLS: readonly BrokenCell[] = [
  {
    name: "no UDP here",
    cause: "udp-blocked",
    build: (lab) => [lab.site("udp-blocked"), lab.site("port-restricted")],
  },
  {
    name: "symmetric x symmetric",
    cause: "symmetric-nat",
    build: (lab) => [lab.site("symmetric"), lab.site("symmetric")],
  },
  {
    name: "a clock ten minutes ahead",
    cause: "clock-wrong",
    build: (lab) => [lab.site("open"), lab.site("port-restricted")],
    environment: { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, SHIFT_MS: "600000" },
  },
  {
    name: "the edge cannot be reached",
    cause: "edge-unreachable",
    build: (lab) => [lab.site("open"), lab.site("port-restricted")],
    strike: (here) => here.host.rules(NO_EDGE),
  },
  {
    name: "the peer is gone",
    cause: "peer-gone",
    build: (lab) => [lab.site("port-restricted"), lab.site("port-restricted")],
    strike: async (_, up) => {
      up.signal("SIGKILL");
      await up.exit;
    },
  },
];

/** More of them, and one where nothing is broken. */
export const OTHER_CELLS: readonly BrokenCell[] = [
  {
    name: "the peer stands still",
    cause: "peer-silent",
    build: (lab) => [lab.site("port-restricted"), lab.site("port-restricted")],
    strike: (_, up) => up.signal("SIGSTOP"),
  },
  {
    name: "the peer stands still and listens",
    cause: "peer-silent",
    build: (lab) => [lab.site("port-restricted"), lab.site("listening")],
    strike: (_, up) => up.signal("SIGSTOP"),
  },
  {
    name: "nothing is broken",
    cause: "ok",
    build: (lab) => [lab.site("port-restricted"), lab.site("port-restricted")],
  },
  {
    name: "no UDP there",
    cause: "udp-blocked",
    build: (lab) => [lab.site("port-restricted"), lab.site("udp-blocked")],
  },
  {
    name: "symmetric there",
    cause: "symmetric-nat",
    build: (lab) => [lab.site("port-restricted"), lab.site("symmetric")],
  },
  {
    name: "IPv6 alone there",
    cause: "no-common-family",
    build: (lab) => [lab.site("port-restricted"), lab.site("ipv6-only")],
  },
  {
    name: "one router that turns nothing round",
    cause: "no-hairpin",
    build: (lab) => lab.behindOneRouter({ hairpin: false }),
  },
];

const NO_EDGE = `table inet edge {
  chain output {
    type filter hook output priority 0
    tcp dport 443 reject
  }
}`;

export async function diagnoseCell(lab: Lab, cell: BrokenCell): Promise<Diagnosis> {
  const [here, there] = cell.build(lab);
  const up = there.peerloom(["up", "--network", "lab"]);
  const id = String((await up.event("ready", READY_TIMEOUT_MS))["id"]);
  await cell.strike?.(here, up);
  const doctor = here.peerloom(["doctor", "--to", id, "--network", "lab"], cell.environment);
  const found = await doctor.find(({ event }) => event === "verdict", VERDICT_TIMEOUT_MS);
  if (found === undefined) doctor.signal("SIGKILL");
  const exitCode = await doctor.exit;
  lab.removeSites();
  await up.exit;
  const verdict = textOf(found, "code") ?? "none";
  const { name, cause } = cell;
  const ok = verdict === cause && exitCode === (cause === "ok" ? 0 : 1);
  return { cell: name, cause, verdict, exitCode, ok };
}
