/**
 * peerloom's custom elements: `<script type="module" src="https://edge.example/elements.js">` and then `<peerloom-share>`, `<peerloom-get>`,
 * `<peerloom-status>`. All elements of a page share one peer for each network. Colours are custom properties
 * (`--peerloom-accent`, `-ink`, `-card`, …), and `::part(button | drop | item | qr | picture)` reach inside.
 */
import { PeerloomGet } from "./elements/get.ts";
import { PeerloomShare } from "./elements/share.ts";
import { PeerloomStatus } from "./elements/status.ts";

export { PeerloomGet, PeerloomShare, PeerloomStatus };

for (const [name, element] of [
  ["peerloom-share", PeerloomShare],
  ["peerloom-get", PeerloomGet],
  ["peerloom-status", PeerloomStatus],
] as const) {
  if (customElements.get(name) === undefined) customElements.define(name, element);
}
