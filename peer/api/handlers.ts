/** Who answers which protocol at a peer. What a member of a private network needs an ability for, it is refused without. */
import type { PeerId } from "../../shared/ids.ts";
import { WORK_PROTOCOL } from "../services/compute/work-protocol.ts";
import type { StreamHandler } from "../session/contract.ts";

export class Handlers {
  readonly #mayCompute: (peerId: PeerId) => boolean;
  readonly #byProtocol = new Map<string, StreamHandler>();

  /** @param mayCompute whether a member may have work done here */
  constructor(mayCompute: (peerId: PeerId) => boolean) {
    this.#mayCompute = mayCompute;
  }

  /** One each, a second one replaces the first. @returns takes it away, unless it was replaced */
  add(protocol: string, handler: StreamHandler): () => void {
    this.#byProtocol.set(protocol, handler);
    return () => {
      if (this.#byProtocol.get(protocol) === handler) this.#byProtocol.delete(protocol);
    };
  }

  of(protocol: string): StreamHandler | undefined {
    const handler = this.#byProtocol.get(protocol);
    if (handler === undefined || protocol !== WORK_PROTOCOL) return handler;
    return (stream, session) => {
      if (this.#mayCompute(session.peerId)) return handler(stream, session);
      stream.reset("network/not-allowed");
    };
  }
}
