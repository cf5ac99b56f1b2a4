/**
 * What a service (files, later topics, records, calls…) asks of the peer it belongs to. Services know sessions and
 * streams through this and nothing of how peers were found or linked.
 */
import type { Ability } from "../../shared/credential.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Runtime } from "../runtime.ts";
import type { Session, StreamHandler } from "../session/contract.ts";

export interface ServiceHost {
  readonly id: PeerId;
  readonly network: NetworkName;
  readonly runtime: Runtime;
  /** Where this peer listens; empty when it does not. */
  addresses(): readonly string[];
  /**
   * The session to a peer, made when there is none.
   * @param options.addresses dial hints, e.g. from a ticket
   * @throws PeerloomError `connect/no-path`, `connect/timeout`, `connect/refused`, `peer/not-found`, `peer/closed`, `aborted`
   */
  connect(
    id: PeerId,
    options?: { readonly signal?: AbortSignal; readonly addresses?: readonly string[] },
  ): Promise<Session>;
  /** Sessions that stand, whoever made them. */
  sessions(): readonly Session[];
  /** An Ed25519 signature of this peer, 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
  /** Whether other peers are linked; waits a little for the first when one is about to be. @throws the signal's reason when aborted, `peer/closed` */
  isLinked(signal: AbortSignal): Promise<boolean>;
  /** Of a private network: what an edge is shown with each request. */
  readonly pass?: ((origin: string) => Promise<string>) | undefined;
  /** Of a private network. @throws PeerloomError `network/not-allowed` when this peer's invite does not allow it */
  requireAbility?(ability: Ability): void;
  /** Answers streams of a protocol. One handler a protocol; the function returned takes it away. */
  handle(protocol: string, handler: StreamHandler): () => void;
}
