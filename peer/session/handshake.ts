/**
 * The handshake as functions: from a peer id to a hello, from a hello to an answer, from an answer to keys. Who may
 * speak to whom on which link is the register's matter (sessions.ts).
 */
import { concatBytes, equalBytes } from "../../shared/bytes.ts";
import { parseErrorCode, PeerloomError } from "../../shared/errors.ts";
import { FRAME, SESSION_ID_BYTES } from "../../shared/frame.ts";
import { type NetworkName, type PeerId, peerIdFromKey, publicKeyOf, short } from "../../shared/ids.ts";
import { commonVersion } from "../../shared/wire-version.ts";
import { x25519PublicOf } from "../identity/curve.ts";
import type { Identity } from "../identity/identity.ts";
import type { Runtime } from "../runtime.ts";
import type { Admission } from "./admission.ts";
import { decodeHello, decodeWelcome, encodeHello, encodeWelcome } from "./hello.ts";
import { ephemeralKey, type KeyAgreement, NoiseAcceptor, NoiseDialler } from "./noise.ts";
import { chooseAead, deriveSessionKeys, type SessionKeys, sessionPrologue } from "./seal.ts";

export interface HandshakeContext {
  readonly runtime: Runtime;
  readonly identity: Identity;
  readonly network: NetworkName;
  /** Random, of this running peer. */
  readonly instance: Uint8Array;
  /** Of a private network. */
  readonly admission?: Admission | undefined;
}

export interface PendingHello {
  /** The whole frame; the same on every link. */
  readonly frame: Uint8Array;
  /**
   * @throws PeerloomError `session/handshake-failed`, `wire/version`, `wire/malformed`, `wire/too-large`; in a private network what
   *   `Admission.admit` throws
   */
  finish(noise: Uint8Array): Promise<{
    readonly sessionId: Uint8Array;
    readonly remoteInstance: Uint8Array;
    readonly version: number;
    readonly keys: SessionKeys;
  }>;
}

export async function beginHello(context: HandshakeContext, peerId: PeerId): Promise<PendingHello> {
  const { runtime, identity, network, instance, admission } = context;
  const sessionId = runtime.random.bytes(SESSION_ID_BYTES);
  const { handshake, message } = await NoiseDialler.begin({
    host: runtime,
    own: staticKey(identity),
    ephemeral: await ephemeralKey(),
    theirStatic: x25519PublicOf(publicKeyOf(peerId)),
    prologue: sessionPrologue(network),
    payload: encodeHello({
      publicKey: identity.publicKey,
      sessionId,
      instance,
      aeads: runtime.aead.supported,
      membership: admission?.shown,
    }),
    psk: admission?.psk,
  });
  return {
    frame: concatBytes(Uint8Array.of(FRAME.hello), message),
    async finish(noise) {
      const { payload, keys } = await handshake.finish(noise);
      const { version, instance: remoteInstance, aead, membership } = decodeWelcome(payload);
      commonVersion({ oldest: version, newest: version }, "peer");
      await admission?.admit(peerId, membership);
      return {
        sessionId,
        remoteInstance,
        version,
        keys: await deriveSessionKeys(runtime, aead, keys, "dialler"),
      };
    },
  };
}

export interface AcceptedHello {
  readonly peerId: PeerId;
  readonly sessionId: Uint8Array;
  readonly remoteInstance: Uint8Array;
  /** Of the wire, spoken by both. */
  readonly version: number;
  /** Noise message 2; empty until finished. */
  readonly answer: Uint8Array;
  /** Makes the answer and the keys. */
  finish(): Promise<{ readonly answer: Uint8Array; readonly keys: SessionKeys }>;
}

/**
 * @throws PeerloomError `session/handshake-failed`, `wire/version`, `wire/malformed`, `wire/too-large`, `id/invalid`,
 * `connect/self`; in a private network what `Admission.admit` throws
 */
export async function acceptHello(context: HandshakeContext, noise: Uint8Array): Promise<AcceptedHello> {
  const { runtime, identity, network, admission } = context;
  const prologue = sessionPrologue(network);
  const handshake = await NoiseAcceptor.read(runtime, staticKey(identity), prologue, noise, admission?.psk);
  const hello = decodeHello(handshake.payload);
  const version = commonVersion(hello.versions, "peer");
  // The key that was proved is an X25519 key; the peer id claims the Ed25519 key that it must follow from.
  if (!equalBytes(x25519PublicOf(hello.publicKey), handshake.theirStatic)) {
    throw new PeerloomError(
      "session/handshake-failed",
      "The peer id is not that of the key that was proved.",
    );
  }
  const peerId = peerIdFromKey(hello.publicKey);
  if (peerId === identity.id) throw new PeerloomError("connect/self", "A peer does not connect to itself.");
  await admission?.admit(peerId, hello.membership);
  return {
    peerId,
    sessionId: hello.sessionId,
    remoteInstance: hello.instance,
    version,
    answer: new Uint8Array(0),
    async finish() {
      const aead = chooseAead(runtime.aead.supported, hello.aeads);
      const { message, keys } = await handshake.answer(
        await ephemeralKey(),
        encodeWelcome(version, context.instance, aead, admission?.shown),
      );
      return { answer: message, keys: await deriveSessionKeys(runtime, aead, keys, "acceptor") };
    },
  };
}

/** The error of a `refuse` frame. It is not sealed, so whoever is on the link may have said it. */
export function refusedBy(peerId: PeerId, code: string): PeerloomError {
  return new PeerloomError(
    parseErrorCode(code, "session/handshake-failed"),
    `${short(peerId)} refused the link: ${code}.`,
  );
}

function staticKey(identity: Identity): KeyAgreement {
  return {
    publicKey: identity.agreementKey,
    agree: (theirs) => identity.agree(theirs),
  };
}
