/** Whether a record is what its key and its signature say. A simulation checks by other means, at once. */
import { equalBytes } from "../../../shared/bytes.ts";
import type { NetworkName } from "../../../shared/ids.ts";
import { verify } from "../../identity/verify.ts";
import type { HashProvider } from "../../runtime.ts";
import { type KeyedRecord, mutableKeyInput, signedBytes } from "./record.ts";

export interface RecordCheck {
  /** `done` is called once, now or later. */
  check(record: KeyedRecord, done: (isValid: boolean) => void): void;
}

/** The real one: SHA-256 and Ed25519. */
export function recordCheck(hash: HashProvider, network: NetworkName): RecordCheck {
  return {
    check(record, done) {
      isGenuine(record, hash, network).then(done, () => done(false));
    },
  };
}

async function isGenuine(record: KeyedRecord, hash: HashProvider, network: NetworkName): Promise<boolean> {
  if (record.kind === "immutable") return equalBytes(await hash.sha256(record.value), record.key);
  if (record.kind === "mutable") {
    const key = await hash.sha256(mutableKeyInput(record.publicKey, record.name));
    if (!equalBytes(key, record.key)) return false;
  }
  return verify(record.publicKey, signedBytes(network, record), record.signature);
}
