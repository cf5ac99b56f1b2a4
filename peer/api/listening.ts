/** Where a peer takes links: its one listening port, and that port as a gateway maps it, if it is asked to. */
import { PeerloomError } from "../../shared/errors.ts";
import type { Identity } from "../identity/identity.ts";
import { parseListenAddress } from "../links/address.ts";
import type { Link } from "../links/link.ts";
import type { PortMapping, PortMappingState } from "../overlay/port-mapping.ts";
import type { Listener, Runtime } from "../runtime.ts";
import type { CheckedOptions } from "./options.ts";
import type { SocketParts } from "./parts.ts";

export interface ListeningContext {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly options: Pick<CheckedOptions, "listen" | "mapPorts">;
  readonly sockets: SocketParts | undefined;
  onLink(link: Link): void;
  /** What a gateway does for the port has changed. */
  onMapping(state: PortMappingState): void;
  /** `addresses` are others. */
  onMoved(): void;
}

export class Listening {
  readonly #context: ListeningContext;
  #listener: Listener | undefined;
  #mapping: PortMapping | undefined;
  #mappedAddress: string | undefined;

  constructor(context: ListeningContext) {
    this.#context = context;
  }

  /** @throws PeerloomError `link/unavailable` where the host cannot listen, `link/failed` when the port is taken, `usage/invalid` */
  async open(): Promise<void> {
    const { runtime, identity, options, sockets, onLink } = this.#context;
    if (options.listen === undefined) return;
    const where = parseListenAddress(options.listen);
    if (sockets === undefined) throw new PeerloomError("link/unavailable", "This host cannot listen.");
    const listener = await sockets.listen(runtime, where, onLink);
    this.#listener = listener;
    // What becomes of it is told; nobody waits for a gateway.
    if (options.mapPorts)
      this.#mapping = sockets.mapPort({
        runtime,
        identity,
        listener,
        onChange: (state) => this.#mapped(state),
      });
  }

  /**
   * As others would dial this peer. The mapped address is the second: who is near dials the near one first, and where only so many addresses are
   * kept it is not the one that is left out.
   */
  addresses(): readonly string[] {
    const [first, ...others] = this.ownAddresses();
    const mapped = this.#mappedAddress;
    return first === undefined ? [] : [first, ...(mapped === undefined ? [] : [mapped]), ...others];
  }

  /** Those of this machine itself. */
  ownAddresses(): readonly string[] {
    return this.#listener?.addresses() ?? [];
  }

  /** Null where no gateway is asked. */
  get mapping(): PortMappingState | null {
    return this.#mapping?.state ?? null;
  }

  /** This machine's network may be another one. */
  hurry(): void {
    this.#mapping?.hurry();
  }

  /** Removes the mapping, and resolves when the port is free again; accepted sockets stay. */
  async close(): Promise<void> {
    await this.#mapping?.close();
    await this.#listener?.close();
  }

  #mapped(state: PortMappingState): void {
    const address = state.phase === "mapped" ? state.address : undefined;
    const hasMoved = address !== this.#mappedAddress;
    this.#mappedAddress = address;
    if (hasMoved) this.#context.onMoved();
    this.#context.onMapping(state);
  }
}
