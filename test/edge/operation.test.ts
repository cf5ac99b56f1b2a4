/** What an operator sees: every series is documented and drawn, `/health` means what it says. */
import { describe, expect, test } from "vitest";
import { examine } from "../../edge/health.ts";
import { Counters, prometheusText } from "../../edge/metrics.ts";
import dashboard from "../../infra/grafana.json" with { type: "json" };
import alerts from "../../infra/alerts.yaml?raw";
import operating from "../../infra/OPERATING.md?raw";

/** With a sample of everything that has labels. */
const text = prometheusText(
  { counts: { "errors:wire/malformed": 2, joins: 3 }, sockets: { rendezvous: 1 }, members: 1 },
  {
    refused: { "edge/rate-limited": 4 },
    bannedPrefixes: 2,
    spending: { stage: "relay-off", units: 760.4, limit: 1_000 },
  },
);
const series = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({ name, type }));

describe("metrics", () => {
  test("every series is documented with its type and label, and nothing else is", () => {
    const rows = [...operating.matchAll(/^\| `(peerloom_\w+)` \| (\w+) \| (?:`(\w+)`)? ?\|/gm)].map(
      ([, name, type, label]) => ({ name, type, label }),
    );
    const told = series.map(({ name, type }) => ({
      name,
      type,
      label: new RegExp(`^${name}\\{(\\w+)=`, "m").exec(text)?.[1],
    }));
    expect(rows).toHaveLength(told.length);
    expect(rows).toEqual(expect.arrayContaining(told));
  });

  test("every sample belongs to a series that was declared", () => {
    const names = new Set(series.map(({ name }) => name));
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    expect(samples.length).toBeGreaterThanOrEqual(names.size);
    for (const line of samples) expect([line, names.has(/^\w+/.exec(line)?.[0] ?? "")]).toEqual([line, true]);
    expect(samples).toContain('peerloom_errors_total{code="wire/malformed"} 2');
    expect(samples).toContain("peerloom_joins_total 3");
    expect(samples).toContain("peerloom_budget_units 760");
    expect(samples).toContain("peerloom_budget_stage 2");
  });

  test("the dashboard draws series that exist, all of them, each where its label does", () => {
    const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const drawn = new Set(queries.flatMap((query) => query.match(/peerloom_\w+/g) ?? []));
    expect(drawn).toEqual(new Set(series.map(({ name }) => name)));
    for (const query of queries) {
      const [, label, name] = /by \((\w+)\) .*?(peerloom_\w+)/.exec(query) ?? [];
      if (label !== undefined) expect(text).toContain(`${name}{${label}=`);
    }
  });

  test("alerts look at series that exist, the budget's among them", () => {
    const rules = [...alerts.matchAll(/^ {6}- alert: (\w+)\n {8}expr: (.+)$/gm)];
    expect(rules).toHaveLength(alerts.match(/alert:/g)?.length ?? 0);
    const names = series.map(({ name }) => name);
    const used = rules.flatMap(([, , expr = ""]) => expr.match(/peerloom_\w+/g) ?? []);
    for (const name of used) expect(names).toContain(name);
    expect(used).toEqual(
      expect.arrayContaining([
        "peerloom_budget_units",
        "peerloom_budget_limit_units",
        "peerloom_budget_stage",
      ]),
    );
  });

  test("what an object counts first is that it woke", () => {
    const counters = new Counters();
    expect([counters.drain(), counters.drain()]).toEqual([{ wakes: 1 }, {}]);
  });
});

describe("health", () => {
  test("says which part is late and which has failed, within its deadline", async () => {
    const health = await examine(
      {
        well: async () => "answer",
        silent: () => new Promise(() => {}),
        broken: async () => {
          throw new Error("storage is gone");
        },
      },
      20,
    );
    expect(health).toMatchObject({
      ok: false,
      status: "degraded",
      parts: { well: "ok", silent: "late", broken: "failed" },
    });
    expect(JSON.stringify(health)).not.toContain("storage is gone");
  });
});
