import { expect, test } from "vitest";
import { formatBytes, formatSeconds, SpeedMeter } from "../../../peer/api/quantities.ts";
import { transferLine } from "../../../peer/cli/format.ts";
import { Output, PROGRESS_INTERVAL_MS, PROGRESS_LINE_INTERVAL_MS } from "../../../peer/cli/output.ts";
import { PeerloomError } from "../../../shared/errors.ts";
import { TextKeeper } from "./fakes.ts";

function make({
  json = false,
  terminal = false,
  environment = {},
}: {
  json?: boolean;
  terminal?: boolean;
  environment?: Record<string, string>;
}) {
  const stdout = new TextKeeper(terminal);
  const stderr = new TextKeeper(terminal);
  const clock = { nowMs: 0 };
  const output = new Output({ json, stdout, stderr, environment, nowMs: () => clock.nowMs });
  return { stdout, stderr, clock, output };
}

test("under --json standard output is one object a line, standard error is silent", () => {
  const { output, stdout, stderr } = make({ json: true, terminal: true });
  output.result({ event: "done", text: "two\nlines", none: undefined }, "Done.");
  output.note("Connecting …");
  output.note("edge lost", { event: "edge", connected: false });
  output.progress({ event: "progress", bytes: 1 }, () => "line");
  output.error(new PeerloomError("connect/no-path", "No path."));
  expect(stdout.events()).toEqual([
    { event: "done", text: "two\nlines", none: null },
    { event: "edge", connected: false },
    { event: "progress", bytes: 1 },
    { event: "error", code: "connect/no-path", message: "No path." },
  ]);
  expect(stderr.text).toBe("");
});

test("people get results on standard output, the rest on standard error", () => {
  const { output, stdout, stderr } = make({});
  output.note("Connecting …");
  output.result({ event: "done" }, "Done.");
  output.error(new PeerloomError("connect/no-path", "No path.\n Allow relays."));
  expect(stdout.text).toBe("Done.\n");
  expect(stderr.text).toBe("Connecting …\npeerloom: No path. Allow relays. (connect/no-path)\n");
});

test("wrong usage is said on standard error even under --json", () => {
  const { output, stdout, stderr } = make({ json: true });
  output.error(new PeerloomError("usage/invalid", "Say what."));
  expect(stdout.events()).toEqual([{ event: "error", code: "usage/invalid", message: "Say what." }]);
  expect(stderr.text).toBe("peerloom: Say what.\n");
});

test("colours on a terminal only, and not under NO_COLOR", () => {
  const painted = (options: Parameters<typeof make>[0]): boolean => {
    const { output, stderr } = make(options);
    output.note("x");
    return stderr.text.includes("\x1b[");
  };
  expect(painted({ terminal: true })).toBe(true);
  expect(painted({ terminal: false })).toBe(false);
  expect(painted({ terminal: true, environment: { NO_COLOR: "1" } })).toBe(false);
  expect(painted({ terminal: true, environment: { TERM: "dumb" } })).toBe(false);
});

test("progress redraws one line on a terminal and wipes it before anything else", () => {
  const { output, stderr, clock } = make({ terminal: true, environment: { NO_COLOR: "1" } });
  output.progress(undefined, () => "1 %");
  output.progress(undefined, () => "too soon");
  clock.nowMs += PROGRESS_INTERVAL_MS;
  output.progress(undefined, () => "x".repeat(200));
  output.note("done");
  expect(stderr.text).toBe(`\r\x1b[2K1 %\r\x1b[2K${"x".repeat(79)}\r\x1b[2Kdone\n`);
});

test("in a log file progress is a line now and then", () => {
  const { output, stderr, clock } = make({});
  output.progress(undefined, () => "1 %");
  clock.nowMs += PROGRESS_INTERVAL_MS;
  output.progress(undefined, () => "too soon");
  clock.nowMs += PROGRESS_LINE_INTERVAL_MS;
  output.progress(undefined, () => "50 %");
  output.progress(undefined, () => "100 %", true);
  expect(stderr.text).toBe("1 %\n50 %\n100 %\n");
});

test("a stranger's name cannot steer the terminal", () => {
  const { output, stdout } = make({ terminal: true });
  output.result({ event: "x" }, "a\x1b[2Jb\rc\u009bd");
  expect(stdout.text).toBe("a\ufffd[2Jb\ufffdc\ufffdd\n");
});

test("numbers as people read them", () => {
  expect([0, 999, 1000, 9_940, 99_500, 999_500, 1_900_000_000].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "9.9 kB",
    "100 kB",
    "1.0 MB",
    "1.9 GB",
  ]);
  expect([0.04, 9.9, 12.4, 200, 7500].map(formatSeconds)).toEqual([
    "0.0 s",
    "9.9 s",
    "12 s",
    "3 min 20 s",
    "2 h 5 min",
  ]);
});

test("the transfer line says share, speed, time left, sources and path", () => {
  const line = transferLine({
    bytes: 500_000,
    total: 1_000_000,
    bytesPerSecond: 100_000,
    sources: 2,
    path: "direct (tcp)",
  });
  expect(line).toBe(
    "[##########··········]  50 %  500 kB of 1.0 MB  100 kB/s  5.0 s left  2 sources  direct (tcp)",
  );
  expect(transferLine({ bytes: 0, total: 0, bytesPerSecond: 0, sources: 0, path: "" })).toBe(
    "[····················]   0 %  0 B",
  );
});

test("speed is that of the last samples", () => {
  const meter = new SpeedMeter();
  expect(meter.bytesPerSecond()).toBe(0);
  for (let i = 0; i <= 100; i++) meter.add(i * 100, i < 50 ? 0 : (i - 49) * 1000);
  expect(meter.bytesPerSecond()).toBeCloseTo(10_000);
});
