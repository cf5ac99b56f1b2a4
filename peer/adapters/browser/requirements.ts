/** What a page must be given for a peer. Without it browsers fail in words that help nobody. */
import { PeerloomError } from "../../../shared/errors.ts";

/** @throws PeerloomError `page/insecure`, `page/outdated` */
export function requirePage(): void {
  if (globalThis.isSecureContext === false)
    throw new PeerloomError(
      "page/insecure",
      "Browsers give this page no cryptography: open it by https or on localhost.",
    );
  // Of all that is used and not tried at once, the youngest.
  if (!("parse" in URL)) throw outdated();
}

/** Why a browser could not make an identity: it refuses Ed25519 or X25519 by name. */
export function explainIdentity(error: unknown): unknown {
  return error instanceof DOMException && error.name === "NotSupportedError" ? outdated(error) : error;
}

function outdated(cause?: unknown): PeerloomError {
  return new PeerloomError(
    "page/outdated",
    "This browser is too old: use Chrome 137, Firefox 130, Safari 18 or later.",
    { cause },
  );
}
