/** What was tried on the way to a better path, and what came of it: for those who want to see why a path is as it is. */
import type { PeerloomError } from "../../shared/errors.ts";
import type { PeerId } from "../../shared/ids.ts";
import type { IceOutcome } from "./rtc-negotiations.ts";

/** A dial to an address that the other side listens on, or a WebRTC negotiation with it. */
export type PathAttempt =
  | {
      readonly peerId: PeerId;
      readonly transport: "address";
      readonly address: string;
      /** Undefined: the connection stands. */
      readonly error: PeerloomError | undefined;
    }
  | ({ readonly peerId: PeerId; readonly transport: "webrtc" } & IceOutcome);
