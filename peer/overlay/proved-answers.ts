/**
 * Answers of a peer about itself, where it listens and whom it is linked to, that pass through others: whoever asks sends a nonce, and the
 * peer signs it with what it says, so that nobody on the way can answer in its stead. Peers of before sign nothing.
 *
 *     claim = "peerloom/answer/1\n" NETWORK "\n" | nonce (12) | what is said
 *     body  = what is said | Ed25519 signature over the claim (64)
 */
import { concatBytes, utf8 } from "../../shared/bytes.ts";
import type { NetworkName, PeerId } from "../../shared/ids.ts";
import type { Identity } from "../identity/identity.ts";
import { SIGNATURE_BYTES, verify } from "../identity/verify.ts";

export const ANSWER_NONCE_BYTES = 12;
/** Signed at once; past that answers go without, since somebody floods. */
const SIGNING_MAX = 64;

export class ProvedAnswers {
  readonly #identity: Identity;
  readonly #network: NetworkName;
  #signing = 0;

  constructor(identity: Identity, network: NetworkName) {
    this.#identity = identity;
    this.#network = network;
  }

  /** @returns the body of the answer */
  async prove(said: Uint8Array, nonce: Uint8Array): Promise<Uint8Array> {
    if (this.#signing >= SIGNING_MAX) return said;
    this.#signing += 1;
    try {
      return concatBytes(said, await this.#identity.sign(this.#claim(said, nonce)));
    } finally {
      this.#signing -= 1;
    }
  }

  /** Whether that peer gave the answer to the question of that nonce. Never rejects. */
  isProved(by: PeerId, body: Uint8Array, nonce: Uint8Array): Promise<boolean> {
    return verify(by, this.#claim(saidIn(body), nonce), body.subarray(-SIGNATURE_BYTES));
  }

  #claim(said: Uint8Array, nonce: Uint8Array): Uint8Array {
    return concatBytes(utf8(`peerloom/answer/1\n${this.#network}\n`), nonce, said);
  }
}

/** What a signed answer says. */
export function saidIn(body: Uint8Array): Uint8Array {
  return body.subarray(0, -SIGNATURE_BYTES);
}
