/**
 * `node test/natlab/run.ts [--cells a/b,c/d | --short | --flaps [--only TEXT] [--seconds 30]] [--turn] [--json]`: the matrix, or what transfers outlive, as a table on standard
 * output or as one JSON object a line. Exits 1 when something is otherwise than theory says, or than it must be.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { allFlaps, runFlap } from "./flaps.ts";
import { Lab } from "./lab.ts";
import { allCells, type Cell, cellsNamed, type Outcome, runCell, SHORT_CELLS } from "./matrix.ts";
import { whyImpossible } from "./namespace.ts";

const { values } = parseArgs({
  options: {
    cells: { type: "string" },
    short: { type: "boolean" },
    flaps: { type: "boolean" },
    turn: { type: "boolean" },
    seconds: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean" },
  },
});
const json = values.json === true;

const impossible = whyImpossible();
if (impossible !== undefined) {
  console.error(`The NAT laboratory is skipped: ${impossible}.`);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

const lab = await Lab.open({ turn: values.turn === true });
try {
  const isWell = values.flaps === true ? await runFlaps() : await runMatrix();
  process.exitCode = isWell ? 0 : 1;
} finally {
  await lab.close();
}

async function runMatrix(): Promise<boolean> {
  const outcomes: Outcome[] = [];
  if (!json) console.log(row("pair", "path", "transport", "why", "first byte", "direct", ""));
  for (const cell of chosenCells()) {
    const outcome = await runCell(lab, cell);
    outcomes.push(outcome);
    console.log(json ? JSON.stringify(outcome) : tableRow(outcome));
  }
  const [cells, connected] = [outcomes.length, outcomes.filter((each) => each.connected).length];
  const asExpected = outcomes.filter((each) => each.ok).length;
  const summary = `\n${connected} of ${cells} pairs connect, ${asExpected} as theory says.`;
  console.log(json ? JSON.stringify({ event: "done", cells, connected, asExpected }) : summary);
  return asExpected === cells;
}

async function runFlaps(): Promise<boolean> {
  let isWell = true;
  const chosen = allFlaps(values.seconds === undefined ? {} : { lossMs: Number(values.seconds) * 1_000 });
  for (const flap of chosen.filter(({ name }) => name.includes(values.only ?? ""))) {
    const outcome = await runFlap(lab, flap);
    isWell &&= outcome.equal;
    const { equal, seconds, flowsAgainMs, detail } = outcome;
    const line = `${flap.name.padEnd(46)} ${equal ? "equal" : "LOST "} ${(seconds ?? 0).toFixed(1)} s, on after ${((flowsAgainMs ?? 0) / 1_000).toFixed(1)} s  ${detail}`;
    console.log(json ? JSON.stringify(outcome) : line);
  }
  return isWell;
}

function chosenCells(): readonly Cell[] {
  if (values.cells !== undefined) return cellsNamed(values.cells.split(","));
  return values.short === true ? cellsNamed(SHORT_CELLS) : allCells();
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
