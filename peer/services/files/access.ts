/**
 * Who may take part in a swarm: whoever knows the manifest's hash, which is what a ticket gives. The hash itself is never said: the
 * overlay is told a key derived from it, and each side of a stream proves to the other that it knows the hash. So peers
 * that keep provider records learn neither what is shared nor how to fetch it, and a false provider learns nothing either.
 */
import { concatBytes, toHex, utf8 } from "../../../shared/bytes.ts";
import { type PeerId, publicKeyOf } from "../../../shared/ids.ts";
import type { ServiceHost } from "../host.ts";

export const PROOF_BYTES = 32;
export const SWARM_KEY_BYTES = 32;

const NOTHING: Uint8Array = new Uint8Array(0);

export interface SwarmAccess {
  /** Names the swarm to the overlay and on streams; says nothing of what is in it. */
  readonly key: Uint8Array;
  /** The same, hexadecimal. */
  readonly keyText: string;
  /** That `prover` knows the hash, told on a stream that `getter` opened to `giver`. Of no use to anybody else. */
  proof(
    role: "getter" | "giver",
    pair: { readonly getter: PeerId; readonly giver: PeerId },
  ): Promise<Uint8Array>;
}

/** @param hash SHA-256 of the manifest */
export async function swarmAccess(
  { runtime, network }: Pick<ServiceHost, "runtime" | "network">,
  hash: Uint8Array,
): Promise<SwarmAccess> {
  const key = await runtime.hash.hkdf(hash, utf8(network), utf8("peerloom swarm"), SWARM_KEY_BYTES);
  return {
    key,
    keyText: toHex(key),
    proof: async (role, { getter, giver }) =>
      runtime.hash.hkdf(
        hash,
        NOTHING,
        concatBytes(utf8(`peerloom ${role}`), publicKeyOf(getter), publicKeyOf(giver)),
        PROOF_BYTES,
      ),
  };
}
