/**
 * Seals bytes to a peer id: only its holder can read them, the sender is proved by signature, and they pass once, in
 * one network, within two minutes. Whoever carries an envelope (the rendezvous, forwarding peers) sees its target and
 * its length. The sender's ephemeral X25519 key agrees with the target's, which follows from the target's id.
 *
 *     envelope  = ephemeral public key (32) | AES-256-GCM(key, nonce 0, header = ephemeral public key, inside) | tag (16)
 *     key       = HKDF-SHA-256(X25519(ephemeral, target), salt = "", info = DOMAIN | ephemeral | target's id as text)
 *     inside    = msgpack [sender's Ed25519 key, network, time ms, message id (12), content, signature (64)]
 *     signature = Ed25519 over envelopeClaim(...)
 *
 * The key serves one envelope, hence the constant nonce. The signature covers target and ephemeral key, so that the
 * target cannot seal what it received once more to somebody else in the sender's name.
 */
import { bufferSource, concatBytes, toBase32, utf8 } from "../../shared/bytes.ts";
import { decode, encode, FieldReader } from "../../shared/codec.ts";
import { PeerloomError } from "../../shared/errors.ts";
import {
  type NetworkName,
  parseNetworkName,
  type PeerId,
  peerIdFromKey,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from "../../shared/ids.ts";
import { SIGNAL_BYTES_MAX } from "../../shared/limits.ts";
import type { Clock, Random } from "../runtime.ts";
import { x25519PublicOf } from "./curve.ts";
import type { Identity } from "./identity.ts";
import { ReplayGuard } from "./replay-guard.ts";
import { SIGNATURE_BYTES, verify } from "./verify.ts";
import {
  agreementPublicOf,
  agreeWith,
  importAgreementKey,
  SECRET_BYTES,
  X25519_PUBLIC_BYTES,
} from "./x25519.ts";

const DOMAIN = "peerloom/signal/1";
/** Of the id of a message, which the sender draws and only the target reads. */
export const MESSAGE_ID_BYTES = 12;
const TAG_BYTES = 16;
const NONCE: Uint8Array = new Uint8Array(12);
const TIME_MS_MAX: number = Number.MAX_SAFE_INTEGER;
const INSIDE_LIMITS = { bytesMax: SIGNAL_BYTES_MAX, depthMax: 1, itemsMax: 7, textBytesMax: 64 } as const;

/** Envelopes opened at once; past that they are refused, since somebody floods. One takes about a millisecond. */
export const ENVELOPES_OPENING_MAX = 64;

/**
 * Takes `random.bytes(32)` for the ephemeral key, then, if none is given, `random.bytes(12)` for the message id.
 * @throws PeerloomError `id/invalid` when `to` is no real key, `wire/too-large`
 */
export async function sealEnvelope(
  identity: Identity,
  to: PeerId,
  network: NetworkName,
  content: Uint8Array,
  nowMs: number,
  random: Random,
  ownMessageId?: Uint8Array,
): Promise<Uint8Array> {
  const target = x25519PublicOf(publicKeyOf(to));
  const ephemeralKey = await importAgreementKey(random.bytes(SECRET_BYTES));
  const ephemeral = await agreementPublicOf(ephemeralKey);
  const messageId = ownMessageId ?? random.bytes(MESSAGE_ID_BYTES);
  const timeMs = Math.trunc(nowMs);
  const claim = envelopeClaim({ from: identity.id, to, network, timeMs, messageId, ephemeral, content });
  const signature = await identity.sign(claim);
  const inside = encode([identity.publicKey, network, timeMs, messageId, content, signature]);
  if (X25519_PUBLIC_BYTES + inside.length + TAG_BYTES > SIGNAL_BYTES_MAX) {
    throw new PeerloomError(
      "wire/too-large",
      `A signal of ${content.length} bytes does not fit into ${SIGNAL_BYTES_MAX}.`,
    );
  }
  const key = await sealingKey(await agreeWith(ephemeralKey, target), ephemeral, to, "encrypt");
  const parameters = { name: "AES-GCM", iv: bufferSource(NONCE), additionalData: bufferSource(ephemeral) };
  const sealed = await crypto.subtle.encrypt(parameters, key, bufferSource(inside));
  return concatBytes(ephemeral, new Uint8Array(sealed));
}

export interface OpenedEnvelope {
  readonly from: PeerId;
  readonly content: Uint8Array;
  readonly messageId: Uint8Array;
}

/** Opens the envelopes of one peer in one network, each once. */
export class EnvelopeOpener {
  readonly #identity: Identity;
  readonly #network: NetworkName;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #replays = new ReplayGuard();
  #opening = 0;

  constructor(options: {
    readonly identity: Identity;
    readonly network: NetworkName;
    readonly clock: Pick<Clock, "nowMs">;
  }) {
    this.#identity = options.identity;
    this.#network = options.network;
    this.#clock = options.clock;
  }

  /**
   * @returns who proved to have sent it, what, and its id: whoever shows that has read it
   * @throws PeerloomError `signal/forged` (not for us, changed, of another network, wrongly signed), `signal/stale`,
   *   `signal/replayed`, `wire/malformed`, `wire/too-large`, `edge/rate-limited` (too many at once)
   */
  async open(sealed: Uint8Array): Promise<OpenedEnvelope> {
    if (this.#opening >= ENVELOPES_OPENING_MAX) {
      throw new PeerloomError("edge/rate-limited", "Too many signals at once; this one was dropped.");
    }
    this.#opening += 1;
    try {
      return await this.#open(sealed);
    } finally {
      this.#opening -= 1;
    }
  }

  async #open(sealed: Uint8Array): Promise<OpenedEnvelope> {
    if (sealed.length > SIGNAL_BYTES_MAX) {
      throw new PeerloomError(
        "wire/too-large",
        `A signal of ${sealed.length} bytes; at most ${SIGNAL_BYTES_MAX} are allowed.`,
      );
    }
    if (sealed.length <= X25519_PUBLIC_BYTES + TAG_BYTES) {
      throw new PeerloomError("wire/malformed", "A signal is too short to hold anything.");
    }
    const ephemeral = sealed.slice(0, X25519_PUBLIC_BYTES);
    const inside = readInside(await this.#unseal(ephemeral, sealed.subarray(X25519_PUBLIC_BYTES)));
    if (inside.network !== this.#network) throw forged("is of another network");
    this.#replays.checkFresh(inside.timeMs, this.#clock.nowMs());
    const from = peerIdFromKey(inside.publicKey);
    const claim = envelopeClaim({ ...inside, from, to: this.#identity.id, ephemeral });
    if (!(await verify(inside.publicKey, claim, inside.signature)))
      throw forged("does not bear its sender's signature");
    this.#replays.take(`${from}${toBase32(inside.messageId)}`, inside.timeMs, this.#clock.nowMs());
    return { from, content: inside.content, messageId: inside.messageId };
  }

  async #unseal(ephemeral: Uint8Array, sealed: Uint8Array): Promise<Uint8Array> {
    const secret = await this.#identity.agree(ephemeral);
    const key = await sealingKey(secret, ephemeral, this.#identity.id, "decrypt");
    const parameters = { name: "AES-GCM", iv: bufferSource(NONCE), additionalData: bufferSource(ephemeral) };
    try {
      return new Uint8Array(await crypto.subtle.decrypt(parameters, key, bufferSource(sealed)));
    } catch {
      throw forged("was not sealed to this peer, or was changed on its way");
    }
  }
}

/** The bytes that the sender signs. Every part before the content has a fixed length or ends with a line feed. */
export function envelopeClaim(claim: {
  readonly from: PeerId;
  readonly to: PeerId;
  readonly network: NetworkName;
  readonly timeMs: number;
  readonly messageId: Uint8Array;
  readonly ephemeral: Uint8Array;
  readonly content: Uint8Array;
}): Uint8Array {
  const head = [DOMAIN, claim.from, claim.to, claim.network, claim.timeMs, ""].join("\n");
  return concatBytes(utf8(head), claim.messageId, claim.ephemeral, claim.content);
}

interface Inside {
  readonly publicKey: Uint8Array;
  readonly network: NetworkName;
  readonly timeMs: number;
  readonly messageId: Uint8Array;
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

function readInside(bytes: Uint8Array): Inside {
  const fields = new FieldReader(decode(bytes, INSIDE_LIMITS), "signal");
  const inside = {
    publicKey: fields.bytes(PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES),
    network: fields.parsed(parseNetworkName, "a network name"),
    timeMs: fields.integer(0, TIME_MS_MAX),
    messageId: fields.bytes(MESSAGE_ID_BYTES, MESSAGE_ID_BYTES),
    content: fields.bytes(0, SIGNAL_BYTES_MAX),
    signature: fields.bytes(SIGNATURE_BYTES, SIGNATURE_BYTES),
  };
  fields.end();
  return inside;
}

async function sealingKey(
  secret: Uint8Array,
  ephemeral: Uint8Array,
  to: PeerId,
  use: "encrypt" | "decrypt",
): Promise<CryptoKey> {
  const info = bufferSource(concatBytes(utf8(DOMAIN), ephemeral, utf8(to)));
  const parameters = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
  const base = await crypto.subtle.importKey("raw", bufferSource(secret), "HKDF", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(parameters, base, { name: "AES-GCM", length: 256 }, false, [use]);
}

function forged(why: string): PeerloomError {
  return new PeerloomError("signal/forged", `A signal ${why}; it was dropped.`);
}
