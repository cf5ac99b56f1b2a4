/**
 * The edge's own page: writes this edge's address into the examples and shows how it is. A file rather than a script in the
 * page, because the page's policy runs nothing else.
 */

/** The figures change slowly, and each look is a request to the edge. */
const LOOK_EVERY_MS = 15_000;

interface Health {
  readonly ok: boolean;
  readonly wireVersion: number;
}

for (const element of document.querySelectorAll("[data-origin]")) element.textContent = location.origin;
void look();
setInterval(() => {
  if (document.visibilityState === "visible") void look();
}, LOOK_EVERY_MS);

async function look(): Promise<void> {
  try {
    const health = (await (await ask("/health")).json()) as Health;
    const metrics = await (await ask("/metrics")).text();
    show("wire-version", String(health.wireVersion));
    show("members", sum(metrics, "peerloom_members"));
    show("sockets", sum(metrics, "peerloom_open_sockets"));
    showState(health.ok ? "well" : "ill", health.ok ? "well" : "not well");
  } catch {
    showState("ill", "does not answer");
  }
}

async function ask(path: string): Promise<Response> {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response;
}

/** Adds up all samples of one metric in Prometheus text. */
function sum(text: string, metric: string): string {
  const lines = text
    .split("\n")
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`));
  return String(lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0));
}

function show(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element !== null) element.textContent = text;
}

function showState(state: "well" | "ill", text: string): void {
  const element = document.getElementById("state");
  element?.setAttribute("data-state", state);
  show("state", text);
}
