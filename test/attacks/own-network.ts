/** A private network of the attacker's own: its owner lets in, and bans, whomever he likes. */
import { sign } from "node:crypto";
import { bansClaim, encodeBans, encodeSignedBans } from "../../shared/bans.ts";
import { ABILITIES_ALL, encodeChain, encodeGrant, grantClaim, NEVER_MS } from "../../shared/credential.ts";
import { type NetworkName, peerIdFromKey, privateNetworkName, publicKeyOf } from "../../shared/ids.ts";
import { encodePass, passClaim } from "../../shared/pass.ts";
import { type Key, newKey } from "./client.ts";

export class OwnNetwork {
  readonly #owner: Key = newKey();
  readonly network: NetworkName = privateNetworkName("invite", publicKeyOf(this.#owner.id));

  /** What opens the edge's door to a member. */
  membership(edge: string, key: Key): string {
    const body = encodeGrant({
      role: "member",
      network: this.network,
      subject: key.id,
      abilities: ABILITIES_ALL,
      expiresMs: NEVER_MS,
      uses: 0,
      delegations: 0,
    });
    const credential = encodeChain([{ body, signature: signed(this.#owner, grantClaim(body)) }]);
    const timeMs = Date.now();
    return encodePass({ credential, timeMs, signature: signed(key, passClaim(edge, this.network, timeMs)) });
  }

  /** As long as a list may be. */
  bans(number: number, keys: number): Uint8Array {
    const banned = Array.from({ length: keys }, (_, index) => {
      const bytes = new Uint8Array(32);
      new DataView(bytes.buffer).setUint32(0, index);
      return peerIdFromKey(bytes);
    });
    const body = encodeBans({ network: this.network, number, keys: new Set(banned) });
    return encodeSignedBans(body, signed(this.#owner, bansClaim(body)));
  }
}

function signed({ secret }: Key, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(sign(null, bytes, secret));
}
