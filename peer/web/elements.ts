/**
 * peerloom's custom elements: `<script type="module" src="https://edge.example/elements.js">` and then `<peerloom-share>`, `<peerloom-get>`,
 * `<peerloom-chat>`, `<peerloom-status>`, `<peerloom-doctor>`. All elements of a page share one peer for each network. Colours are custom properties
 * (`--peerloom-accent`, `-ink`, `-card`, …), and `::part(button | drop | item | qr | log | picture)` reach inside.
 */
import { enterNetwork } from "./elements/page-peers.ts";
import { PeerloomChat } from "./elements/chat.ts";
import { PeerloomDoctor } from "./elements/doctor.ts";
import { PeerloomGet } from "./elements/get.ts";
import { PeerloomShare } from "./elements/share.ts";
import { PeerloomStatus } from "./elements/status.ts";

export { enterNetwork, PeerloomChat, PeerloomDoctor, PeerloomGet, PeerloomShare, PeerloomStatus };

for (const [name, element] of [
  ["peerloom-chat", PeerloomChat],
  ["peerloom-share", PeerloomShare],
  ["peerloom-get", PeerloomGet],
  ["peerloom-status", PeerloomStatus],
  ["peerloom-doctor", PeerloomDoctor],
] as const) {
  if (customElements.get(name) === undefined) customElements.define(name, element);
}
