/**
 * The bytes of signals and envelopes as WIRE.md lays them down. The vectors are data: an implementation in another
 * language can run them. Random bytes are 1, 2, 3, … in the order in which they are asked for.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { identityFromSeed } from "../../../peer/identity/identity.ts";
import { sealSignal, SignalOpener } from "../../../peer/links/sealed-signal.ts";
import { decodeSignal, encodeSignal } from "../../../peer/links/signal-codec.ts";
import type { RtcBatch, SignalMessage } from "../../../peer/links/signaller.ts";
import { toHex } from "../../../shared/bytes.ts";
import { requireNetworkName } from "../../../shared/ids.ts";
import { countingRandom, hex, rejectionCode } from "./support.ts";

/** A message with its byte fields in hex. */
interface MessageVector {
  readonly kind: SignalMessage["kind"];
  readonly id?: string;
  readonly addresses?: readonly string[];
  readonly signal?: RtcBatch;
  readonly code?: string;
  readonly seq?: number;
  readonly frame?: string;
}

interface Vectors {
  readonly messages: readonly { readonly message: MessageVector; readonly bytes: string }[];
  readonly refused: readonly { readonly why: string; readonly bytes: string }[];
  readonly sealed: readonly {
    readonly senderSeed: string;
    readonly targetSeed: string;
    readonly sender: string;
    readonly target: string;
    readonly network: string;
    readonly timeMs: number;
    readonly message: MessageVector;
    readonly messageId: string;
    readonly sealed: string;
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/signals.json", import.meta.url), "utf8"),
) as Vectors;

describe("signals", () => {
  test.each(vectors.messages.map(({ message, bytes }) => [message.kind, message, bytes] as const))(
    "%s",
    (_, message, bytes) => {
      expect(toHex(encodeSignal(messageOf(message)))).toBe(bytes);
      expect(decodeSignal(hex(bytes))).toEqual(messageOf(message));
    },
  );

  test.each(vectors.refused.map(({ why, bytes }) => [why, bytes] as const))(
    "refused: %s",
    async (_, bytes) => {
      expect(await rejectionCode((async () => decodeSignal(hex(bytes)))())).toBe("wire/malformed");
    },
  );
});

test.each(vectors.sealed)("sealed by $sender for $target", async (vector) => {
  const sender = await identityFromSeed(hex(vector.senderSeed));
  const target = await identityFromSeed(hex(vector.targetSeed));
  expect([sender.id, target.id]).toEqual([vector.sender, vector.target]);
  const network = requireNetworkName(vector.network);
  const message = messageOf(vector.message);
  const sealed = await sealSignal(sender, target.id, network, message, vector.timeMs, countingRandom());
  expect(toHex(sealed)).toBe(vector.sealed);
  const opener = new SignalOpener({ identity: target, network, clock: { nowMs: () => vector.timeMs } });
  expect(await opener.open(hex(vector.sealed))).toEqual({
    from: sender.id,
    message,
    messageId: hex(vector.messageId),
  });
});

function messageOf({
  kind,
  id = "",
  addresses = [],
  signal,
  code = "",
  seq = 0,
  frame = "",
}: MessageVector): SignalMessage {
  switch (kind) {
    case "dial":
      return { kind, dialId: hex(id), addresses };
    case "rtc":
      if (signal === undefined) throw new Error("a vector of kind rtc has a signal");
      return { kind, connectionId: hex(id), signal };
    case "addresses":
      return { kind, addresses };
    case "meet":
      return { kind };
    case "refuse":
      return { kind, id: hex(id), code };
    case "frame":
      return { kind, linkId: hex(id), seq, frame: hex(frame) };
  }
}
