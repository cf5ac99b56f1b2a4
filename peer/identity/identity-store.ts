/**
 * Keeps an identity from one start to the next. Node and Deno keep the seed, in a file that the storage adapter makes
 * readable to its owner alone. A browser keeps the two WebCrypto keys, which scripts can use and not read, and forgets
 * the seed; where its storage does not take keys the seed is kept there too.
 *
 * What is kept: either `identity-seed` (32 bytes), or `identity-sign-<id>` and `identity-agree-<id>` (CryptoKey) with
 * `identity-public` (32 bytes) written last, so that it only ever names a complete pair. Nothing is overwritten: what
 * cannot be understood is an error for a person to look at, because a lost key is a lost identity.
 */
import { bufferSource, equalBytes, utf8 } from "../../shared/bytes.ts";
import { PeerloomError, toPeerloomError } from "../../shared/errors.ts";
import { peerIdFromKey, PUBLIC_KEY_BYTES } from "../../shared/ids.ts";
import type { KeyValueStorage, Runtime, StoredValue } from "../runtime.ts";
import { x25519PublicOf } from "./curve.ts";
import {
  type Identity,
  identityFromKeys,
  identityFromSeed,
  type IdentityKeys,
  keysFromSeed,
  SEED_BYTES,
} from "./identity.ts";
import { verify } from "./verify.ts";
import { agreementPublicOf } from "./x25519.ts";

export const IDENTITY_SEED_NAME = "identity-seed";
export const IDENTITY_PUBLIC_NAME = "identity-public";
const SIGN_NAME_PREFIX = "identity-sign-";
const AGREE_NAME_PREFIX = "identity-agree-";

export interface IdentityStoreOptions {
  /** What to keep of a new identity. @default "keys" in browsers, "seed" elsewhere */
  readonly keep?: "seed" | "keys";
  /**
   * Runs one task of that name at a time among all who share the storage: `navigator.locks.request` in browsers. Without
   * it two who create at the same moment most likely agree, since each reads again what it wrote, but may not.
   */
  readonly lock?: (name: string, task: () => Promise<Identity>) => Promise<Identity>;
}

/**
 * The identity kept in the host's storage, made at the first start.
 * @throws PeerloomError `identity/unreadable` when something is kept and is not an identity; it stays as it is
 * @throws PeerloomError of the storage, when a new identity cannot be written
 */
export async function loadOrCreateIdentity(
  host: Pick<Runtime, "name" | "storage" | "random">,
  options: IdentityStoreOptions = {},
): Promise<Identity> {
  const { keep = host.name === "browser" ? "keys" : "seed", lock = (_, task) => task() } = options;
  return lock("peerloom-identity", async () => {
    const kept = await load(host.storage);
    if (kept !== undefined) return kept;
    const seed = host.random.bytes(SEED_BYTES);
    if (keep === "seed" || !(await storeKeys(host.storage, await keysFromSeed(seed)))) {
      await host.storage.set(IDENTITY_SEED_NAME, seed);
    }
    const stored = await load(host.storage);
    if (stored === undefined)
      throw unreadable("what was just written is not there; its storage does not keep data");
    return stored;
  });
}

async function load(storage: KeyValueStorage): Promise<Identity | undefined> {
  const publicKey = await read(storage, IDENTITY_PUBLIC_NAME);
  if (publicKey !== undefined) return loadKeys(storage, publicKey);
  const seed = await read(storage, IDENTITY_SEED_NAME);
  if (seed === undefined) return undefined;
  if (!(seed instanceof Uint8Array) || seed.length !== SEED_BYTES) {
    throw unreadable(`"${IDENTITY_SEED_NAME}" does not hold ${SEED_BYTES} bytes`);
  }
  return identityFromSeed(seed);
}

async function loadKeys(storage: KeyValueStorage, publicKey: StoredValue): Promise<Identity> {
  if (!(publicKey instanceof Uint8Array) || publicKey.length !== PUBLIC_KEY_BYTES) {
    throw unreadable(`"${IDENTITY_PUBLIC_NAME}" does not hold ${PUBLIC_KEY_BYTES} bytes`);
  }
  const id = peerIdFromKey(publicKey);
  const signing = await read(storage, SIGN_NAME_PREFIX + id);
  const agreement = await read(storage, AGREE_NAME_PREFIX + id);
  if (!isKey(signing) || !isKey(agreement)) throw unreadable(`the keys of ${id} are missing`);
  const keys = { publicKey, signing, agreement };
  if (!(await belongTogether(keys))) throw unreadable(`the keys kept as those of ${id} are others`);
  return identityFromKeys(keys);
}

/** False when this storage cannot hold keys; any half of them that it took is never referred to. */
async function storeKeys(storage: KeyValueStorage, keys: IdentityKeys): Promise<boolean> {
  const id = peerIdFromKey(keys.publicKey);
  try {
    await storage.set(SIGN_NAME_PREFIX + id, keys.signing);
    await storage.set(AGREE_NAME_PREFIX + id, keys.agreement);
    // Some hosts take a key and give back an empty object.
    if (!isKey(await storage.get(SIGN_NAME_PREFIX + id)) || !isKey(await storage.get(AGREE_NAME_PREFIX + id)))
      return false;
  } catch {
    return false;
  }
  await storage.set(IDENTITY_PUBLIC_NAME, keys.publicKey);
  return true;
}

async function read(storage: KeyValueStorage, name: string): Promise<StoredValue | undefined> {
  try {
    return await storage.get(name);
  } catch (cause) {
    throw toPeerloomError(cause, "identity/unreadable", unreadable(`"${name}" cannot be read`).message);
  }
}

function isKey(value: StoredValue | undefined): value is CryptoKey {
  return value !== undefined && !(value instanceof Uint8Array) && value.type === "private";
}

/** Both private keys do what the public key says. */
async function belongTogether({ publicKey, signing, agreement }: IdentityKeys): Promise<boolean> {
  try {
    const probe = utf8("peerloom/identity-check/1");
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", signing, bufferSource(probe)));
    if (!(await verify(publicKey, probe, signature))) return false;
    return equalBytes(await agreementPublicOf(agreement), x25519PublicOf(publicKey));
  } catch {
    return false;
  }
}

function unreadable(why: string): PeerloomError {
  return new PeerloomError(
    "identity/unreadable",
    `The identity cannot be read: ${why}. Restore it from a backup, or move it away to start with a new peer id.`,
  );
}
