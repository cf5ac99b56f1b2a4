/** What all elements look like; each adds its own. A page sets the custom properties, or styles the parts. */

const BASE = `
:host {
  display: block;
  color-scheme: inherit;
  --accent: var(--peerloom-accent, light-dark(#2f6f5e, #6fc2a9));
  --on-accent: var(--peerloom-on-accent, light-dark(#fff, #10201b));
  --ink: var(--peerloom-ink, light-dark(#1c2422, #e8ebe6));
  --soft: var(--peerloom-soft, light-dark(#5a6763, #9aa6a1));
  --card: var(--peerloom-card, light-dark(#fff, #1e2422));
  --well: var(--peerloom-well, light-dark(#f2f0e9, #161a19));
  --line: var(--peerloom-line, light-dark(#dedcd2, #323a37));
  --bad: var(--peerloom-bad, light-dark(#a4382c, #e48a7e));
  --relay: var(--peerloom-relay, light-dark(#a86a12, #e0b062));
  --overlay: var(--peerloom-overlay, light-dark(#6b53a8, #b6a2ea));
  color: var(--ink);
  font: 1rem/1.5 ui-sans-serif, system-ui, sans-serif;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
button, input, .file {
  font: inherit;
  color: inherit;
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  background: var(--card);
  padding: 0.4rem 0.8rem;
}
button { cursor: pointer; }
button:hover { border-color: var(--accent); }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
button:disabled { opacity: 0.5; cursor: default; }
:focus-visible { outline: 3px solid color-mix(in srgb, var(--accent) 55%, transparent); outline-offset: 2px; }
progress { width: 100%; height: 0.5rem; accent-color: var(--accent); }
code { font: 0.85rem/1.5 ui-monospace, Menlo, monospace; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: 0.9rem; }
.soft:empty { margin: 0; }
.row { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.error { color: var(--bad); margin: 0.5rem 0 0; }
.error:empty { display: none; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

let base: CSSStyleSheet | undefined;

/** Style sheets rather than style elements: a strict policy forbids those. */
export function styles(own: string): CSSStyleSheet[] {
  base ??= sheet(BASE);
  return [base, sheet(own)];
}

function sheet(text: string): CSSStyleSheet {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}
