/**
 * What attackers can cost, and what honest peers notice of them: `npm run attacks`, all kinds one after the other, as a table;
 * `npm run attacks -- --sockets 1000 --honest 50` the same with 1,000 attackers beside 50 honest joins. `npm run attacks -- --storm` has them all at
 * once: 1,000 hostile sockets for 60 s (`--sockets`, `--seconds`, `--honest`), on a processor of their own with `--apart` (Linux); with `--bare`
 * then the same at a Worker that only says no, for what of it is workerd's.
 */
import { parseArgs } from "node:util";
import { startAttackers } from "./attackers.ts";
import { HONEST_MS_MAX } from "./honest.ts";
import { type BareOutcome, bareStorm, storm, type StormOutcome } from "./storm.ts";
import { ATTACKS, measure } from "./suite.ts";

const { values } = parseArgs({
  options: {
    storm: { type: "boolean", default: false },
    apart: { type: "boolean", default: false },
    bare: { type: "boolean", default: false },
    sockets: { type: "string" },
    seconds: { type: "string", default: "60" },
    honest: { type: "string" },
  },
});

async function printTable(count: number, honest: number): Promise<void> {
  const columns = (cells: readonly string[]): string =>
    cells.map((cell, index) => (index === 0 ? cell.padEnd(38) : cell.padStart(13))).join("");
  const attackers = startAttackers();
  console.log(columns(["attack", "units", "at most", "honest in", "p95 ms", "undisturbed"]));
  for (const attack of ATTACKS) {
    const outcome = await measure(attack, { count, honest }, attackers);
    const { units, unitsMax, honestJoined, p95Ms, undisturbedP95Ms } = outcome;
    const isHeld = units <= unitsMax && honestJoined === honest;
    const cells = [units.toFixed(0), String(unitsMax), `${honestJoined}/${honest}`];
    console.log(
      columns([attack.name, ...cells, p95Ms.toFixed(1), undisturbedP95Ms.toFixed(1)]),
      isHeld ? "" : "NOT HELD",
    );
    if (!isHeld) process.exitCode = 1;
  }
  await attackers.end();
}

async function printStorm(sockets: number, honest: number): Promise<void> {
  const seconds = Number(values.seconds);
  const outcome = await storm({ sockets, seconds, honest, apart: values.apart });
  const { joined, units, limit, stage, attempts, cpu } = outcome;
  console.log(
    `${joined} of ${honest} honest joins within ${HONEST_MS_MAX / 1_000} s, ${outcome.joinedAtOnce} at the first try, ` +
      `beside ${sockets} hostile sockets for ${seconds} s`,
  );
  console.log(`  p50 ${outcome.p50Ms.toFixed(1)} ms, undisturbed ${outcome.undisturbedP50Ms.toFixed(1)} ms`);
  console.log(`  p95 ${outcome.p95Ms.toFixed(1)} ms, undisturbed ${outcome.undisturbedP95Ms.toFixed(1)} ms`);
  console.log(`  ${units.toFixed(0)} units of ${limit}, stage ${stage}; ${attempts} hostile attempts`);
  console.log(
    `  processor seconds: edge ${cpu.edge.toFixed(1)}, strangers ${cpu.strangers.toFixed(1)}, honest peers ${cpu.honest.toFixed(1)}; ` +
      `their own loop late by ${outcome.lateMs.toFixed(1)} ms (p95)`,
  );
  for (const name of Object.keys(outcome.outcomes).toSorted())
    console.log(`  ${outcome.outcomes[name]} ${name}`);
  for (const { secondsIn, tookMs, answer } of outcome.turnedAway)
    console.log(
      `  honest, turned away at ${secondsIn.toFixed(1)} s after ${tookMs.toFixed(0)} ms: ${answer}`,
    );
  if (values.bare) printBare(outcome, await bareStorm({ sockets, seconds, honest, apart: values.apart }));
  if (joined < honest || units > limit * 1.01) process.exitCode = 1;
}

function printBare({ attempts, cpu }: StormOutcome, bare: BareOutcome): void {
  const each = (cpu.edge / attempts) * 1e6;
  const bareEach = (bare.cpu.edge / bare.attempts) * 1e6;
  console.log(`at a Worker that only says no: ${bare.attempts} hostile attempts`);
  console.log(`  p50 ${bare.p50Ms.toFixed(1)} ms, undisturbed ${bare.undisturbedP50Ms.toFixed(1)} ms`);
  console.log(`  p95 ${bare.p95Ms.toFixed(1)} ms, undisturbed ${bare.undisturbedP95Ms.toFixed(1)} ms`);
  console.log(
    `  processor seconds: ${bare.cpu.edge.toFixed(1)}; an attempt takes ${bareEach.toFixed(0)} us, at the edge ${each.toFixed(0)} (${(each / bareEach).toFixed(1)})`,
  );
}

if (values.storm) await printStorm(Number(values.sockets ?? 1_000), Number(values.honest ?? 50));
else await printTable(Number(values.sockets ?? 200), Number(values.honest ?? 20));
