/** Where a peer takes links: its one listening port, and that port as a gateway maps it, if it is asked to. */
import { utf8 } from "../../shared/bytes.ts";
import type { Identity } from "../identity/identity.ts";
import { parseListenAddress } from "../links/address.ts";
import type { Link } from "../links/link.ts";
import { listen } from "../links/listen.ts";
import { findMappers } from "../links/port-mapping/find-mappers.ts";
import { NONCE_BYTES } from "../links/port-mapping/mapper.ts";
import { PortMapping, type PortMappingState } from "../overlay/port-mapping.ts";
import type { Listener, Runtime } from "../runtime.ts";
import type { CheckedOptions } from "./options.ts";

/** What the identity signs makes the nonce by which a gateway knows the peer again that comes back after a crash. */
const NONCE_PREFIX = "peerloom/port-mapping/1";

export interface ListeningContext {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly options: Pick<CheckedOptions, "listen" | "mapPorts">;
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
    const { runtime, options, onLink } = this.#context;
    if (options.listen === undefined) return;
    this.#listener = await listen(runtime, parseListenAddress(options.listen), onLink);
    // What becomes of it is told; nobody waits for a gateway.
    if (options.mapPorts) this.#mapping = this.#map(this.#listener);
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

  #map({ host: listenHost, port }: Listener): PortMapping {
    const { runtime, identity } = this.#context;
    return new PortMapping({
      runtime,
      port,
      async *find(signal) {
        const nonce = (await identity.sign(utf8(NONCE_PREFIX))).slice(0, NONCE_BYTES);
        yield* findMappers(runtime, { listenHost, nonce }, signal);
      },
      onChange: (state) => this.#mapped(state),
    });
  }

  #mapped(state: PortMappingState): void {
    const address = state.phase === "mapped" ? state.address : undefined;
    const hasMoved = address !== this.#mappedAddress;
    this.#mappedAddress = address;
    if (hasMoved) this.#context.onMoved();
    this.#context.onMapping(state);
  }
}
