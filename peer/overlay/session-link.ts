/** A session as a link of the mesh. */
import type { PeerId } from "../../shared/ids.ts";
import type { PeerSession } from "../session/session.ts";
import { addressPrefix } from "./address-prefix.ts";
import type { MeshKey } from "./mesh/mesh-key.ts";
import type { MeshLink } from "./mesh/neighbour.ts";

export interface LinkOwner {
  detach(session: PeerSession): void;
  contactOf(peerId: PeerId): Uint8Array;
}

export class SessionLink implements MeshLink {
  readonly key: MeshKey;
  readonly session: PeerSession;
  readonly prefix: string | undefined;
  readonly isRelayed: boolean;
  readonly #overlay: LinkOwner;

  constructor(key: MeshKey, session: PeerSession, overlay: LinkOwner) {
    this.key = key;
    this.session = session;
    this.isRelayed = session.path.kind === "relay";
    this.prefix = addressPrefix(session.remoteHost ?? "");
    this.#overlay = overlay;
  }

  get contact(): Uint8Array {
    return this.#overlay.contactOf(this.session.peerId);
  }

  send(message: Uint8Array): void {
    this.session.sendOverlay(message);
  }

  close(): void {
    this.#overlay.detach(this.session);
  }
}
