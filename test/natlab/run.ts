/**
 * `node test/natlab/run.ts [--cells a/b,c/d | --short | --doctor [--only TEXT] | --flaps [--only TEXT] [--seconds 30]] [--turn]
 * [--rtt MS] [--jitter MS] [--loss PERCENT] [--json]`: the matrix, what `doctor` says where something is broken, or what transfers outlive, as a table on standard output or as one
 * JSON object a line. `--rtt`, `--jitter` (each way) and `--loss` (each way) are those between each site and the edge; two sites are twice as far apart. Exits 1 when
 * something is otherwise than theory says, or than it must be.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { BROKEN_CELLS, diagnoseCell, OTHER_CELLS } from "./broken.ts";
import { allFlaps, runFlap } from "./flaps.ts";
import { Lab, whyNoTurn } from "./lab.ts";
import { type LineOptions, whyNoLine } from "./line.ts";
import { allCells, type Cell, cellsNamed, type Outcome, runCell, SHORT_CELLS } from "./matrix.ts";
import { whyImpossible } from "./namespace.ts";
import { type Spread, type Summary, summaryOf } from "./summary.ts";

const { values } = parseArgs({
  options: {
    cells: { type: "string" },
    short: { type: "boolean" },
    doctor: { type: "boolean" },
    flaps: { type: "boolean" },
    turn: { type: "boolean" },
    rtt: { type: "string" },
    jitter: { type: "string" },
    loss: { type: "string" },
    seconds: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean" },
  },
});
const json = values.json === true;

const rttMs = numberOf("rtt");
const [jitterMs, loss] = [numberOf("jitter"), numberOf("loss") / 100];
const line: LineOptions | undefined =
  rttMs + jitterMs + loss > 0 ? { delayMs: rttMs / 2, jitterMs, loss } : undefined;

const impossible =
  whyImpossible() ??
  (values.turn === true ? whyNoTurn() : undefined) ??
  (line === undefined ? undefined : whyNoLine());
if (impossible !== undefined) {
  console.error(`The NAT laboratory is skipped: ${impossible}.`);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

const lab = await Lab.open({ turn: values.turn === true, line });
try {
  const run = values.flaps === true ? runFlaps : values.doctor === true ? runDoctor : runMatrix;
  const isWell = await run();
  process.exitCode = isWell ? 0 : 1;
} finally {
  await lab.close();
}

function numberOf(name: "rtt" | "jitter" | "loss"): number {
  const value = Number(values[name] ?? 0);
  if (value >= 0 && value < Infinity) return value;
  console.error(`--${name} takes a number that is not negative.`);
  process.exit(2);
}

async function runMatrix(): Promise<boolean> {
  const outcomes: Outcome[] = [];
  if (!json) console.log(row("pair", "path", "transport", "why", "first byte", "direct", ""));
  for (const cell of chosenCells()) {
    const outcome = await runCell(lab, cell);
    outcomes.push(outcome);
    console.log(json ? JSON.stringify(outcome) : tableRow(outcome));
  }
  const summary = summaryOf(outcomes);
  console.log(json ? JSON.stringify({ event: "done", ...summary }) : `\n${textOf(summary)}`);
  return summary.asExpected === summary.cells;
}

function textOf(summary: Summary): string {
  const { cells, connected, asExpected, firstByteMs, directMs, consumerMix, reasons } = summary;
  const spread = (value: Spread | undefined): string =>
    value === undefined ? "-" : `${value.median.toFixed(0)} ms median, ${value.max.toFixed(0)} ms at most`;
  const inRoundTrips =
    rttMs === 0 || firstByteMs === undefined
      ? ""
      : ` (${(firstByteMs.median / rttMs).toFixed(1)} and ${(firstByteMs.max / rttMs).toFixed(1)} edge round trips)`;
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  const relayed = Object.entries(reasons).map(([why, count]) => `${count} ${why}`);
  const lines = [
    `${connected} of ${cells} pairs connect, ${asExpected} as theory says.`,
    `First byte ${spread(firstByteMs)}${inRoundTrips}; direct ${spread(directMs)}.`,
    `Relayed: ${relayed.join(", ") || "none"}.`,
  ];
  if (consumerMix !== undefined) {
    const { direct, directOfPossible } = consumerMix;
    lines.push(
      `Consumer mix: ${percent(direct)} direct, ${percent(directOfPossible)} of what theory allows.`,
    );
  }
  return lines.join("\n");
}

async function runDoctor(): Promise<boolean> {
  let isWell = true;
  for (const cell of [...BROKEN_CELLS, ...OTHER_CELLS].filter(isChosen)) {
    const diagnosis = await diagnoseCell(lab, cell);
    isWell &&= diagnosis.ok;
    const { verdict, cause, ok } = diagnosis;
    const line = `${cell.name.padEnd(36)} ${verdict.padEnd(18)} ${ok ? "" : `expected ${cause}`}`.trimEnd();
    console.log(json ? JSON.stringify(diagnosis) : line);
  }
  return isWell;
}

function isChosen({ name }: { readonly name: string }): boolean {
  return name.includes(values.only ?? "");
}

async function runFlaps(): Promise<boolean> {
  let isWell = true;
  const chosen = allFlaps(values.seconds === undefined ? {} : { lossMs: Number(values.seconds) * 1_000 });
  for (const flap of chosen.filter(isChosen)) {
    const outcome = await runFlap(lab, flap);
    isWell &&= outcome.equal;
    const { equal, seconds, stalledMs, detail } = outcome;
    const line = `${flap.name.padEnd(46)} ${equal ? "equal" : "LOST "} ${(seconds ?? 0).toFixed(1)} s, stood for ${(stalledMs / 1_000).toFixed(1)} s  ${detail}`;
    console.log(json ? JSON.stringify(outcome) : line);
  }
  return isWell;
}

function chosenCells(): readonly Cell[] {
  const options = { turn: values.turn === true };
  if (values.cells !== undefined) return cellsNamed(values.cells.split(","), options);
  return values.short === true ? cellsNamed(SHORT_CELLS, options) : allCells(options);
}

function tableRow({ cell, path, transport, why, firstByteMs, directMs, ok, expected }: Outcome): string {
  const ms = (value: number | undefined): string => (value === undefined ? "-" : `${value.toFixed(0)} ms`);
  return row(
    cell,
    path,
    transport,
    why,
    ms(firstByteMs),
    ms(directMs),
    ok ? "" : `expected ${expected.path} (${expected.why})`,
  );
}

function row(...columns: readonly string[]): string {
  const widths = [36, 8, 10, 18, 11, 9, 0];
  return columns
    .map((text, i) => text.padEnd(widths[i] ?? 0))
    .join(" ")
    .trimEnd();
}
