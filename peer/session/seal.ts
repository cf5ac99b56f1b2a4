/**
 * The keys of one session, and sealing with them. Data frames are numbered by the session and sealed once, whatever
 * link carries them, so that a frame sent again on another link is the same bytes and no nonce ever meets two texts.
 * Control frames have keys and counters of their own.
 */
import { concatBytes, utf8, writeUint32 } from "../../shared/bytes.ts";
import type { AeadKey, AeadName } from "../runtime.ts";
import type { NoiseHost, NoiseKeys } from "./noise.ts";

/** The four keys that one side of a session uses. */
export interface SessionKeys {
  readonly sendData: AeadKey;
  readonly receiveData: AeadKey;
  readonly sendControl: AeadKey;
  readonly receiveControl: AeadKey;
}

const KEY_BYTES: { readonly [name in AeadName]: number } = { "aes-256-gcm": 32, "aes-128-ocb": 16 };

/** Derives a key for each direction and purpose from what the handshake gave. */
export async function deriveSessionKeys(
  host: NoiseHost,
  name: AeadName,
  noise: NoiseKeys,
  role: "dialler" | "acceptor",
): Promise<SessionKeys> {
  const derive = async (secret: Uint8Array, purpose: string): Promise<AeadKey> => {
    const info = utf8(`peerloom/session/1 ${name} ${purpose}`);
    return host.aead.importKey(name, await host.hash.hkdf(secret, noise.transcript, info, KEY_BYTES[name]));
  };
  const [own, theirs] =
    role === "dialler" ? [noise.fromDialler, noise.fromAcceptor] : [noise.fromAcceptor, noise.fromDialler];
  const [sendData, receiveData, sendControl, receiveControl] = await Promise.all([
    derive(own, "data"),
    derive(theirs, "data"),
    derive(own, "control"),
    derive(theirs, "control"),
  ]);
  return { sendData, receiveData, sendControl, receiveControl };
}

/** The 12-byte nonce of a counter: four zero bytes, then 64 bits big-endian. */
export function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  writeUint32(nonce, 4, Math.floor(counter / 2 ** 32));
  writeUint32(nonce, 8, counter >>> 0);
  return nonce;
}

/** The first of ours that the other side has too; both always have `aes-256-gcm`. */
export function chooseAead(ours: readonly AeadName[], theirs: readonly string[]): AeadName {
  return ours.find((name) => theirs.includes(name)) ?? "aes-256-gcm";
}

/** Bytes before the frame's network in the prologue: another network or version cannot finish the handshake. */
export function sessionPrologue(network: string): Uint8Array {
  return concatBytes(utf8("peerloom/session/1\n"), utf8(network));
}
