/** From a peer id to keys and back: what a hello proves, and what it cannot claim. */
import { expect, test } from "vitest";
import { nodeRuntime } from "../../../peer/adapters/node/runtime.ts";
import { x25519PublicOf } from "../../../peer/identity/curve.ts";
import { type Identity, identityFromSeed } from "../../../peer/identity/identity.ts";
import { acceptHello, beginHello, type HandshakeContext } from "../../../peer/session/handshake.ts";
import { decodeWelcome, encodeHello } from "../../../peer/session/hello.ts";
import { ephemeralKey, NoiseDialler } from "../../../peer/session/noise.ts";
import { nonceOf, sessionPrologue } from "../../../peer/session/seal.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { decode, encode } from "../../../shared/codec.ts";
import { FRAME, frameHeader, parseFrame } from "../../../shared/frame.ts";
import { requireNetworkName } from "../../../shared/ids.ts";
import { rejectionCode, seedOf } from "../identity/support.ts";
import { counting } from "./support.ts";

const runtime = nodeRuntime({ dataDir: undefined, webrtc: undefined });
const [alice, bob, carol] = (await Promise.all([1, 2, 3].map((byte) => identityFromSeed(seedOf(byte))))) as [
  Identity,
  Identity,
  Identity,
];

function contextOf(identity: Identity, network = "lab"): HandshakeContext {
  return {
    runtime,
    identity,
    network: requireNetworkName(network),
    instance: identity.publicKey.slice(0, 8),
  };
}

function noiseOf(frame: Uint8Array): Uint8Array {
  const parsed = parseFrame(frame);
  if (parsed.type !== "hello") throw new Error(`${parsed.type} is no hello`);
  return parsed.noise;
}

const hello = {
  publicKey: alice.publicKey,
  sessionId: counting(16),
  instance: counting(8),
  aeads: ["aes-256-gcm"],
};

/** A first message with this payload, sealed with Alice's static key. */
async function dial(payload: Uint8Array): ReturnType<typeof NoiseDialler.begin> {
  return NoiseDialler.begin({
    host: runtime,
    own: { publicKey: x25519PublicOf(alice.publicKey), agree: (theirs) => alice.agree(theirs) },
    ephemeral: await ephemeralKey(),
    theirStatic: x25519PublicOf(bob.publicKey),
    prologue: sessionPrologue("lab"),
    payload,
  });
}

/** What Bob makes of this payload. */
async function accepts(payload: Uint8Array): Promise<string> {
  const { message } = await dial(payload);
  return rejectionCode(acceptHello(contextOf(bob), message));
}

test("both sides learn who the other is and hold keys that open each other's frames", async () => {
  const dialling = await beginHello(contextOf(alice), bob.id);
  const accepted = await acceptHello(contextOf(bob), noiseOf(dialling.frame));
  const acceptor = await accepted.finish();
  const dialler = await dialling.finish(acceptor.answer);

  expect(accepted.peerId).toBe(alice.id);
  expect(accepted.sessionId).toEqual(dialler.sessionId);
  expect(accepted.remoteInstance).toEqual(contextOf(alice).instance);
  expect(dialler.remoteInstance).toEqual(contextOf(bob).instance);
  const text = counting(40);
  const header = frameHeader(FRAME.data, 7);
  for (const [seals, opens] of [
    [dialler.keys.sendData, acceptor.keys.receiveData],
    [acceptor.keys.sendData, dialler.keys.receiveData],
    [dialler.keys.sendControl, acceptor.keys.receiveControl],
    [acceptor.keys.sendControl, dialler.keys.receiveControl],
  ] as const) {
    const sealed = concatBytes(...(await seals.seal(nonceOf(7), header, [text])));
    expect(await opens.open(nonceOf(7), header, sealed)).toEqual(text);
  }
});

test("a hello is for one peer in one network, and not for oneself", async () => {
  const { frame } = await beginHello(contextOf(alice), bob.id);
  expect(await rejectionCode(acceptHello(contextOf(bob), noiseOf(frame)))).toBe("nothing thrown");
  expect(await rejectionCode(acceptHello(contextOf(carol), noiseOf(frame)))).toBe("session/handshake-failed");
  expect(await rejectionCode(acceptHello(contextOf(bob, "lab2"), noiseOf(frame)))).toBe(
    "session/handshake-failed",
  );
  const toSelf = await beginHello(contextOf(bob), bob.id);
  expect(await rejectionCode(acceptHello(contextOf(bob), noiseOf(toSelf.frame)))).toBe("connect/self");
});

test("nobody claims another's id", async () => {
  expect(await accepts(encodeHello(hello))).toBe("nothing thrown");
  expect(await accepts(encodeHello({ ...hello, publicKey: carol.publicKey }))).toBe(
    "session/handshake-failed",
  );
  expect(await accepts(encodeHello({ ...hello, publicKey: new Uint8Array(32) }))).toBe("id/invalid");
});

test("another version is told from nonsense", async () => {
  const fields = decode(encodeHello(hello), { bytesMax: 512 }) as unknown[];
  expect(await accepts(encode([3, ...fields.slice(1)]))).toBe("wire/version");
  expect(await accepts(encode([0, ...fields.slice(1, 4), hello.aeads]))).toBe("wire/version");
  expect(await accepts(encode(fields.slice(1)))).toBe("wire/malformed");
  expect(await accepts(new Uint8Array(2_000))).toBe("wire/too-large");
});

test("a peer one version back is answered in its version", async () => {
  const fields = decode(encodeHello(hello), { bytesMax: 512 }) as unknown[];
  const { handshake, message } = await dial(encode([1, ...fields.slice(1, 4), hello.aeads]));
  const { answer } = await (await acceptHello(contextOf(bob), message)).finish();
  const { payload } = await handshake.finish(answer);
  expect(decodeWelcome(payload).version).toBe(1);
});

test("a forged answer is refused, and the true one still counts", async () => {
  const dialling = await beginHello(contextOf(alice), bob.id);
  const { answer } = await (await acceptHello(contextOf(bob), noiseOf(dialling.frame))).finish();
  const forged = answer.slice();
  forged[40]! ^= 1;
  expect(await rejectionCode(dialling.finish(forged))).toBe("session/handshake-failed");
  expect(await rejectionCode(dialling.finish(answer))).toBe("nothing thrown");
});
