/**
 * The frame of every benchmark: options, anchors installed when needed, rounds with the order of stacks turned in every
 * second one, one JSON line with the machine, every round, and ratios taken inside a round.
 */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { installAnchors } from "./anchors.ts";
import { sourceOf } from "./stack.ts";
import { round, type Spread, spread } from "./statistics.ts";

/** `of` divided by `to`, in the same round, of the figure named. */
export interface Ratio {
  readonly of: string;
  readonly to: string;
  readonly figure: string;
  /** Of the one divided by, where it is another figure. */
  readonly toFigure?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** A figure that has an aim of its own. */
export interface Goal {
  readonly of: string;
  readonly figure: string;
  readonly atMost: number;
}

export interface Benchmark {
  readonly name: string;
  /** Where a stack comes from. @default those of `stack.ts`. @throws for a name that is none */
  readonly source?: (stack: string) => { readonly anchor?: true };
  /** Measured when `--stacks` names none. */
  readonly stacks: readonly string[];
  readonly rounds: number;
  /** Whole numbers, each an option of the command line. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly ratios: readonly Ratio[];
  readonly goals?: readonly Goal[];
  /** One stack in one round. @returns figures by name */
  measure(
    stack: string,
    numbers: Readonly<Record<string, number>>,
  ): Promise<Readonly<Record<string, number>>>;
}

type Rounds = Map<string, Readonly<Record<string, number>>[]>;

/** Runs a benchmark as its own program. */
export async function runBenchmark(benchmark: Benchmark): Promise<void> {
  const { source = sourceOf, goals = [] } = benchmark;
  const { stacks, rounds, numbers } = readOptions(benchmark, source);
  const loadBefore = loadavg()[0] ?? 0;
  const errors: Record<string, string> = {};
  const measured: Rounds = new Map(stacks.map((stack) => [stack, []]));
  if (stacks.some((stack) => source(stack).anchor === true)) await installAnchors();
  for (let index = 0; index < rounds; index += 1) {
    for (const stack of index % 2 === 0 ? stacks : stacks.toReversed()) {
      if (errors[stack] !== undefined) continue;
      progress(`${benchmark.name}: round ${index + 1} of ${rounds}, ${stack}`);
      try {
        measured.get(stack)?.push(await benchmark.measure(stack, numbers));
      } catch (error) {
        errors[stack] = firstLines(error);
      }
    }
  }
  progress("");
  const line = {
    bench: benchmark.name,
    ...numbers,
    rounds,
    stacks: Object.fromEntries(stacks.map((stack) => [stack, figures(measured.get(stack) ?? [])])),
    ratios: benchmark.ratios.flatMap((ratio) => ratioOf(ratio, measured) ?? []),
    ...(goals.length === 0 ? {} : { goals: goals.flatMap((goal) => goalOf(goal, measured) ?? []) }),
    ...(Object.keys(errors).length === 0 ? {} : { errors }),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryGiB: round(totalmem() / 2 ** 30, 1),
      system: `${process.platform} ${process.arch}`,
      node: process.versions.node,
      loadBefore: round(loadBefore),
      loadAfter: round(loadavg()[0] ?? 0),
    },
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (Object.keys(errors).length > 0) process.exitCode = 1;
}

function readOptions(benchmark: Benchmark, source: (stack: string) => unknown) {
  const { values } = parseArgs({
    options: {
      stacks: { type: "string", default: benchmark.stacks.join(",") },
      rounds: { type: "string", default: String(benchmark.rounds) },
      ...Object.fromEntries(
        Object.entries(benchmark.numbers).map(
          ([name, value]) => [name, { type: "string", default: String(value) }] as const,
        ),
      ),
    },
  });
  const whole = (name: string): number => {
    const value = Number((values as Record<string, string | undefined>)[name]);
    if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above 0.`);
    return value;
  };
  const stacks = String(values.stacks).split(",");
  for (const stack of stacks) source(stack);
  return {
    stacks,
    rounds: whole("rounds"),
    numbers: Object.fromEntries(Object.keys(benchmark.numbers).map((name) => [name, whole(name)])),
  };
}

function figures(rounds: readonly Readonly<Record<string, number>>[]): Record<string, Spread> {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, spread(rounds.map((each) => each[name] ?? Number.NaN))]),
  );
}

/** Undefined when one of the two was not measured. */
function ratioOf({ of, to, figure, toFigure = figure, atLeast, atMost }: Ratio, measured: Rounds) {
  const [above, below] = [measured.get(of) ?? [], measured.get(to) ?? []];
  const count = Math.min(above.length, below.length);
  if (count === 0) return undefined;
  const value = spread(
    Array.from(
      { length: count },
      (_, i) => (above[i]?.[figure] ?? Number.NaN) / (below[i]?.[toFigure] ?? Number.NaN),
    ),
    3,
  );
  const met =
    (atLeast === undefined || value.median >= atLeast) && (atMost === undefined || value.median <= atMost);
  const aim = { ...(atLeast === undefined ? {} : { atLeast }), ...(atMost === undefined ? {} : { atMost }) };
  return { of, to, figure, ...(toFigure === figure ? {} : { toFigure }), ...value, ...aim, met };
}

/** As above. */
function goalOf({ of, figure, atMost }: Goal, measured: Rounds) {
  const rounds = measured.get(of) ?? [];
  if (rounds.length === 0) return undefined;
  const value = spread(rounds.map((each) => each[figure] ?? Number.NaN));
  return { of, figure, ...value, atMost, met: value.median <= atMost };
}

function firstLines(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n").slice(0, 3).join(" | ");
}

/** To people only: standard output is one line of JSON. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
