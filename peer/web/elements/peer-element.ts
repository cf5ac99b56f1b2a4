/** What the elements have in common: a shadow root with their style, and the peer of the network that they name. */
import type { Peer } from "../../browser.ts";
import { DEFAULT_NETWORK } from "../../../shared/ids.ts";
import { pagePeer } from "./page-peers.ts";
import { styles } from "./styles.ts";

/** Attributes: `network` (default "main"), `edge` (default: the one that served the script). */
export abstract class PeerElement extends HTMLElement {
  protected readonly root: ShadowRoot;

  constructor(style: string) {
    super();
    this.root = this.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = styles(style);
  }

  get network(): string {
    return this.getAttribute("network") ?? DEFAULT_NETWORK;
  }

  set network(name: string) {
    this.setAttribute("network", name);
  }

  /** @param edge where the element names none */
  protected peer(network: string = this.network, edge?: string): Promise<Peer> {
    return pagePeer(network, this.getAttribute("edge") ?? edge);
  }
}
