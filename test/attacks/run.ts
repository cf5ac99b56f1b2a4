/** All attacks, one after the other, as a table: `npm run attacks`, or `npm run attacks -- 1000 50` for 1,000 attackers beside 50 honest joins. */
import { ATTACKS, measure } from "./suite.ts";

const [count = 200, honest = 20] = process.argv.slice(2).map(Number);
const columns = (cells: readonly string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(38) : cell.padStart(13))).join("");

console.log(columns(["attack", "units", "at most", "honest in", "p95 ms", "undisturbed"]));
for (const attack of ATTACKS) {
  const { units, unitsMax, honestJoined, p95Ms, undisturbedP95Ms } = await measure(attack, { count, honest });
  const isHeld = units <= unitsMax && honestJoined === honest;
  const cells = [units.toFixed(0), String(unitsMax), `${honestJoined}/${honest}`];
  console.log(
    columns([attack.name, ...cells, p95Ms.toFixed(1), undisturbedP95Ms.toFixed(1)]),
    isHeld ? "" : "NOT HELD",
  );
  if (!isHeld) process.exitCode = 1;
}
