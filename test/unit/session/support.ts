/** What the tests of sessions share: fixed X25519 keys, paths over links that go nowhere, and the code of what is thrown. */
import { agreementPublicOf, agreeWith, importAgreementKey } from "../../../peer/identity/x25519.ts";
import type { Link, LinkKind } from "../../../peer/links/link.ts";
import type { KeyAgreement } from "../../../peer/session/noise.ts";
import { Path, type PathState } from "../../../peer/session/path.ts";
import { concatBytes } from "../../../shared/bytes.ts";
import { PeerloomError } from "../../../shared/errors.ts";

/** The key pair of 32 secret bytes. */
export async function keyOf(secret: Uint8Array): Promise<KeyAgreement> {
  const key = await importAgreementKey(secret);
  return { publicKey: await agreementPublicOf(key), agree: (theirs) => agreeWith(key, theirs) };
}

/** A path whose link keeps in `sent` what is sent there. Its nonce is 7 eight times, its binding empty. */
export function pathOf(kind: LinkKind, state: PathState = "usable", sent: Uint8Array[] = []): Path {
  const link: Link = {
    kind,
    description: kind,
    frameBytesMax: 1024,
    unackedBytesMax: 4096,
    binding: new Uint8Array(0),
    bufferedBytes: 0,
    send: (parts) => void sent.push(concatBytes(...parts)),
    close() {},
    destroy() {},
    onFrame() {},
    onDrain() {},
    onClose() {},
  };
  const linkNonce = new Uint8Array(8).fill(7);
  return new Path({ link, state, linkNonce, plaintextBytesMax: 1000, nowMs: 0 });
}

/** "accepted", or the code of the PeerloomError. Any other error is a crash, and fails the test. */
export function outcomeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PeerloomError) return error.code;
    throw error;
  }
  return "accepted";
}

/** The bytes with one bit turned. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

/** 1, 2, 3, …: bytes that tell where they stood. */
export function counting(length: number, first = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => first + index);
}
