/**
 * `node test/natlab/run.ts [--cells a/b,c/d | --short] [--json]`: the matrix as a table on standard output, or as one JSON object a cell.
 * Exits 1 when a pair did not connect, or theory says otherwise than the pair.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { Lab } from "./lab.ts";
import { allCells, cellsNamed, type Outcome, runCell, SHORT_CELLS } from "./matrix.ts";
import { whyImpossible } from "./namespace.ts";

const { values } = parseArgs({
  options: { cells: { type: "string" }, short: { type: "boolean" }, json: { type: "boolean" } },
});
const json = values.json === true;

const impossible = whyImpossible();
if (impossible !== undefined) {
  console.error(`The NAT laboratory is skipped: ${impossible}.`);
  process.exit(0);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

const cells =
  values.cells === undefined
    ? values.short === true
      ? cellsNamed(SHORT_CELLS)
      : allCells()
    : cellsNamed(values.cells.split(","));
const lab = await Lab.open();
const outcomes: Outcome[] = [];
if (!json) console.log(row("pair", "path", "transport", "why", "first byte", "direct", ""));
try {
  for (const cell of cells) {
    const outcome = await runCell(lab, cell);
    outcomes.push(outcome);
    console.log(json ? JSON.stringify(outcome) : tableRow(outcome));
  }
} finally {
  await lab.close();
}
const connected = outcomes.filter((each) => each.connected).length;
const asExpected = outcomes.filter((each) => each.ok).length;
const summary = { cells: outcomes.length, connected, asExpected };
console.log(
  json
    ? JSON.stringify({ event: "done", ...summary })
    : `\n${connected} of ${outcomes.length} pairs connect, ${asExpected} as theory says.`,
);
process.exitCode = asExpected === outcomes.length ? 0 : 1;

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
