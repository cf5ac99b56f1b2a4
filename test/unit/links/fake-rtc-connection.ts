/** A WebRTC connection that carries nothing and does what the test tells it. */
import type { RtcConnection, RtcPair } from "../../../peer/runtime.ts";
import type { PeerloomError } from "../../../shared/errors.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits.ts";

export class FakeRtcConnection implements RtcConnection {
  onOpen: () => void = () => {};
  onMessage: RtcConnection["onMessage"] = () => {};
  onText: RtcConnection["onText"] = () => {};
  onDrain: () => void = () => {};
  onClose: (error: PeerloomError | undefined) => void = () => {};
  readonly bufferedBytes = 0;
  readonly messageBytesMax = FRAME_BYTES_MAX;
  isDestroyed = false;
  readonly #pair: RtcPair | undefined;

  constructor(pair?: RtcPair) {
    this.#pair = pair;
  }

  accept(): void {}
  send(): void {}
  sendText(): void {}
  fingerprints(): { local: string; remote: string } {
    return { local: "aa", remote: "bb" };
  }
  chosenPair(): Promise<RtcPair | undefined> {
    return Promise.resolve(this.#pair);
  }
  close(): void {}
  destroy(): void {
    this.isDestroyed = true;
    this.onClose(undefined);
  }
}
