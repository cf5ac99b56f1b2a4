/**
 * Noise_IK_25519_AESGCM_SHA256 (noiseprotocol.org, revision 34, sections 5 and 7.5) with the host's ciphers:
 * mutual authentication and fresh keys in one round trip, the dialler's identity hidden. The dialler knows the other's static
 * key because it follows from the peer id. In a network by secret the same with a pre-shared key, IKpsk1 (section 9): who has it not is
 * found out by the first message. Only these patterns; the session above gives prologue and payloads.
 */
import { bufferSource, concatBytes, utf8 } from "../../shared/bytes.ts";
import { PeerloomError } from "../../shared/errors.ts";
import type { AeadKey, Runtime } from "../runtime.ts";

const PROTOCOL_NAME = {
  plain: "Noise_IK_25519_AESGCM_SHA256",
  psk: "Noise_IKpsk1_25519_AESGCM_SHA256",
} as const;
const DH_BYTES = 32;
const TAG_BYTES = 16;
const EMPTY: Uint8Array = new Uint8Array(0);

/** An X25519 key pair whose private half need not be readable. */
export interface KeyAgreement {
  readonly publicKey: Uint8Array;
  agree(theirPublicKey: Uint8Array): Promise<Uint8Array>;
}

/** What a handshake asks of its host. */
export type NoiseHost = Pick<Runtime, "aead" | "hash">;

export interface NoiseKeys {
  /** Seals what the dialler sends. */
  readonly fromDialler: Uint8Array;
  /** Seals what the acceptor sends. */
  readonly fromAcceptor: Uint8Array;
  /** The handshake hash: differs in every session, the same on both sides. */
  readonly transcript: Uint8Array;
}

/** Made ahead of its handshake, and for one only: whoever dials need not wait for it. */
let nextEphemeral: Promise<KeyAgreement> | undefined;

/** A fresh ephemeral key pair, never given twice. */
export function ephemeralKey(): Promise<KeyAgreement> {
  const given = nextEphemeral ?? makeEphemeral();
  nextEphemeral = makeEphemeral();
  nextEphemeral.catch(() => {}); // Told to who is given it.
  return given;
}

async function makeEphemeral(): Promise<KeyAgreement> {
  const pair = (await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"])) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return {
    publicKey,
    async agree(theirs) {
      const key = await crypto.subtle.importKey("raw", bufferSource(theirs), { name: "X25519" }, false, []);
      return new Uint8Array(
        await crypto.subtle.deriveBits({ name: "X25519", public: key }, pair.privateKey, 256),
      );
    },
  };
}

/** The dialler's side: `write`, then `read` once. */
export class NoiseDialler {
  readonly #state: SymmetricState;
  readonly #ephemeral: KeyAgreement;
  readonly #own: KeyAgreement;

  private constructor(state: SymmetricState, ephemeral: KeyAgreement, own: KeyAgreement) {
    this.#state = state;
    this.#ephemeral = ephemeral;
    this.#own = own;
  }

  /** @returns the handshake and its first message, `e, es, s, ss` and the sealed payload */
  static async begin(options: {
    readonly host: NoiseHost;
    readonly own: KeyAgreement;
    readonly ephemeral: KeyAgreement;
    readonly theirStatic: Uint8Array;
    readonly prologue: Uint8Array;
    readonly payload: Uint8Array;
    /** 32 bytes, of a network by secret. */
    readonly psk?: Uint8Array | undefined;
  }): Promise<{ readonly handshake: NoiseDialler; readonly message: Uint8Array }> {
    const { host, own, ephemeral, theirStatic, prologue, payload, psk } = options;
    const state = await SymmetricState.create(host, prologue, theirStatic, psk);
    await state.mixEphemeral(ephemeral.publicKey);
    const [es, ss] = await Promise.all([ephemeral.agree(theirStatic), own.agree(theirStatic)]);
    await state.mixKey(es);
    const sealedStatic = await state.seal(own.publicKey);
    await state.mixKey(ss);
    await state.mixPsk();
    const sealedPayload = await state.seal(payload);
    return {
      handshake: new NoiseDialler(state, ephemeral, own),
      message: concatBytes(ephemeral.publicKey, sealedStatic, sealedPayload),
    };
  }

  /** @throws PeerloomError `session/handshake-failed` */
  async finish(message: Uint8Array): Promise<{ readonly payload: Uint8Array; readonly keys: NoiseKeys }> {
    if (message.length < DH_BYTES + TAG_BYTES) throw failed("answer too short");
    // A forged answer must not spoil the state for the true one.
    const state = this.#state.clone();
    const theirEphemeral = message.slice(0, DH_BYTES);
    await state.mixEphemeral(theirEphemeral);
    const [ee, se] = await Promise.all([
      agreeOrFail(this.#ephemeral, theirEphemeral),
      agreeOrFail(this.#own, theirEphemeral),
    ]);
    await state.mixKey(ee);
    await state.mixKey(se);
    const payload = await state.open(message.subarray(DH_BYTES));
    return { payload, keys: await state.split() };
  }
}

/** The acceptor's side: `read`, then `answer`. */
export class NoiseAcceptor {
  readonly #state: SymmetricState;
  readonly #theirEphemeral: Uint8Array;
  /** The dialler's static X25519 key; proved by the handshake. */
  readonly theirStatic: Uint8Array;
  readonly payload: Uint8Array;

  private constructor(
    state: SymmetricState,
    theirEphemeral: Uint8Array,
    theirStatic: Uint8Array,
    payload: Uint8Array,
  ) {
    this.#state = state;
    this.#theirEphemeral = theirEphemeral;
    this.theirStatic = theirStatic;
    this.payload = payload;
  }

  /** @throws PeerloomError `session/handshake-failed` */
  static async read(
    host: NoiseHost,
    own: KeyAgreement,
    prologue: Uint8Array,
    message: Uint8Array,
    psk?: Uint8Array,
  ): Promise<NoiseAcceptor> {
    const sealedStaticEnd = DH_BYTES + DH_BYTES + TAG_BYTES;
    if (message.length < sealedStaticEnd + TAG_BYTES) throw failed("first message too short");
    const theirEphemeral = message.slice(0, DH_BYTES);
    const state = await SymmetricState.create(host, prologue, own.publicKey, psk);
    await state.mixEphemeral(theirEphemeral);
    await state.mixKey(await agreeOrFail(own, theirEphemeral));
    const theirStatic = await state.open(message.subarray(DH_BYTES, sealedStaticEnd));
    await state.mixKey(await agreeOrFail(own, theirStatic));
    await state.mixPsk();
    const payload = await state.open(message.subarray(sealedStaticEnd));
    return new NoiseAcceptor(state, theirEphemeral, theirStatic, payload);
  }

  /** @returns the second message, `e, ee, se` and the sealed payload, and the session's keys */
  async answer(
    ephemeral: KeyAgreement,
    payload: Uint8Array,
  ): Promise<{ readonly message: Uint8Array; readonly keys: NoiseKeys }> {
    const state = this.#state;
    await state.mixEphemeral(ephemeral.publicKey);
    const [ee, se] = await Promise.all([
      agreeOrFail(ephemeral, this.#theirEphemeral),
      agreeOrFail(ephemeral, this.theirStatic),
    ]);
    await state.mixKey(ee);
    await state.mixKey(se);
    const sealedPayload = await state.seal(payload);
    return { message: concatBytes(ephemeral.publicKey, sealedPayload), keys: await state.split() };
  }
}

/** Noise's SymmetricState and CipherState (sections 5.1 and 5.2) in one. */
class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #key: AeadKey | undefined;
  #nonce = 0;
  readonly #host: NoiseHost;
  readonly #psk: Uint8Array | undefined;

  private constructor(
    host: NoiseHost,
    chainingKey: Uint8Array,
    hash: Uint8Array,
    psk: Uint8Array | undefined,
  ) {
    this.#host = host;
    this.#psk = psk;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
  }

  static async create(
    host: NoiseHost,
    prologue: Uint8Array,
    acceptorStatic: Uint8Array,
    psk?: Uint8Array,
  ): Promise<SymmetricState> {
    // The name is no longer than a hash, so it is padded instead of hashed.
    const name = new Uint8Array(32);
    name.set(utf8(psk === undefined ? PROTOCOL_NAME.plain : PROTOCOL_NAME.psk));
    const state = new SymmetricState(host, name, name, psk);
    await state.mixHash(prologue);
    await state.mixHash(acceptorStatic);
    return state;
  }

  clone(): SymmetricState {
    const copy = new SymmetricState(this.#host, this.#chainingKey, this.#hash, this.#psk);
    copy.#key = this.#key;
    copy.#nonce = this.#nonce;
    return copy;
  }

  async mixHash(bytes: Uint8Array): Promise<void> {
    this.#hash = await this.#host.hash.sha256(concatBytes(this.#hash, bytes));
  }

  /** Token "e": with a pre-shared key the ephemeral keys are mixed in as well, so that no key ever meets two texts (section 9.2). */
  async mixEphemeral(publicKey: Uint8Array): Promise<void> {
    await this.mixHash(publicKey);
    if (this.#psk !== undefined) await this.mixKey(publicKey);
  }

  /** Token "psk": MixKeyAndHash. Nothing where there is none. */
  async mixPsk(): Promise<void> {
    if (this.#psk === undefined) return;
    const derived = await this.#host.hash.hkdf(this.#psk, this.#chainingKey, EMPTY, 96);
    this.#chainingKey = derived.slice(0, 32);
    await this.mixHash(derived.slice(32, 64));
    this.#key = await this.#host.aead.importKey("aes-256-gcm", derived.slice(64));
    this.#nonce = 0;
  }

  async mixKey(secret: Uint8Array): Promise<void> {
    const derived = await this.#host.hash.hkdf(secret, this.#chainingKey, EMPTY, 64);
    this.#chainingKey = derived.slice(0, 32);
    this.#key = await this.#host.aead.importKey("aes-256-gcm", derived.slice(32));
    this.#nonce = 0;
  }

  async seal(plaintext: Uint8Array): Promise<Uint8Array> {
    const { key, nonce } = this.#cipher();
    const sealed = concatBytes(...(await key.seal(nonce, this.#hash, [plaintext])));
    await this.mixHash(sealed);
    return sealed;
  }

  async open(sealed: Uint8Array): Promise<Uint8Array> {
    const { key, nonce } = this.#cipher();
    const plaintext = await key.open(nonce, this.#hash, sealed);
    if (plaintext === undefined)
      throw failed("not sealed for us, or by somebody else, or in another network");
    await this.mixHash(sealed);
    return plaintext;
  }

  async split(): Promise<NoiseKeys> {
    const derived = await this.#host.hash.hkdf(EMPTY, this.#chainingKey, EMPTY, 64);
    return { fromDialler: derived.slice(0, 32), fromAcceptor: derived.slice(32), transcript: this.#hash };
  }

  #cipher(): { readonly key: AeadKey; readonly nonce: Uint8Array } {
    const key = this.#key;
    if (key === undefined) throw failed("no key yet");
    const nonce = new Uint8Array(12);
    nonce[11] = this.#nonce++;
    return { key, nonce };
  }
}

/** WebCrypto refuses points of small order by an exception of its own. */
async function agreeOrFail(key: KeyAgreement, theirs: Uint8Array): Promise<Uint8Array> {
  try {
    return await key.agree(theirs);
  } catch (cause) {
    throw failed("key agreement refused", cause);
  }
}

function failed(why: string, cause?: unknown): PeerloomError {
  return new PeerloomError("session/handshake-failed", `The handshake failed: ${why}.`, { cause });
}
