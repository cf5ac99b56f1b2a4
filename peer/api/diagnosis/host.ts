/** On what a diagnosis runs. Types only. */
import type { Identity } from "../../identity/identity.ts";
import type { KeyValueStorage, Runtime } from "../../runtime.ts";
import type { PeerParts } from "../parts.ts";
import type { Peer } from "../peer.ts";

export interface DiagnosisHost {
  readonly runtime: Runtime;
  /** Of the peers that it opens; where there are sockets, it asks by them too. */
  readonly parts: PeerParts;
  /** Goes to the peer that is asked for: under an identity, or one that runs and stays. @default a passing identity that knows no network */
  readonly looker?: Looker | Peer | undefined;
}

/** Who looks for the other peer: in a network by invite, one that is let in. */
export interface Looker {
  readonly identity: Identity;
  /** Keeps what is known of private networks. */
  readonly storage: KeyValueStorage;
}
