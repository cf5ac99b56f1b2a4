/** What may live at keys of the overlay: the mesh on one side, records and whatever else is looked for by its key on the other. */
import type { MeshKey } from "./mesh-key.ts";

/** A request for a key, as a service sees it. */
export interface KeyRequest {
  readonly target: MeshKey;
  readonly body: Uint8Array;
  /** Nobody closer to the key is known; else it goes on when it is not answered here. */
  readonly ends: boolean;
  /** The neighbour it came from; undefined: this peer asks. */
  readonly from: MeshKey | undefined;
  /** Who asks, by its own word. */
  readonly origin: MeshKey;
}

/** What lives at keys, as records do: answers requests for keys and keeps in touch with neighbours. */
export interface MeshService {
  /** @returns whether it is answered here; `answer` is called once at most, now or later, with at most `BODY_BYTES_MAX` bytes */
  serve(request: KeyRequest, answer: (body: Uint8Array) => void): boolean;
  /** A note of the same service of a neighbour. */
  receive(from: MeshKey, note: Uint8Array): void;
  /** An answer to somebody else passes. */
  passed(body: Uint8Array): void;
  /** A neighbour has come, or is gone. */
  changed(gone: MeshKey | undefined): void;
  /** This peer leaves: what others must have is told now. */
  leave(): void;
}
