/** Pairs of real peers behind real NATs, in network namespaces: a few of the matrix (`npm run natlab` runs all), and what a diagnosis says of broken networks. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LabProcess } from "../natlab/lab-process.ts";
import { allFlaps, runFlap } from "../natlab/flaps.ts";
import { Lab } from "../natlab/lab.ts";
import { cellsNamed, runCell, SHORT_CELLS } from "../natlab/matrix.ts";
import { whyImpossible } from "../natlab/namespace.ts";

const impossible = whyImpossible();
if (impossible !== undefined) console.warn(`The NAT laboratory is skipped: ${impossible}.`);
const SHIFTED_CLOCK = fileURLToPath(new URL("../natlab/shifted-clock.mjs", import.meta.url));

describe.skipIf(impossible !== undefined)("in the NAT laboratory", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(() => lab.close());

  test.each(SHORT_CELLS)("%s connects as theory says", async (name) => {
    const [cell] = cellsNamed([name]);
    if (cell === undefined) throw new Error("no such cell");
    const { connected, path, why } = await runCell(lab, cell);
    expect({ connected, path, why }).toEqual({ connected: true, ...cell.expected });
  });

  test("a transfer outlives five seconds without any network, and is whole", async () => {
    const [cut] = allFlaps({ lossMs: 5_000 });
    if (cut === undefined) throw new Error("no such flap");
    expect(await runFlap(lab, cut)).toMatchObject({ equal: true });
  });

  test("doctor names no UDP", async () => {
    expect(await verdictOf(lab.site("udp-blocked").peerloom(["doctor"]))).toBe("udp-blocked");
  });

  test("doctor names two symmetric NATs, and a peer that is gone", async () => {
    const up = lab.site("symmetric").peerloom(["up"]);
    const id = String((await up.event("ready"))["id"]);
    const here = lab.site("symmetric");
    expect(await verdictOf(here.peerloom(["doctor", "--to", id]))).toBe("symmetric-nat");
    up.signal("SIGKILL");
    await up.exit;
    expect(await verdictOf(here.peerloom(["doctor", "--to", id]))).toBe("peer-gone");
  });

  test("doctor names a wrong clock", async () => {
    const shifted = { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, SHIFT_MS: "600000" };
    expect(await verdictOf(lab.site("open").peerloom(["doctor"], shifted))).toBe("clock-wrong");
  });

  test("doctor names an edge that cannot be reached", async () => {
    const words = ["doctor", "--edge", "http://203.0.113.99:443"];
    expect(await verdictOf(lab.site("open").peerloom(words))).toBe("edge-unreachable");
  });
});

/** The verdict's code, which decides the exit code too. */
async function verdictOf(doctor: LabProcess): Promise<string> {
  const { code } = await doctor.event("verdict", 60_000);
  expect(await doctor.exit).toBe(code === "ok" ? 0 : 1);
  return String(code);
}
